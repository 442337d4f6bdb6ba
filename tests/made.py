"""Outcomes made by hand, for tests of what is computed from them."""

from collections.abc import Sequence

import msgspec
import numpy as np
from queueing import serve

from autotune.outcome import Disturbance, Measured, Samples, ServiceTimes

QUIET = Disturbance(
    seconds=1.0,
    cpus=2,
    steal_share=0.0,
    other_cpu_share=0.0,
    throttled_periods=None,
    throttled_s=None,
    involuntary_switches_per_s=0.0,
    major_faults=0,
    swapped_pages=0,
    memory_pressure_share=0.0,
    frequency_change=None,
)

_UNIT = float(1 << 36)


def times_of(seconds: Samples, cpu_s: float) -> ServiceTimes:
    """Executions back to back, each beside no other."""
    none = np.zeros(len(seconds))
    return ServiceTimes(seconds=seconds, rest_s=none, others=none, cpu_s=cpu_s)


def run_of(
    latency_s: Samples | Sequence[float],
    lost: int = 0,
    diverged: bool = False,
    queueing_s: float = 0.0,
    batch_size: Sequence[int] | None = None,
    used: tuple[float, int] = (1.0, 1 << 20),
) -> Measured:
    """A run of one request a second; `used`: CPU seconds and bytes."""
    count = len(latency_s)
    scheduled_s = np.arange(count, dtype=np.float64)
    return Measured(
        scheduled_s=scheduled_s,
        ready_s=scheduled_s + queueing_s,
        claimed_s=scheduled_s + queueing_s,
        started_s=scheduled_s + queueing_s,
        # Multiples of a power of two, so that differences give latencies back exactly.
        finished_s=scheduled_s + np.round(np.array(latency_s, dtype=np.float64) * _UNIT) / _UNIT,
        batch_size=np.array(batch_size or [1] * count, dtype=np.float64),
        lost=lost,
        stopped="diverged" if diverged else "ended",
        duration_s=float(count),
        cpu_s=used[0],
        joules=None,
        peak_memory_bytes=used[1],
        disturbance=QUIET,
        disturbed=[],
    )


def served_queue(arrivals_s: Samples, services_s: Samples) -> Measured:
    """One replica serves in order of arrival; shapes (requests,)."""
    gaps_s = np.diff(arrivals_s, prepend=0.0)
    sojourn_s, _ = serve(gaps_s[None], services_s[None])
    finished_s = arrivals_s + sojourn_s[0]
    ready_s = np.concatenate([[0.0], finished_s[:-1]])
    started_s = np.maximum(arrivals_s, ready_s)
    return msgspec.structs.replace(
        run_of(sojourn_s[0]),
        scheduled_s=arrivals_s,
        ready_s=ready_s,
        claimed_s=started_s,
        started_s=started_s,
        finished_s=finished_s,
        duration_s=float(finished_s[-1]),
    )
