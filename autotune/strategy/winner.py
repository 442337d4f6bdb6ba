"""Who wins at a load: proven gains only, and of equals the cheaper, then the simpler."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from autotune.outcome import Measured
from autotune.spec import Record, ServingConfig, Slo
from autotune.stats.paired import Comparison, comparable_quantile, compare_cpu, compare_latency
from autotune.stats.summary import Summary

MIN_GAIN = 0.03
"""A gain below this share is not worth a change."""
TIE = 0.05
"""Point estimates within this share of each other, with no proven difference, are a tie."""
CHEAPER = 0.90
"""Of a tie, one takes clearly less CPU time below this ratio."""


class Contender(NamedTuple):
    """One finalist at one load."""

    config: ServingConfig
    runs: Sequence[Measured]
    summary: Summary


class Gain(Record, frozen=True):
    """A configuration against the runtime's default, under the same arrivals."""

    percentile: float
    """The percentile compared: the SLO's, or the highest that a round's requests let us see."""
    latency_ratio: float | None
    """Its latency over the default's, of the typical round; None: either lost too many requests."""
    low: float | None
    high: float | None
    """95 % interval of the ratio."""
    latency_differs: bool
    """Whether the difference in latency is more than noise, at 5 %."""
    cpu_ratio: float
    """Its CPU seconds per request over the default's."""
    proven: bool
    """Better beyond noise: in latency, in meeting the SLO, or as good for less CPU time."""
    reason: str
    """What is better, in words."""


def compare(one: Contender, other: Contender, slo: Slo) -> Gain:
    """Compare two contenders at one load; `proven` says whether `one` is better."""
    rounds = min(len(one.runs), len(other.runs))
    mine, theirs = one.runs[:rounds], other.runs[:rounds]
    offered = min((run.served + run.lost for run in [*mine, *theirs]), default=0)
    quantile = comparable_quantile(offered, slo.quantile)
    latency, cpu = compare_latency(mine, theirs, quantile), compare_cpu(mine, theirs)
    proven, reason = _judge(one.summary, other.summary, latency, cpu)
    return Gain(
        percentile=100 * quantile,
        latency_ratio=latency.ratio,
        low=latency.low,
        high=latency.high,
        latency_differs=latency.differs,
        cpu_ratio=one.summary.cpu_s_per_request / max(1e-12, other.summary.cpu_s_per_request),
        proven=proven,
        reason=reason,
    )


def _judge(one: Summary, other: Summary, latency: Comparison, cpu: Comparison) -> tuple[bool, str]:
    if one.diverged:
        return False, "cannot sustain this load"
    if other.diverged:
        return True, "sustains a load at which the other's queue grows without end"
    if one.slo_verdict == "met" and other.slo_verdict == "missed":
        return True, "meets the SLO, which the other misses"
    if one.slo_verdict == "missed" and other.slo_verdict == "met":
        return False, "misses the SLO, which the other meets"
    ratio = latency.ratio if latency.ratio is not None else math.inf
    if latency.differs and ratio <= 1 - MIN_GAIN:
        return True, "lower latency"
    if latency.differs and ratio > 1:
        return False, "higher latency"
    cheaper = cpu.differs and cpu.ratio is not None and cpu.ratio < CHEAPER
    if ratio <= 1 + TIE and cheaper and one.meets_slo >= other.meets_slo:
        return True, "as fast for less CPU time"
    return False, "no proven gain"


def choose(contenders: Sequence[Contender], slo: Slo) -> Contender:
    """Return the winner; the first contender is the default, which only a proven gain displaces.

    Challengers are tried in order of their measured latency at the SLO's percentile.
    """
    default, *challengers = contenders
    ranked = sorted(challengers, key=lambda one: (one.summary.diverged, _rank_ms(one.summary)))
    winner = default
    for challenger in ranked:
        if not compare(challenger, default, slo).proven:
            continue
        gain = compare(challenger, winner, slo)
        simpler = challenger.config.complexity < winner.config.complexity
        if gain.proven or (simpler and _is_tie(gain)):
            winner = challenger
    return winner


def _is_tie(gain: Gain) -> bool:
    as_fast = gain.latency_ratio is not None and gain.latency_ratio <= 1 + TIE
    return as_fast and not gain.latency_differs and gain.cpu_ratio <= 1 / CHEAPER


def _rank_ms(summary: Summary) -> float:
    value_ms = summary.objective.value_ms
    return float("inf") if value_ms is None else value_ms
