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
    most, largest = int(lanes.replicas.max()), int(lanes.max_batch.max())
    drawn = crowded = np.random.default_rng(seed).choice(jitter, count)
    if lanes.calm_busy is not None and lanes.crowded_jitter is not None:
        crowded = np.random.default_rng(seed).choice(lanes.crowded_jitter, count)
    rest_draws = np.random.default_rng((seed, 1)).integers(REST_DRAWS, size=count)
    sizes = np.arange(1, min(largest, count) + 1)
    batch_s = batch_seconds(lanes.alone_s, np.arange(total)[:, None], sizes)
    # Replicas that a lane does not have are never free.
    free_s = np.where(np.arange(most) < lanes.replicas[:, None], 0.0, np.inf)
    padded, finished_s = np.append(arrivals_s, np.inf), np.empty((total, count))
    start = np.zeros(total, dtype=np.int64)
    live = row = np.arange(total)
    for number in range(count):
        due_s, past = arrivals_s[start], start + 1
        replica = free_s.argmin(axis=1)
        idle_since_s = free_s[row, replica]
        begun_s = np.maximum(idle_since_s, due_s)
        if largest > 1:
            full_s = padded[np.minimum(start + lanes.max_batch - 1, count)]
            begun_s = np.maximum(begun_s, np.minimum(full_s, due_s + lanes.timeout_s))
            arrived = arrivals_s.searchsorted(begun_s, side="right")
            past = np.minimum(np.maximum(arrived, past), start + lanes.max_batch)
        size = past - start
        busy = 1 + (free_s > begun_s[:, None]).sum(axis=1) - (most - lanes.replicas)
        calm_busy = most if lanes.calm_busy is None else lanes.calm_busy
        ratio = np.where(busy > calm_busy, crowded[number], drawn[number])
        service_s = batch_s[live, size - 1] * (lanes.crowding[row, busy] * ratio)
        if lanes.rests_s is not None and lanes.rests_as is not None:
            w_s = lanes.rests_s[lanes.rests_as, (busy > 1).astype(int), rest_draws[number]]
            service_s += w_s * rested(begun_s - idle_since_s)
        service_s += busy * (lanes.engine_batch_s + lanes.engine_request_s * size)
        free_s[row, replica] = done_s = begun_s + service_s
        _fill(finished_s, live, start, size, done_s)
        start = past
        (left,) = (past < count).nonzero()
        if len(left) < len(live):
            lanes, row = lanes.some(left), row[: len(left)]
            free_s, live, start = free_s[left], live[left], start[left]
        if not len(left):
            break
    return finished_s - arrivals_s


def _fill(
    finished_s: Samples, live: Indices, start: Indices, size: Indices, done_s: Samples
) -> None:
    """Write when the batches of some lanes were done, for each of their requests."""
    past = size.cumsum()
    if past[-1] == len(size):
        finished_s[live, start] = done_s
        return
    places = (live * finished_s.shape[1] + start - past + size).repeat(size)
    finished_s.reshape(-1)[places + np.arange(past[-1])] = done_s.repeat(size)
