"""Measure joint configurations as the strategy asks, until settled or out of time."""

import math
from typing import NamedTuple

import numpy as np

from autotune.records import Failed
from autotune.search_info import StopReason
from autotune.stages.events import Doing, Observer, Said, Started
from autotune.stages.explore import SEARCH_SHARE
from autotune.stages.question import Deadline
from autotune.stats.summary import summarize
from autotune.strategy.protocol import Pair, SearchSettings
from autotune.strategy.rrl import Rrl
from autotune.together.beliefs import Beliefs
from autotune.together.joints import Joint, Space, configs_of
from autotune.together.kept import MeasuresAll
from autotune.together.measuring import Layout, Run, Windows, window_s
from autotune.together.question import TogetherQuestion
from autotune.together.records import JointTrial
from autotune.together.survey import Ground
from autotune.units import format_ms

FIRST = 2
"""Measured before the strategy is asked: the runtime's defaults, and what each needs alone."""


class Hunt(NamedTuple):
    """One search under way."""

    question: TogetherQuestion
    ground: Ground
    space: Space
    beliefs: Beliefs
    strategy: Rrl
    benches: MeasuresAll
    windows: Windows
    deadline: Deadline
    observe: Observer
    trials: list[JointTrial]
    failed: set[Joint]
    """What failed, once at least."""

    def layout(self, joint: Joint) -> Layout:
        """Return how all models run in a joint configuration."""
        return Layout(tuple(configs_of(self.ground, joint)), joint.own_cores)

    def in_words(self, joint: Joint) -> str:
        """Return a joint configuration in words: `a 1 x 1 thread on CPU 0, b ...`."""
        names = [one.name for one in self.question.models]
        return "; ".join(
            f"{one.model} {one.config.describe()}"
            + (f" on CPU {one.cpus}" if one.cpus is not None else "")
            for one in self.layout(joint).placed(names)
        )


def begin_strategy(space: Space, beliefs: Beliefs, seed: int) -> Rrl:
    """Return the search over joint configurations at one load."""
    settings = SearchSettings(seed=seed)
    return Rrl(space.coordinates, np.zeros(1), beliefs.prediction(), settings=settings)


def explore(hunt: Hunt) -> StopReason:
    """Measure until the answer can hardly change. Return why it stopped."""
    deadline = hunt.deadline
    hunt.observe(Started(step="searching", ends_in_s=deadline.left_s))
    seconds = window_s(hunt.question, deadline.budget_s)

    def in_time() -> bool:
        return deadline.spent_s + seconds <= SEARCH_SHARE * deadline.budget_s

    for count in range(len(hunt.space.joints)):
        if count >= FIRST and hunt.strategy.settled():
            return "settled"
        if count >= FIRST and not hunt.benches.settle(f"search {count}", bool, in_time):
            return "budget"
        pair = Pair(0, count) if count < FIRST else hunt.strategy.ask()
        if pair is None:
            return "settled"
        _try(hunt, pair, seconds)
    return "settled"


def _try(hunt: Hunt, pair: Pair, seconds: float) -> None:
    joint, before_s = hunt.space.joints[pair.point], hunt.deadline.elapsed_s
    hunt.observe(Doing(what=hunt.in_words(joint), seconds=seconds))
    outcome = hunt.windows.measure(hunt.layout(joint), seconds, (hunt.question.seed, 1))
    predicted = math.exp(float(hunt.beliefs.worst[pair.point]))
    observation = hunt.beliefs.observed(pair.point, outcome)
    if isinstance(outcome, Run):
        hunt.beliefs.learn(pair.point, outcome)
        hunt.strategy.expect(hunt.beliefs.prediction())
    else:
        hunt.failed.add(joint)
    hunt.strategy.tell(pair, observation)
    hunt.observe(Said(text=f"{hunt.in_words(joint)}: {tell(hunt.question, outcome)}"))
    names = [one.name for one in hunt.question.models]
    hunt.trials.append(
        JointTrial(
            placed=hunt.layout(joint).placed(names),
            predicted_worst=predicted,
            measured_worst=None if observation.value is None else math.exp(observation.value),
            failure=outcome.detail if isinstance(outcome, Failed) else None,
            seconds=round(hunt.deadline.elapsed_s - before_s, 3),
        )
    )


def tell(question: TogetherQuestion, outcome: Run | Failed) -> str:
    """Return what came of a window, in words: `a p99 12.3 of 20 ms, b ...`."""
    if isinstance(outcome, Failed):
        return f"{outcome.kind}: {outcome.detail}"
    told = []
    for service, run in zip(question.services, outcome.services, strict=True):
        value_ms = summarize([run], service.slo).objective.value_ms
        shown = "lost" if value_ms is None else format_ms(value_ms)
        told.append(
            f"{service.name} p{service.slo.percentile:g} {shown} of {service.slo.latency_ms:g} ms"
        )
    return ", ".join(told)
