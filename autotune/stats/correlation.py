"""How much less a queue's requests tell than as many independent ones would.

A request that waits long is followed by others that wait long. Two views of the same dependence,
of which the larger counts:

- cycles: where a request finds a replica free, the queue begins anew. What exceeds a level comes
  in clusters, one per cycle (regenerative method: Crane and Iglehart 1975; Law, "Simulation
  Modeling and Analysis", 9.5.3).
- batch means: whatever else makes neighbours alike (a slow minute of the machine) shows in the
  variance of the means of consecutive requests (Law, 9.5.3).
"""

from typing import NamedTuple

import numpy as np

from autotune.outcome import Flags, Samples

MIN_BATCHES = 8
"""Fewer batch means than this say nothing about correlation."""
MIN_LONG_BATCHES = 20
"""Longer batches than that make too few of them for a variance."""
BATCH_SPANS = 10.0
"""A span of so many times the inflation is nearly independent of the next."""
MIN_CYCLES = 8
"""Likewise, fewer cycles."""
LEVELS = (0.5, 0.75, 0.9, 0.95)
"""Quantiles at which the dependence is looked at where the level of interest is rarely reached. It
grows with the level, by a tenth or two from 0.9 to 0.99 in M/M/1, M/D/1 and M/D/2 queues."""


class Dependence(NamedTuple):
    """What the exceedances of some levels look like; arrays over the levels."""

    inflation: Samples
    """Variance of the share of exceedances over that of as many independent requests; >= 1."""
    cluster_size: Samples
    """Mean number of exceedances in a cycle that has any; 1 where there are none."""
    clusters: Samples
    """Cycles that have any."""


def dependence(latencies: Samples, fresh: Flags | None, levels: Samples) -> Dependence:
    """Return how the exceedances of `levels` by `latencies`, in order of arrival, cluster.

    Args:
        latencies: shape (requests,); lost ones infinite.
        fresh: shape (requests,): which found a replica free; None: unknown, no cycles.
        levels: shape (levels,), in the unit of the latencies.
    """
    exceeds = (latencies[None, :] > levels[:, None]).astype(np.float64)
    share = exceeds.mean(axis=1)
    mixed = (share > 0) & (share < 1)
    spread = np.where(mixed, share * (1 - share), 1.0)
    inflation = np.where(mixed, _of_batch_means(exceeds, spread), 1.0)
    starts = np.arange(0, 1) if fresh is None else np.flatnonzero(fresh)
    starts = starts if len(starts) and starts[0] == 0 else np.concatenate([[0], starts])
    counts = np.add.reduceat(exceeds, starts, axis=1)
    lengths = np.diff(np.concatenate([starts, [exceeds.shape[1]]]))
    clusters = np.sum(counts > 0, axis=1).astype(np.float64)
    if len(starts) >= MIN_CYCLES:
        deviations = counts - share[:, None] * lengths
        by_cycles = np.sum(deviations**2, axis=1) / (exceeds.shape[1] * spread)
        inflation = np.maximum(inflation, np.where(mixed, by_cycles, 1.0))
    size = np.where(clusters > 0, counts.sum(axis=1) / np.maximum(clusters, 1.0), 1.0)
    return Dependence(np.maximum(inflation, 1.0), size, clusters)


def lower_levels(latencies: Samples, below: float, quantile: float) -> Samples:
    """Return the `LEVELS` of the latencies that lie below a level and below its quantile."""
    wanted = [level for level in LEVELS if level < quantile]
    values = np.quantile(latencies, wanted, method="inverted_cdf") if wanted else np.empty(0)
    return values[values < below]


def _of_batch_means(exceeds: Samples, spread: Samples) -> Samples:
    """Return batch size times the variance of batch means over that of single requests, per level.

    Batches shorter than `BATCH_SPANS` times the dependence that they show do not show all of it,
    so longer ones are tried as well.
    """
    count = exceeds.shape[1]
    size = max(1, int(np.sqrt(count)))
    if count // size < MIN_BATCHES:
        return np.ones(len(exceeds))
    found = _inflation_at(exceeds, size) / spread
    longer = min(count // MIN_LONG_BATCHES, int(BATCH_SPANS * found.max()))
    return np.maximum(found, _inflation_at(exceeds, longer) / spread) if longer > size else found


def _inflation_at(exceeds: Samples, size: int) -> Samples:
    batches = exceeds.shape[1] // size
    cut = exceeds[:, exceeds.shape[1] - batches * size :].reshape(len(exceeds), batches, size)
    return np.asarray(size * np.var(cut.mean(axis=2), axis=1, ddof=1))
