"""Explore: measure what can still change the answer, until settled or out of time."""

import math
from collections.abc import Mapping

import numpy as np
from msgspec import field

from autotune.lesson import Lesson
from autotune.outcome import Samples
from autotune.search_info import StopReason
from autotune.spec import Record, ServingConfig
from autotune.stages.context import Context
from autotune.stages.drive import Window, search_window_s
from autotune.stages.events import Standing, Started, Tried
from autotune.stages.goal import expected, observed
from autotune.stages.lessons import lesson_of
from autotune.stages.preset import preset_pairs, still_holds
from autotune.stages.survey import Ground, teach_law
from autotune.stages.windows import run_window
from autotune.stats.judge import Decision, Judge
from autotune.stats.service import busy_with_room, executions_of, service_states
from autotune.strategy.protocol import Pair, Search

SEARCH_SHARE = 0.40
"""The search may spend this share of the budget; the rest confirms what it found."""
STOP_WHEN: frozenset[Decision] = frozenset({"failed", "diverged"})
"""A hopeless configuration is not measured further; a good one is, for its latency ranks it."""
MOST_TRIALS = 10_000
CHILD_START_S = 0.4
"""About what starting a process and importing the runtime takes."""


def explore(context: Context, ground: Ground, strategy: Search) -> StopReason:
    """Measure what is preset (see there), then pairs as the strategy asks.

    Return why it stopped.
    """
    question, deadline = context.question, context.deadline
    context.observe(Started(step="searching", ends_in_s=deadline.left_s))
    _teach(context, ground)
    windows_s = [search_window_s(traffic, deadline.budget_s) for traffic in ground.traffics]
    preset = preset_pairs(question, ground)
    for pair in preset:
        _try(context, ground, strategy, pair, windows_s[pair.load])
    if still_holds(context, ground, preset):
        return "verified"
    for count in range(len(preset), question.max_trials or MOST_TRIALS):
        asked = _next_pair(context, ground, strategy, windows_s, count)
        if not isinstance(asked, Pair):
            return asked
        _try(context, ground, strategy, asked, windows_s[asked.load])
    return "trials"


def _try(context: Context, ground: Ground, strategy: Search, pair: Pair, window_s: float) -> None:
    """Measure a pair, and learn from it."""
    question = context.question
    traffic, config = ground.traffics[pair.load], ground.lattice.configs[pair.point]
    window = Window(window_s, (question.seed, 1, pair.load))
    judge = Judge(question.slo, traffic.mean_rps, stop_when=STOP_WHEN)
    timed = run_window(context, "search", config, traffic, window, judge)
    predicted_s = float(ground.predicted_s[pair.load, pair.point])
    result = context.journal.add("search", traffic, config, predicted_s * 1e3, timed)
    learn(context, ground, strategy, pair)
    strategy.tell(pair, observed(question, ground, pair, result))
    if len(context.journal.trials).bit_count() == 1:  # twice as many as last time
        _teach(context, ground)
    standings = _standings(ground, strategy)
    context.observe(
        Tried(
            phase="search",
            load_rps=traffic.load_rps,
            config=config,
            predicted_ms=predicted_s * 1e3,
            result=result,
            best=standings[pair.load].best,
            ends_in_s=context.deadline.left_s,
            standings=standings,
        )
    )


class _Step(Record, frozen=True):
    """What comes next: a pair, or why there is none."""

    load: int = 0
    config: ServingConfig | None = None
    stopped: StopReason | None = None
    heard: dict[str, Lesson] = field(default_factory=dict)
    """What others had taught until then, that was not known yet; by who teaches it."""


def _next_pair(
    context: Context, ground: Ground, strategy: Search, windows_s: list[float], count: int
) -> Pair | StopReason:
    """Return what is measured next, or why nothing is; as before, where a search goes on.

    Nothing is measured at the moment: what others have taught is taken in first.
    """
    deadline, configs = context.deadline, ground.lattice.configs

    def decide() -> _Step:
        heard = dict(context.past.hear())
        take_in(context, ground, strategy, heard)
        pair = strategy.ask(_costs(context, ground, windows_s))
        if pair is None:
            return _Step(stopped="settled", heard=heard)
        ends_s = deadline.spent_s + windows_s[pair.load]
        if count and ends_s > SEARCH_SHARE * deadline.budget_s:
            return _Step(stopped="budget", heard=heard)
        return _Step(load=pair.load, config=configs[pair.point], heard=heard)

    step = context.bench.settle(f"search {count}", _Step, decide)
    take_in(context, ground, strategy, step.heard)
    if step.config is not None and step.config not in configs:
        step = decide()  # there was more memory then
    if step.config is None:
        return step.stopped or "settled"
    return Pair(step.load, configs.index(step.config))


def take_in(
    context: Context, ground: Ground, strategy: Search, lessons: Mapping[str, Lesson]
) -> None:
    """Have a search under way learn from others, as far as that is news."""
    if ground.pupil.hear(lessons):
        teach_law(ground.pupil, ground.predictor, ground.lattice.configs)
        strategy.expect(*expected(context.question, ground))


def _teach(context: Context, ground: Ground) -> None:
    """Let others learn from this search."""
    if (lesson := lesson_of(context, ground)) is not None:
        context.past.teach(lesson)


def _standings(ground: Ground, strategy: Search) -> tuple[Standing, ...]:
    standings = []
    for load, doubt in enumerate(strategy.doubts()):
        points = strategy.best(load)
        best = ground.lattice.configs[points[0]] if points else None
        standings.append(Standing(best=best, doubt=doubt))
    return tuple(standings)


def learn(context: Context, ground: Ground, strategy: Search, pair: Pair) -> None:
    """Correct the prediction by the executions of the run just made.

    What a server executes cannot be told apart well enough to correct the law of the engine.
    """
    traffic, config = ground.traffics[pair.load], ground.lattice.configs[pair.point]
    runs = context.journal.runs("search", traffic, config)
    if runs and context.question.target is None:
        room = busy_with_room(config.session_shape, ground.cores, ground.info.default_threads)
        states = service_states(executions_of(runs[-1:]))
        ground.predictor.learn([(pair.point, [one for one in states if one.busy <= room])])
        strategy.expect(*expected(context.question, ground))


def _costs(context: Context, ground: Ground, windows_s: list[float]) -> Samples:
    """Seconds to measure each pair now: its window, and what it takes until something serves."""
    bench = context.bench
    loading_s = np.array(
        [
            0.0 if bench.is_warm(config) else bench.starting_s + opening_s(config, ground)
            for config in ground.lattice.configs
        ]
    )
    return np.asarray(np.array(windows_s)[:, None] + loading_s[None, :])


def opening_s(config: ServingConfig, ground: Ground) -> float:
    """Return about how long it takes to open sessions in a new process, compiling left aside."""
    start_s = max(CHILD_START_S, ground.info.start_s)
    loads_s = config.replicas * ground.info.load_s
    if config.replicas_as == "processes":  # they start at once, and the cores are shared
        loads_s = math.ceil(config.replicas / ground.cores) * (start_s + ground.info.load_s)
    return start_s + loads_s
