"""A run, or several runs of one configuration at one load, in the numbers a person asks for."""

from collections.abc import Sequence

import numpy as np

from autotune.outcome import Flags, Measured, Samples
from autotune.records import Percentile, SloVerdict, Summary
from autotune.spec import Slo
from autotune.stats.disturbance import severity
from autotune.stats.percentiles import Interval, percentile_interval
from autotune.stats.sequential import Verdict, decide_once, evidence
from autotune.stats.transfers import total

SLO_VERDICTS: dict[Verdict, SloVerdict] = {
    "pass": "met",
    "fail": "missed",
    "undecided": "undecided",
}
CONFIDENCE = 0.95
"""Of the intervals, and of `slo_verdict`."""


def summarize(runs: Sequence[Measured], slo: Slo) -> Summary:
    """Summarize runs, each already without its lead-in, of one configuration at one load."""
    latency_ms = np.concatenate([run.latency_s for run in runs]) * 1e3
    lost = sum(run.lost for run in runs)
    served = len(latency_ms)
    fresh = fresh_of(runs)
    attainment = float(np.sum(latency_ms <= slo.latency_ms)) / max(1, served + lost)

    def at(quantile: float) -> Percentile:
        interval = percentile_interval(latency_ms, lost, quantile, CONFIDENCE, fresh)
        return as_record(interval)

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
        slo_attainment=attainment,
        slo_verdict="missed" if diverged else _verdict(runs, slo),
        meets_slo=attainment >= slo.quantile and not diverged,
        cpu_s_per_request=sum(run.cpu_s for run in runs) / max(1, served),
        joules_per_request=_joules(runs, served),
        mean_batch_size=mean_batch(np.concatenate([run.batch_size for run in runs])),
        issue_lateness_ms=mean_ms([run.issue_lateness_s for run in runs]),
        queueing_ms=mean_ms([run.queueing_s for run in runs]),
        batch_wait_ms=mean_ms([run.batch_wait_s for run in runs]),
        service_ms=mean_ms([run.service_s for run in runs]),
        peak_memory_mib=max(run.peak_memory_bytes for run in runs) / 2**20,
        diverged=diverged,
        disturbed=disturbances(runs),
        transfer=total(run.transfer for run in runs if run.transfer is not None),
    )


def disturbances(runs: Sequence[Measured]) -> list[str]:
    """Return why windows were disturbed, worst first, with the number of those that were."""
    spoilt = [run for run in runs if run.disturbed]
    if not spoilt:
        return []
    worst = max(spoilt, key=lambda run: severity(run.disturbance))
    if len(runs) == 1:
        return worst.disturbed
    return [f"{clause} (worst of {len(spoilt)} of {len(runs)})" for clause in worst.disturbed]


def fresh_of(runs: Sequence[Measured]) -> Flags:
    """Return which served requests of the runs, joined, found a queue that begins anew."""
    flags = [run.unqueued for run in runs]
    for flag in flags:
        flag[:1] = True
    return np.concatenate(flags)


def _verdict(runs: Sequence[Measured], slo: Slo) -> SloVerdict:
    latencies_s, fresh = offered(runs)
    return SLO_VERDICTS[decide_once(evidence(latencies_s, fresh, slo), slo, CONFIDENCE)]


def offered(runs: Sequence[Measured]) -> tuple[Samples, Flags]:
    """Return latency in seconds and freshness of every offered request; lost ones are infinite."""
    lost = [np.full(run.lost, np.inf) for run in runs]
    latencies_s = [
        np.concatenate([run.latency_s, gone]) for run, gone in zip(runs, lost, strict=True)
    ]
    fresh = [np.concatenate([fresh_of([run]), np.zeros(run.lost, dtype=np.bool_)]) for run in runs]
    return np.concatenate(latencies_s), np.concatenate(fresh)


def _joules(runs: Sequence[Measured], served: int) -> float | None:
    parts = [run.joules for run in runs if run.joules is not None]
    return sum(parts) / max(1, served) if len(parts) == len(runs) else None


def as_record(interval: Interval) -> Percentile:
    """Return an interval as it stands in files; what is infinite is None."""
    finite = interval.value if np.isfinite(interval.value) else None
    return Percentile(value_ms=finite, low_ms=interval.low, high_ms=interval.high)


def mean_batch(sizes: Samples) -> float:
    """Return the mean size of the batches, from that of each request's batch; 0 where none is."""
    # A batch of n stands n times among the requests.
    return float(len(sizes) / np.sum(1.0 / sizes)) if len(sizes) else 0.0
