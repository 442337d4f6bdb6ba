"""Which of the finalists is recommended: a proven gain over what is simpler, and no other.

The ways are tried from the simplest on. One replaces what is recommended so far where it is better
by more than noise: it keeps every SLO where the other does not, its worst service is faster, or, of
equals, it takes less CPU time. If none that is simpler keeps the SLOs, the first that does wins,
proven or not: keeping what fails is no caution.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autotune.errors import MeasureError
from autotune.outcome import Measured
from autotune.records import Summary
from autotune.stats.paired import Comparison, comparable_quantile, compare_rounds
from autotune.stats.percentiles import percentile
from autotune.stats.summary import summarize
from autotune.strategy.winner import CHEAPER, MIN_GAIN, TIE
from autotune.together.confirm import Finalist, whole_rounds
from autotune.together.measuring import Run
from autotune.together.question import Service
from autotune.together.records import Versus, Way

SIMPLEST: tuple[Way, ...] = ("default", "alone", "even split", "together", "runner-up")
_LOST = math.log(1e3)
"""Stands for the log of a latency without end over its SLO."""


class Judged(NamedTuple):
    """A finalist, summed up."""

    finalist: Finalist
    served: list[Summary]
    """By service."""

    @property
    def meets_all(self) -> bool:
        """Whether every service kept its SLO."""
        return all(one.meets_slo for one in self.served)

    @property
    def missed_share(self) -> float:
        """Share of all requests that were slower than their SLO, or lost."""
        missed = sum((1 - one.slo_attainment) * one.requests for one in self.served)
        return missed / max(1, sum(one.requests for one in self.served))

    @property
    def cores_used(self) -> float:
        """CPU seconds per second."""
        return float(np.mean([run.cores_used for run in self.finalist.runs]))


def judge(finalists: Sequence[Finalist], services: Sequence[Service]) -> list[Judged]:
    """Sum up those that never failed by the rounds that all have, the simplest first."""
    found = [
        Judged(
            one,
            [
                summarize([run.services[number] for run in one.runs], service.slo)
                for number, service in enumerate(services)
            ],
        )
        for one in whole_rounds(finalists)
    ]
    return sorted(found, key=lambda one: SIMPLEST.index(one.finalist.way))


def decide(
    finalists: Sequence[Finalist], services: Sequence[Service]
) -> tuple[list[Judged], Judged]:
    """Return all that can be compared, and which of them is recommended.

    Raises:
        MeasureError: nothing was measured in a whole round.
    """
    judged = judge(finalists, services)
    if not judged:
        failed = next(iter(finalists)).failed[0]
        raise MeasureError(f"nothing was confirmed: {failed.kind}: {failed.detail}")
    return judged, choose(judged, services)


def choose(judged: Sequence[Judged], services: Sequence[Service]) -> Judged:
    """Return what is recommended."""
    winner = judged[0]
    for challenger in judged[1:]:
        if versus(challenger, winner, services).proven:
            winner = challenger
    if winner.meets_all:
        return winner
    return next((one for one in judged if one.meets_all), winner)


def versus(one: Judged, other: Judged, services: Sequence[Service]) -> Versus:
    """Compare two; `proven`: `one` is better by more than noise."""
    latency = _compare(
        [_worst(run, services) for run in one.finalist.runs],
        [_worst(run, services) for run in other.finalist.runs],
    )
    cpu = compare_rounds(
        np.array(
            [
                math.log(mine.cores_used / theirs.cores_used)
                for mine, theirs in zip(one.finalist.runs, other.finalist.runs, strict=True)
                if min(mine.cores_used, theirs.cores_used) > 0
            ]
        )
    )
    proven, reason = _reason(one, other, latency, cpu)
    return Versus(
        way=other.finalist.way,
        worst_ratio=latency.ratio,
        low=latency.low,
        high=latency.high,
        cpu_ratio=one.cores_used / max(1e-9, other.cores_used),
        proven=proven,
        reason=reason,
    )


def _reason(one: Judged, other: Judged, latency: Comparison, cpu: Comparison) -> tuple[bool, str]:
    ratio = math.inf if latency.ratio is None else latency.ratio
    missed = [seen.slo_verdict == "missed" for seen in other.served]
    if one.meets_all and any(missed):
        return True, "keeps every SLO, which the other does not"
    if other.meets_all and not one.meets_all:
        return False, "misses an SLO, which the other does not"
    if latency.differs and (latency.ratio is None or ratio <= 1 - MIN_GAIN):
        better = latency.ratio is not None or one.missed_share < other.missed_share
        return better, "lower latency" if better else "higher latency"
    if latency.differs and ratio > 1:
        return False, "higher latency"
    cheaper = cpu.differs and cpu.ratio is not None and cpu.ratio < CHEAPER
    if ratio <= 1 + TIE and cheaper:
        return True, "as fast for less CPU time"
    return False, "no proven gain"


def _compare(mine: list[float], theirs: list[float]) -> Comparison:
    pairs = list(zip(mine, theirs, strict=True))
    found = compare_rounds(np.array([left - right for left, right in pairs]))
    finite = all(value < _LOST for pair in pairs for value in pair)
    return found if finite else Comparison(None, None, None, found.p_value)


def _worst(run: Run, services: Sequence[Service]) -> float:
    """Return the log of the worst service's latency over its SLO, in one round."""
    return max(_over(one, service) for one, service in zip(run.services, services, strict=True))


def _over(run: Measured, service: Service) -> float:
    quantile = comparable_quantile(run.served + run.lost, service.slo.quantile)
    latency_s = percentile(run.latency_s, run.lost, quantile) if run.served else math.inf
    if not math.isfinite(latency_s):
        return _LOST
    return math.log(latency_s * 1e3 / service.slo.latency_ms)
