"""The largest share of all loads that can be met: bisected by windows, and else as predicted."""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from autotune.records import Failed, Summary
from autotune.stages.confirm import OVERHEAD_S, TARGET_REQUESTS
from autotune.stages.drive import lead_in_s
from autotune.stages.events import Doing, Said, Started
from autotune.stats.summary import summarize
from autotune.together.choose import Judged, decide
from autotune.together.confirm import Finalist
from autotune.together.explore import Hunt, tell
from autotune.together.joints import Joint
from autotune.together.measuring import window_s
from autotune.together.question import Service
from autotune.together.records import LargestScale, Served
from autotune.together.scale import FARTHEST, STEPS, WINDOWS, largest_share


class Tried(NamedTuple):
    """All models measured at a share of their loads."""

    scale: float
    joint: Joint
    served: list[Summary]
    """By service."""

    @property
    def met(self) -> bool:
        """Whether every service kept its SLO."""
        return all(one.meets_slo for one in self.served)


def try_scales(hunt: Hunt, finalists: Sequence[Finalist], tried: list[Tried]) -> None:
    """Measure shares of loads that cannot be met, in what is left of the budget; into `tried`.

    First the one that is predicted, then half way between what was met and what was not, or lower
    where nothing was met yet and the prediction, corrected, says so.
    """
    _, winner = decide(finalists, hunt.question.services)
    if winner.meets_all:
        return
    hunt.observe(Started(step="scaling the loads down", ends_in_s=hunt.deadline.left_s))
    low, high = 0.0, 1.0
    for number in range(WINDOWS):
        scale = (low + high) / 2
        if not low and (predicted := _predicted(hunt, winner, tried)):
            scale = min(scale, predicted) if tried else predicted
        seconds = hunt.benches.settle(
            f"scale {number}", float, partial(_seconds, hunt, scale, WINDOWS - number)
        )
        if not seconds:
            return
        stretched = min(FARTHEST, scale * _stretch(hunt, winner, tried))
        found = _try(hunt, scale, _best(hunt, stretched)[0], seconds)
        if found is not None:
            tried.append(found)
            low, high = (scale, high) if found.met else (low, scale)


def largest_scale(hunt: Hunt, winner: Judged, tried: Sequence[Tried]) -> LargestScale:
    """Return the largest share that was met, as measured; where none was, as predicted.

    Args:
        hunt: the search.
        winner: what is recommended, which misses an SLO at the loads asked for.
        tried: what was measured at shares of them.
    """
    names = [model.name for model in hunt.question.models]
    met = max((one for one in tried if one.met), key=lambda one: one.scale, default=None)
    missed = _missed(tried)
    if met is not None:
        return LargestScale(
            share=met.scale,
            evidence="measured",
            missed=missed,
            placed=hunt.layout(met.joint).placed(names),
            served=[
                Served(service=service.name, measured=seen)
                for service, seen in zip(hunt.question.services, met.served, strict=True)
            ],
        )
    share = _predicted(hunt, winner, tried)
    stretched = min(FARTHEST, share * _stretch(hunt, winner, tried))
    placed = hunt.layout(_best(hunt, stretched)[0]).placed(names) if share else []
    return LargestScale(share=share, evidence="predicted", missed=missed, placed=placed, served=[])


def _missed(tried: Sequence[Tried]) -> float:
    """Return the least share at which an SLO was missed; 1: the loads asked for."""
    return min((one.scale for one in tried if not one.met), default=1.0)


def _predicted(hunt: Hunt, winner: Judged, tried: Sequence[Tried]) -> float:
    """Return the share that is predicted, a multiple of 1 / `STEPS`; 0: none."""
    share = largest_share(lambda scale: _best(hunt, scale)[1], below=1.0)
    share /= _stretch(hunt, winner, tried)
    return max(0, min(math.floor(share * STEPS), math.ceil(_missed(tried) * STEPS) - 1)) / STEPS


def _stretch(hunt: Hunt, winner: Judged, tried: Sequence[Tried]) -> float:
    """Return how many times the loads feel like more than they are.

    So many times larger are those at which the law of each model alone, and of pairs, predicts what
    was measured. By latency itself nothing is corrected: of a queue that grows, it says for how
    long one looked.
    """
    stretches = [1.0]
    for scale, joint, served in [Tried(1.0, winner.finalist.joint, winner.served), *tried]:
        over = _over(served, hunt.question.services)
        if over > 0:
            stretches.append(_alike(hunt, joint, over) / scale)
    return max(stretches)


def _alike(hunt: Hunt, joint: Joint, over: float) -> float:
    """Return the share at which the law predicts so much for a joint configuration."""
    place = hunt.space.joints.index(joint)

    def beyond(scale: float) -> float:
        return float(hunt.beliefs.by_law(scale)[place]) - over

    if over == math.inf or beyond(FARTHEST) <= 0:  # a simulation takes its time
        return FARTHEST
    return largest_share(beyond, below=FARTHEST)


def _over(served: Sequence[Summary], services: Sequence[Service]) -> float:
    """Return the log of the worst latency over its SLO; endless where requests were lost."""
    return max(
        math.log((one.objective.value_ms or math.inf) / service.slo.latency_ms)
        for one, service in zip(served, services, strict=True)
    )


def _best(hunt: Hunt, scale: float) -> tuple[Joint, float]:
    """Return the best that never failed, and its log of the worst latency over its SLO."""
    over = hunt.beliefs.by_law(scale)
    failed = [joint in hunt.failed for joint in hunt.space.joints]
    point = int(np.argmin(np.where(failed, np.inf, over)))
    return hunt.space.joints[point], float(over[point])


def _try(hunt: Hunt, scale: float, joint: Joint, seconds: float) -> Tried | None:
    """Measure; None: it fails, so that something else is tried."""
    words = f"{scale:.2g} x the loads: {hunt.in_words(joint)}"
    hunt.observe(Doing(what=words, seconds=seconds))
    seed = (hunt.question.seed, 3)
    outcome = hunt.windows.measure(hunt.layout(joint), seconds, seed, scale)
    hunt.observe(Said(text=f"{words}: {tell(hunt.question, outcome)}"))
    if isinstance(outcome, Failed):
        hunt.failed.add(joint)
        return None
    pairs = zip(outcome.services, hunt.question.services, strict=True)
    return Tried(scale, joint, [summarize([run], service.slo) for run, service in pairs])


def _seconds(hunt: Hunt, scale: float, windows: int) -> float:
    """Return the seconds of the next of so many windows; 0: there is no time for one."""
    scaled, left_s = hunt.question.at(scale), hunt.deadline.left_s
    least_s = window_s(scaled, hunt.deadline.budget_s)
    if left_s < least_s + lead_in_s(least_s) + OVERHEAD_S:
        return 0.0
    fits_s = left_s / windows - OVERHEAD_S
    wanted_s = max(one.traffic.seconds_for(TARGET_REQUESTS) for one in scaled.services)
    return max(least_s, min(fits_s - lead_in_s(fits_s), wanted_s))
