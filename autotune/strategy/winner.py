"""Who wins at a load: proven gains only, and of equals the cheaper, then the simpler.

But for a default that misses the SLO: it is not worth keeping where something else met it.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from autotune.outcome import Measured
from autotune.records import Gain, Summary
from autotune.spec import Objective, ServingConfig, Slo
from autotune.stats.paired import (
    Comparison,
    comparable_quantile,
    compare_costs,
    compare_cpu,
    compare_latency,
)

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


class Goal(NamedTuple):
    """What wins."""

    slo: Slo
    objective: Objective = "latency"
    cores_of: Callable[[ServingConfig], int] = lambda config: config.replicas
    """Cores that a configuration may use at once."""
    joules_of: Callable[[float, float | None], float] = lambda cpu_s, measured: measured or cpu_s
    """Joules per request, by its CPU seconds and by what was read; None: it cannot be read."""

    def joules(self, one: Contender) -> float:
        """Return what a request of a contender costs in energy."""
        return self.joules_of(one.summary.cpu_s_per_request, one.summary.joules_per_request)

    def joules_in(self, run: Measured) -> float:
        """Return what it cost in one round."""
        served = max(1, run.served)
        read = None if run.joules is None else run.joules / served
        return self.joules_of(run.cpu_s / served, read)


def compare(one: Contender, other: Contender, goal: Goal) -> Gain:
    """Compare two contenders at one load; `proven` says whether `one` is better."""
    slo, rounds = goal.slo, min(len(one.runs), len(other.runs))
    mine, theirs = one.runs[:rounds], other.runs[:rounds]
    offered = min((run.served + run.lost for run in [*mine, *theirs]), default=0)
    quantile = comparable_quantile(offered, slo.quantile)
    latency, cpu = compare_latency(mine, theirs, quantile), compare_cpu(mine, theirs)
    proven, reason = _judge(one.summary, other.summary, latency, cpu)
    if goal.objective in ("cpu", "cores", "energy") and other.summary.meets_slo:
        is_energy = goal.objective == "energy"
        cost = compare_costs(mine, theirs, goal.joules_in) if is_energy else cpu
        proven, reason = _thrifty(one, other, goal, cost)
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
    if one.meets_slo and not other.meets_slo:
        return False, "met the SLO, which the other missed, in too few requests to prove it"
    return False, "no proven gain"


def _thrifty(one: Contender, other: Contender, goal: Goal, cost: Comparison) -> tuple[bool, str]:
    """Whether one takes fewer cores, less CPU time or less energy than one that meets the SLO.

    `cost` compares their energy where this is the objective, else their CPU time.
    """
    if not one.summary.meets_slo:
        return False, "misses the SLO, which the other meets"
    if goal.objective == "energy":
        # Idle power, which nothing saves, is most of it at low load: what is left is worth little
        # less for that, so a gain counts from where one of latency does.
        if cost.differs and cost.ratio is not None and cost.ratio <= 1 - MIN_GAIN:
            return True, f"{cost.ratio:.2f} x its energy within the SLO"
        return False, "no proven gain"
    cheaper = cost.differs and cost.ratio is not None and cost.ratio < CHEAPER
    if goal.objective == "cpu":
        return cheaper, "less CPU time within the SLO" if cheaper else "no proven gain"
    mine, theirs = goal.cores_of(one.config), goal.cores_of(other.config)
    if mine != theirs:
        return mine < theirs, f"{mine} core{'s' if mine > 1 else ''} within the SLO, not {theirs}"
    return cheaper, "as few cores for less CPU time" if cheaper else "no proven gain"


def choose(contenders: Sequence[Contender], goal: Goal) -> Contender:
    """Return the winner; the first contender is the default, which only a proven gain displaces.

    Challengers are tried in order of what the objective is, as measured. Where the default missed
    the SLO and none is proven better, the first that met it wins: keeping what fails is no caution.
    """
    default, *challengers = contenders
    ranked = sorted(challengers, key=lambda one: (one.summary.diverged, _rank(one, goal)))
    winner = default
    for challenger in ranked:
        if not compare(challenger, default, goal).proven:
            continue
        gain = compare(challenger, winner, goal)
        simpler = challenger.config.complexity < winner.config.complexity
        if gain.proven or (simpler and _is_tie(challenger, winner, gain, goal)):
            winner = challenger
    if winner is default and not default.summary.meets_slo:
        return next((one for one in ranked if one.summary.meets_slo), default)
    return winner


def _is_tie(one: Contender, other: Contender, gain: Gain, goal: Goal) -> bool:
    if goal.objective == "energy" and other.summary.meets_slo:
        return one.summary.meets_slo and goal.joules(one) <= (1 + MIN_GAIN) * goal.joules(other)
    as_fast = gain.latency_ratio is not None and gain.latency_ratio <= 1 + TIE
    return as_fast and not gain.latency_differs and gain.cpu_ratio <= 1 / CHEAPER


def _rank(one: Contender, goal: Goal) -> tuple[float, ...]:
    value_ms = one.summary.objective.value_ms
    latency_ms = float("inf") if value_ms is None else value_ms
    missed = float(not one.summary.meets_slo)
    if goal.objective == "cpu":
        return (missed, one.summary.cpu_s_per_request)
    if goal.objective == "cores":
        return (missed, goal.cores_of(one.config), latency_ms)
    if goal.objective == "energy":
        return (missed, goal.joules(one))
    return (latency_ms,)
