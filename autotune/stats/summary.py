"""A run, or several runs of one configuration at one load, in the numbers a person asks for."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from autotune.outcome import Measured, Samples
from autotune.spec import Record, Slo
from autotune.stats.percentiles import Interval, percentile_interval, share_within_bounds

Verdict = Literal["met", "missed", "undecided"]


class Percentile(Record, frozen=True):
    """A latency percentile with its 95 % interval; None: beyond what the requests can show."""

    value_ms: float | None
    """None where so many requests were lost that the percentile is unbounded."""
    low_ms: float | None
    high_ms: float | None


class Summary(Record, frozen=True):
    """What was measured of one configuration at one load. Shares are of all offered requests."""

    requests: int
    """Requests offered and counted, lost ones included."""
    lost: int
    p50: Percentile
    p95: Percentile
    p99: Percentile
    objective: Percentile
    """The percentile that the SLO names."""
    largest_ms: float
    """Largest latency among the served requests."""
    slo_attainment: float
    """Share of offered requests answered within the SLO."""
    slo_verdict: Verdict
    """Whether the SLO is met, proven at 95 % confidence; `undecided` where it is not."""
    cpu_s_per_request: float
    mean_batch_size: float
    queueing_ms: float
    """Mean wait, batching included, before execution."""
    service_ms: float
    """Mean execution time."""
    peak_memory_mib: float
    diverged: bool

    meets_slo: bool
    """Whether the measured attainment reaches the SLO, proven or not."""


def summarize(runs: Sequence[Measured], slo: Slo) -> Summary:
    """Summarize runs, each already without its lead-in, of one configuration at one load."""
    latency_ms = np.concatenate([run.latency_s for run in runs]) * 1e3
    lost = sum(run.lost for run in runs)
    within = np.concatenate([(latency_ms <= slo.latency_ms).astype(np.float64), np.zeros(lost)])
    share = share_within_bounds(within)
    served = len(latency_ms)

    def at(quantile: float) -> Percentile:
        return _as_record(percentile_interval(latency_ms, lost, quantile))

    def mean_ms(parts: list[Samples]) -> float:
        return float(np.concatenate(parts).mean() * 1e3) if served else 0.0

    diverged = any(run.diverged for run in runs)
    return Summary(
        requests=served + lost,
        lost=lost,
        p50=at(0.50),
        p95=at(0.95),
        p99=at(0.99),
        objective=at(slo.quantile),
        largest_ms=float(latency_ms.max()) if served else 0.0,
        slo_attainment=share.value,
        slo_verdict="missed" if diverged else _verdict(share, slo),
        meets_slo=share.value >= slo.quantile and not diverged,
        cpu_s_per_request=sum(run.cpu_s for run in runs) / max(1, served),
        mean_batch_size=_mean_batch(runs),
        queueing_ms=mean_ms([run.started_s - run.scheduled_s for run in runs]),
        service_ms=mean_ms([run.finished_s - run.started_s for run in runs]),
        peak_memory_mib=max(run.peak_memory_bytes for run in runs) / 2**20,
        diverged=diverged,
    )


def _verdict(share: Interval, slo: Slo) -> Verdict:
    if share.low is not None and share.low >= slo.quantile:
        return "met"
    if share.high is not None and share.high < slo.quantile:
        return "missed"
    return "undecided"


def _as_record(interval: Interval) -> Percentile:
    finite = interval.value if np.isfinite(interval.value) else None
    return Percentile(value_ms=finite, low_ms=interval.low, high_ms=interval.high)


def _mean_batch(runs: Sequence[Measured]) -> float:
    sizes = np.concatenate([run.batch_size for run in runs])
    # A batch of n stands n times in the per-request log.
    return float(len(sizes) / np.sum(1.0 / sizes)) if len(sizes) else 0.0
