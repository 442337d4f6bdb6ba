"""May the numbers be believed? Reasons why not, and what to do about each. Pure."""

import math
from collections.abc import Sequence

import numpy as np

from autotune.outcome import Measured, ModelInfo, Samples
from autotune.spec import ServingConfig, Slo
from autotune.stages.measurement import SloResult, Validity
from autotune.stats.disturbance import throttled_because
from autotune.stats.percentiles import effective_count, percentile
from autotune.stats.sequential import Evidence, factor_to_decide
from autotune.stats.summary import disturbances, offered
from autotune.units import DAY_S, format_ms, format_rps

LATE_ISSUE_MS = 1.0
"""A request that its replica noticed later than this was not issued on time ..."""
LATE_ISSUE_SLO_SHARE = 0.05
"""... unless that is a small share of what the SLO allows."""
DRIFT_DEVIATIONS = 4.0
"""Between the halves of a run, of the share above the median (after Geweke 1992, whose diagnostic
compares the means of early and late parts). Looked at once, wrong once in 16,000."""
UNEVEN = 2.0
"""Bursts whose lengths are exponential tell half of what even ones would."""
DRIFT_MIN_WORTH = 40.0
"""Independent requests below which halves tell nothing."""
QUIETER = "repeat on a quieter machine; `autotune doctor` says what disturbs this one"


def ceiling_rps(info: ModelInfo, config: ServingConfig) -> float:
    """Return the requests/s that the harness itself can issue here: its replicas share one
    interpreter, so more of them do not help."""
    return 1.0 / max(1e-9, info.engine_request_s + info.engine_batch_s / config.max_batch_size)


def judge_validity(
    runs: Sequence[Measured],
    slo: Slo,
    load: tuple[float, float],
    result: SloResult,
    cycles: float = math.inf,
) -> Validity:
    """Return whether the runs of one configuration may be believed.

    Args:
        runs: without lead-ins.
        slo: the objective.
        load: requests/s in the long run, and what the harness can issue.
        result: the SLO's verdict.
        cycles: how often the traffic went through its bursts or gaps; infinite where it has none.
    """
    found = [
        *_beyond_the_ceiling(load),
        *(_late(runs, slo) if load[0] <= load[1] else []),
        *((clause, QUIETER) for clause in disturbances(runs)),
        *(_drift(runs, cycles) if result.stopped != "diverged" else []),
    ]
    steps = list(dict.fromkeys(step for _, step in found))
    throttled = [clause for run in runs if (clause := throttled_because(run.disturbance))]
    notes = [f"{throttled[0]}: fewer threads may do better"] if throttled else []
    return Validity(
        valid=not found, reasons=[reason for reason, _ in found], next_steps=steps, notes=notes
    )


def _beyond_the_ceiling(load: tuple[float, float]) -> list[tuple[str, str]]:
    load_rps, most_rps = load
    if load_rps <= most_rps:
        return []
    return [
        (
            f"{format_rps(load_rps)} requests/s is more than the harness itself can issue here: "
            f"about {format_rps(most_rps)}/s",
            f"stay below {format_rps(most_rps)} requests/s, or batch",
        )
    ]


def _late(runs: Sequence[Measured], slo: Slo) -> list[tuple[str, str]]:
    lateness_ms = np.concatenate([run.issue_lateness_s for run in runs]) * 1e3
    allowed_ms = max(LATE_ISSUE_MS, LATE_ISSUE_SLO_SHARE * slo.latency_ms)
    p99_ms = percentile(lateness_ms, 0, 0.99) if len(lateness_ms) else 0.0
    if p99_ms <= allowed_ms:
        return []
    return [
        (
            f"requests were issued late: p99 {format_ms(p99_ms)} ms after a replica was free for "
            f"them, where {format_ms(allowed_ms)} ms is allowed",
            QUIETER,
        )
    ]


def _drift(runs: Sequence[Measured], cycles: float) -> list[tuple[str, str]]:
    """Say whether latency in the second half of the requests is another than in the first.

    Requests of one burst share its fate, so that a run is worth no more than its bursts.
    """
    latencies_s, fresh = offered(runs)
    if len(latencies_s) < 2:
        return []
    median_s = float(np.median(latencies_s))
    halves = np.array_split(latencies_s, 2)
    # Each by itself: the step between them would pass for dependence.
    worth = sum(
        effective_count(half, new, float(np.median(half)), 0.5)
        for half, new in zip(halves, np.array_split(fresh, 2), strict=True)
    )
    worth = min(worth, cycles / UNEVEN)
    if not np.isfinite(median_s) or worth < DRIFT_MIN_WORTH:
        return []
    shares = [float(np.mean(half > median_s)) for half in halves]
    deviation = abs(shares[0] - shares[1]) / np.sqrt(4 * 0.25 / worth)
    if deviation <= DRIFT_DEVIATIONS:
        return []
    first, second = (_median_ms(half) for half in halves)
    return [
        (
            f"latency drifts: the median is {first} ms in the first half, {second} ms in the other",
            "measure for longer; if it goes on drifting, look for a leak, heat, or other load",
        )
    ]


def _median_ms(latencies_s: Samples) -> str:
    return format_ms(float(np.median(latencies_s)) * 1e3)


def how_to_decide(seen: Evidence, slo: Slo, result: SloResult, seconds: float) -> str:
    """Return what would settle an undecided SLO after `seconds` of measuring."""
    if not seen.requests:
        return "no request was judged: measure for longer, or at a higher load"
    factor = factor_to_decide(seen, slo, result.confidence)
    if factor is None:
        return (
            f"p{slo.percentile:g} is too close to {slo.latency_ms:g} ms to decide: choose another "
            "SLO, a lower load, or a lower --confidence"
        )
    longer_s = max(1.0, 1.2 * factor * seconds)
    if longer_s > DAY_S:
        return (
            f"to decide would take about {longer_s / 3600:,.0f} hours: choose a higher load, a "
            "lower --percentile, or a lower --confidence"
        )
    return f"measure for about {longer_s:,.0f} s to decide (--duration {longer_s:.0f}s)"
