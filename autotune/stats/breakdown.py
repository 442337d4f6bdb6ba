"""What a run's latencies are made of: their histogram, and where their time went."""

import math
from collections.abc import Sequence

import numpy as np

from autotune.outcome import Flags, Measured, Samples
from autotune.spec import Record

MIN_BINS, MAX_BINS = 4, 16
LEAST_MS = 1e-6
"""A clock of nanoseconds tells no less; the logarithm of zero is nowhere."""
IDLE_S = 0.5
"""Clocks and thread pools have fallen asleep by then."""
MIN_AFTER_IDLE = 3


class Histogram(Record, frozen=True):
    """Counts of latencies between edges that are evenly spaced in the logarithm."""

    edges_ms: list[float]
    """One more than there are counts; the first is the least, the last the largest latency."""
    counts: list[int]


class Parts(Record, frozen=True):
    """Mean milliseconds of each part of a latency; they add up to it."""

    issue_lateness_ms: float
    """Until the harness noticed a request for which a replica was free."""
    queueing_ms: float
    """Until a replica was free."""
    batch_wait_ms: float
    """For company, and to put the batch together."""
    service_ms: float


class AfterIdle(Record, frozen=True):
    """Requests that came after nothing had been asked for half a second or more."""

    requests: int
    p50_ms: float
    others_p50_ms: float


def histogram(runs: Sequence[Measured]) -> Histogram:
    """Return the histogram of all served requests; empty where there are none."""
    latency_ms = _joined([run.latency_s for run in runs]) * 1e3
    if not len(latency_ms):
        return Histogram(edges_ms=[], counts=[])
    low, high = float(latency_ms.min()), float(latency_ms.max())
    bins = min(MAX_BINS, max(MIN_BINS, round(len(latency_ms) ** 0.5)))
    least = max(low, LEAST_MS)
    edges = np.geomspace(least, max(high, least * 1.001), bins + 1)
    edges[0], edges[-1] = low, max(high, edges[-1])  # rounding must not leave the ends out
    counts, _ = np.histogram(latency_ms, edges)
    return Histogram(edges_ms=edges.tolist(), counts=counts.tolist())


def parts_of(runs: Sequence[Measured], slowest: float = 1.0) -> Parts:
    """Return where the time of the `slowest` share of the served requests went."""
    latency_s = _joined([run.latency_s for run in runs])
    if not len(latency_s):
        return Parts(issue_lateness_ms=0.0, queueing_ms=0.0, batch_wait_ms=0.0, service_ms=0.0)
    count = max(1, math.floor(slowest * len(latency_s) + 1e-9))  # of 100, 1 % is one, not two
    chosen = np.argsort(latency_s, kind="stable")[-count:]

    def mean_ms(parts: list[Samples]) -> float:
        return float(_joined(parts)[chosen].mean() * 1e3)

    return Parts(
        issue_lateness_ms=mean_ms([run.issue_lateness_s for run in runs]),
        queueing_ms=mean_ms([run.queueing_s for run in runs]),
        batch_wait_ms=mean_ms([run.batch_wait_s for run in runs]),
        service_ms=mean_ms([run.service_s for run in runs]),
    )


def after_idle(runs: Sequence[Measured]) -> AfterIdle | None:
    """Compare requests after idle gaps with the others; None where there were hardly any."""
    idle = np.concatenate([_idle_before(run) for run in runs])
    latency_ms = _joined([run.latency_s for run in runs]) * 1e3
    if np.sum(idle) < MIN_AFTER_IDLE or np.all(idle):
        return None
    return AfterIdle(
        requests=int(np.sum(idle)),
        p50_ms=float(np.median(latency_ms[idle])),
        others_p50_ms=float(np.median(latency_ms[~idle])),
    )


def _idle_before(run: Measured) -> Flags:
    """The first request, before which nothing is known, counts as one among others."""
    gaps_s = run.scheduled_s[1:] - np.maximum.accumulate(run.finished_s)[:-1]
    return np.concatenate([np.zeros(min(1, run.served), dtype=np.bool_), gaps_s >= IDLE_S])


def _joined(parts: Sequence[Samples]) -> Samples:
    return np.concatenate(parts) if parts else np.empty(0)
