"""For which share of a run a model holds the interpreter lock, measured on two replicas at once.

A thread that waits for the lock is blocked: it neither runs nor waits for a core. What neighbours
do to caches and memory makes it run longer, and what other processes do makes it wait for a core,
and the kernel tells all three apart (`/proc/self/task/*/schedstat`). Where a run of `T` seconds
needs the lock for a share `s`, the other replica stands in the way of that share for a share `s` of
the time that it is not itself waiting for a core, `a`: each run is blocked for `s * s * a * T`
(mean value analysis of two customers: each finds the other where that would be without it).
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from autotune.engine.replica import Infer
from autotune.engine.source import Tensors

ROUNDS = 5
ROUND_S = 0.12
MIN_RUNS = 5
WARM_RUNS = 3


class _Spent(NamedTuple):
    """What one replica's thread did in a round."""

    wall_s: float
    ran_s: float
    waited_s: float
    """For a core."""

    @property
    def blocked_s(self) -> float:
        return max(0.0, self.wall_s - self.ran_s - self.waited_s)


def measure_lock_share(infers: Sequence[Infer], request: Tensors) -> float | None:
    """Return the share of a run, in [0, 1]; None where the kernel does not tell.

    Of several rounds the least counts: who holds the lock and has to leave its core to another
    process blocks its neighbour all the while, and nothing makes a round too small but chance.

    Args:
        infers: two replicas with one intra-op thread each: more threads wait for each other,
            which looks like waiting for the lock.
        request: what they run.
    """
    if _waited_for_core_s() is None:
        return None
    for infer in infers:
        for _ in range(WARM_RUNS):
            infer(request)
    with ThreadPoolExecutor(len(infers)) as pool:
        return min(_share(_round(pool, infers, request)) for _ in range(ROUNDS))


def _share(spent: list[_Spent]) -> float:
    # Blocked beside a neighbour that was active for only a part of the time.
    active = sum(one.ran_s + one.blocked_s for one in spent) / sum(one.wall_s for one in spent)
    blocked_s, ran_s = sum(one.blocked_s for one in spent), sum(one.ran_s for one in spent)
    return float(min(1.0, (blocked_s / (ran_s * active)) ** 0.5))


def _round(pool: ThreadPoolExecutor, infers: Sequence[Infer], request: Tensors) -> list[_Spent]:
    barrier = threading.Barrier(len(infers))
    calls = [pool.submit(_repeat, infer, request, barrier) for infer in infers]
    return [call.result() for call in calls]


def _repeat(infer: Infer, request: Tensors, barrier: threading.Barrier) -> _Spent:
    try:
        infer(request)  # In this thread its number of threads is set first.
    except Exception:
        barrier.abort()
        raise
    barrier.wait()
    runs, started_s = 0, time.perf_counter()
    ran_s, waited_s = time.thread_time(), _waited_for_core_s() or 0.0
    while runs < MIN_RUNS or time.perf_counter() - started_s < ROUND_S:
        infer(request)
        runs += 1
    wall_s = time.perf_counter() - started_s
    ran_s = time.thread_time() - ran_s
    return _Spent(wall_s, ran_s, (_waited_for_core_s() or 0.0) - waited_s)


def _waited_for_core_s() -> float | None:
    """Return for how long the calling thread was ready to run and had no core."""
    try:
        text = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text()
    except OSError:
        return None
    return int(text.split()[1]) / 1e9
