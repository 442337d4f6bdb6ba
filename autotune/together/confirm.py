"""The finalists and what people do instead, interleaved under the same arrivals."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from autotune.records import Failed
from autotune.stages.confirm import MIN_ROUND_S, OVERHEAD_S, TARGET_REQUESTS
from autotune.stages.drive import lead_in_s, order_of_round
from autotune.stages.events import Doing, Said, Started
from autotune.stats.paired import MIN_ROUNDS
from autotune.together.explore import Hunt, tell
from autotune.together.joints import Joint
from autotune.together.measuring import Run, window_s
from autotune.together.records import Way
from autotune.together.scale import UNKNOWN, WINDOWS

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
    """Measure all in interleaved rounds for what is left of the budget.

    Where nothing met the SLOs so far, some of it is left to find loads that can be met.
    """
    hunt.observe(Started(step="confirming", ends_in_s=hunt.deadline.left_s))
    for number in range(ROUNDS):
        rivals = sum(not one.failed for one in finalists)
        seconds = hunt.benches.settle(
            f"round {number}", float, partial(_seconds, hunt, rivals, number)
        )
        if not seconds:
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
        hunt.failed.add(one.joint)
    else:
        one.runs.append(outcome)


def whole_rounds(finalists: Sequence[Finalist]) -> list[Finalist]:
    """Return those that never failed, with the rounds that all of them have."""
    sound = [one for one in finalists if not one.failed]
    rounds = min((len(one.runs) for one in sound), default=0)
    return [one._replace(runs=one.runs[:rounds]) for one in sound if rounds]


def _seconds(hunt: Hunt, rivals: int, number: int) -> float:
    """Return the seconds of each window of a round; 0: there is no time for one.

    The first is measured in any case: without it, all that was measured before is for nothing.
    """
    wanted_s = max(
        one.traffic.seconds_for(TARGET_REQUESTS / ROUNDS) for one in hunt.question.services
    )
    left_s, rounds = max(0.0, hunt.deadline.left_s - _reserve_s(hunt)), ROUNDS - number
    if number and left_s < rivals * (MIN_ROUND_S + OVERHEAD_S) / 2:
        return 0.0
    fits_s = left_s / max(1, rivals * rounds) - OVERHEAD_S
    return float(np.clip(fits_s, MIN_ROUND_S, max(MIN_ROUND_S, wanted_s)))


def _reserve_s(hunt: Hunt) -> float:
    """Return the seconds to leave for finding the largest scale, should it be needed."""
    if any(one.measured_worst is not None and one.measured_worst <= 1 for one in hunt.trials):
        return 0.0
    seconds = window_s(hunt.question.at(UNKNOWN), hunt.deadline.budget_s)
    return WINDOWS * (seconds + lead_in_s(seconds) + OVERHEAD_S)
