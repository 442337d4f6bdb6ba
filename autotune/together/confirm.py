"""The finalists and what people do instead, interleaved under the same arrivals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autotune.records import Failed
from autotune.stages.confirm import MIN_ROUND_S, OVERHEAD_S, TARGET_REQUESTS
from autotune.stages.drive import order_of_round
from autotune.stages.events import Doing, Said, Started
from autotune.stats.paired import MIN_ROUNDS
from autotune.together.explore import Hunt, tell
from autotune.together.joints import Joint
from autotune.together.measuring import Run
from autotune.together.records import Way

ROUNDS = MIN_ROUNDS


class Finalist(NamedTuple):
    """One way to run all models."""

    way: Way
    joint: Joint
    runs: list[Run]
    """A round each."""
    failed: list[Failed]
    """Why it is measured no more; empty: it is."""


def field(hunt: Hunt, ways: Sequence[tuple[Way, Joint]]) -> list[Finalist]:
    """Return who is measured in rounds: the best two found, and what people do; none twice."""
    named: dict[Joint, Way] = {joint: way for way, joint in reversed(ways)}
    names: tuple[Way, ...] = ("together", "runner-up")
    for way, point in zip(names, hunt.strategy.best(0), strict=False):
        named.setdefault(hunt.space.joints[point], way)
    return [Finalist(way, joint, [], []) for joint, way in named.items()]


def confirm(hunt: Hunt, finalists: Sequence[Finalist]) -> None:
    """Measure all in interleaved rounds for what is left of the budget."""
    hunt.observe(Started(step="confirming", ends_in_s=hunt.deadline.left_s))
    for number in range(ROUNDS):
        seconds = _seconds(hunt, sum(not one.failed for one in finalists), number)
        if seconds is None:
            text = f"out of time after {number} of {ROUNDS} rounds: raise --budget"
            hunt.observe(Said(text=text, warning=True))
            return
        for place in order_of_round(len(finalists), number, (hunt.question.seed, 2)):
            if not finalists[place].failed:
                _measure(hunt, finalists[place], number, seconds)


def _measure(hunt: Hunt, one: Finalist, number: int, seconds: float) -> None:
    round_of = f"round {number + 1}/{ROUNDS}, {one.way}"
    hunt.observe(Doing(what=round_of, seconds=seconds))
    seed = (hunt.question.seed, 2, number)
    outcome = hunt.windows.measure(hunt.layout(one.joint), seconds, seed)
    hunt.observe(Said(text=f"{round_of}: {tell(hunt.question, outcome)}"))
    if isinstance(outcome, Failed):
        one.failed.append(outcome)
    else:
        one.runs.append(outcome)


def whole_rounds(finalists: Sequence[Finalist]) -> list[Finalist]:
    """Return those that never failed, with the rounds that all of them have."""
    sound = [one for one in finalists if not one.failed]
    rounds = min((len(one.runs) for one in sound), default=0)
    return [one._replace(runs=one.runs[:rounds]) for one in sound if rounds]


def _seconds(hunt: Hunt, rivals: int, number: int) -> float | None:
    """Return the seconds of each window of a round; None: there is no time for one.

    The first is measured in any case: without it, all that was measured before is for nothing.
    """
    wanted_s = max(
        one.traffic.seconds_for(TARGET_REQUESTS / ROUNDS) for one in hunt.question.services
    )
    left_s, rounds = hunt.deadline.left_s, ROUNDS - number
    if number and left_s < rivals * (MIN_ROUND_S + OVERHEAD_S) / 2:
        return None
    fits_s = left_s / max(1, rivals * rounds) - OVERHEAD_S
    return float(np.clip(fits_s, MIN_ROUND_S, max(MIN_ROUND_S, wanted_s)))
