"""Many batch queues at once: the same arrivals through every configuration.

Each lane is one configuration with its own replicas, batcher and service law. A step forms one
batch in every lane, as the engine does: the first replica to be free takes what has arrived, up
to the maximum, and waits for company until the batch is full or its first request's timeout is
over. Lanes move through the schedule at their own pace.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.outcome import Samples
from autotune.service import REST_DRAWS
from autotune.stats.service import rested

Indices = npt.NDArray[np.int64]


class Lanes(NamedTuple):
    """What distinguishes the lanes; arrays of shape (lanes,) unless noted."""

    replicas: Indices
    max_batch: Indices
    timeout_s: Samples
    alone_s: Samples
    """Shape (lanes, steps): seconds of a batch of 2 ** step requests beside no busy replica."""
    crowding: Samples
    """Shape (lanes, most replicas + 1): slow-down with this many replicas busy."""
    engine_batch_s: float = 0.0
    """Seconds that the engine adds to a batch, times busy replicas: they share one interpreter."""
    engine_request_s: float = 0.0
    """Likewise, to each request of a batch."""
    calm_busy: Indices | None = None
    """Busy replicas up to which every spinning thread has a core; None: any number."""
    crowded_jitter: Samples | None = None
    """Sorted ratios of an execution to its median beside more; needed with `calm_busy`."""
    rests_s: Samples | None = None
    """What an execution costs after a rest, see `fit_rests`; None: nothing."""
    rests_as: Indices | None = None
    """Which row of `rests_s` holds; needed with it."""

    def some(self, points: Indices) -> "Lanes":
        """Return some of the lanes, or some repeatedly."""
        return self._replace(
            replicas=self.replicas[points],
            max_batch=self.max_batch[points],
            timeout_s=self.timeout_s[points],
            alone_s=self.alone_s[points],
            crowding=self.crowding[points],
            calm_busy=None if self.calm_busy is None else self.calm_busy[points],
            rests_as=None if self.rests_as is None else self.rests_as[points],
        )

    def slower(self, factors: Samples) -> "Lanes":
        """Return the lanes with executions that take so many times as long, shape (lanes,)."""
        return self._replace(alone_s=self.alone_s * factors[:, None])


def table_sizes(largest: int) -> Samples:
    """Return the batch sizes of a table that reaches this far: powers of two, at least two."""
    return np.ldexp(1.0, np.arange(max(2, (largest - 1).bit_length() + 1)))


def batch_seconds(alone_s: Samples, rows: Indices, sizes: npt.ArrayLike) -> Samples:
    """Return the seconds of batches by rows of a table; straight lines lie between its sizes.

    Args:
        alone_s: by powers of two, shape (rows, steps).
        rows: of the table.
        sizes: of the batches, at least 1; broadcasts with `rows`.
    """
    step = np.minimum(np.frexp(sizes)[1] - 1, alone_s.shape[1] - 2)
    below_s = alone_s[rows, step]
    share = np.ldexp(sizes, -step) - 1
    return np.asarray(below_s + (alone_s[rows, step + 1] - below_s) * share)


def simulate(arrivals_s: Samples, lanes: Lanes, jitter: Samples, seed: int) -> Samples:
    """Return the latency in seconds of every request in every lane, shape (lanes, requests).

    Args:
        arrivals_s: ascending.
        lanes: the configurations.
        jitter: sorted ratios of an execution to its median, as long as every thread has a core;
            drawn once per batch number, the same for all lanes, so that lanes differ by
            configuration and not by luck.
        seed: of those draws.
    """
    count, total = len(arrivals_s), len(lanes.replicas)
    most = int(lanes.replicas.max())
    draws = np.random.default_rng(seed).choice(jitter, count)
    calm_busy, crowded = np.full(total, most), draws
    if lanes.calm_busy is not None and lanes.crowded_jitter is not None:
        calm_busy = lanes.calm_busy
        crowded = np.random.default_rng(seed).choice(lanes.crowded_jitter, count)
    rest_draws = np.random.default_rng((seed, 1)).integers(REST_DRAWS, size=count)
    # Replicas that a lane does not have are never free.
    free_s = np.where(np.arange(most) < lanes.replicas[:, None], 0.0, np.inf)
    padded = np.append(arrivals_s, np.inf)
    finished_s = np.empty((total, count))
    first = np.zeros(total, dtype=np.int64)
    batch = np.zeros(total, dtype=np.int64)
    live = np.arange(total)
    while len(live):
        start = first[live]
        replica = np.argmin(free_s[live], axis=1)
        due_s = arrivals_s[start]
        claimed_s = np.maximum(free_s[live, replica], due_s)
        full_s = padded[np.minimum(start + lanes.max_batch[live] - 1, count)]
        begun_s = np.maximum(claimed_s, np.minimum(full_s, due_s + lanes.timeout_s[live]))
        arrived = np.searchsorted(arrivals_s, begun_s, side="right")
        past = np.clip(arrived, start + 1, start + lanes.max_batch[live])
        busy = 1 + np.sum((free_s[live] > begun_s[:, None]) & np.isfinite(free_s[live]), axis=1)
        service_s = batch_seconds(lanes.alone_s, live, past - start)
        number = batch[live]
        drawn = np.where(busy > calm_busy[live], crowded[number], draws[number])
        service_s *= lanes.crowding[live, busy] * drawn
        if lanes.rests_s is not None and lanes.rests_as is not None:
            w_s = lanes.rests_s[lanes.rests_as[live], (busy > 1).astype(int), rest_draws[number]]
            service_s += w_s * rested(begun_s - free_s[live, replica])
        service_s += busy * (lanes.engine_batch_s + lanes.engine_request_s * (past - start))
        done_s = begun_s + service_s
        free_s[live, replica] = done_s
        _fill(finished_s, live, start, past, done_s)
        first[live] = past
        batch[live] += 1
        live = live[past < count]
    return finished_s - arrivals_s


def _fill(
    finished_s: Samples, live: Indices, start: Indices, past: Indices, done_s: Samples
) -> None:
    for offset in range(int((past - start).max())):
        inside = start + offset < past
        finished_s[live[inside], start[inside] + offset] = done_s[inside]
