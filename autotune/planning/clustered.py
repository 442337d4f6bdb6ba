"""Clustered arrivals of a given dispersion, and a short stretch of them that stands for all."""

import numpy as np

from autotune.outcome import Samples

CANDIDATES = 96
"""Stretches that the typical one is chosen from."""
UTILISATIONS = (0.5, 0.7, 0.8, 0.88, 0.94)
"""Of the single server that tells a typical stretch."""


def draw_clustered(dispersion: float, count: int, rng: np.random.Generator) -> Samples:
    """Draw arrivals at a mean of one a unit of time, shape (count,), ascending.

    Clusters arrive by chance (Poisson), each of a geometric number of simultaneous requests. Their
    counts are Polya-Aeppli, of variance over mean (1 + a) / (1 - a) in every window, where a
    cluster has 1 / (1 - a) requests on average (Johnson, Kemp and Kotz 2005, "Univariate Discrete
    Distributions", 9.7). The process has no scale of time, so it may be stretched to any rate; of
    those with this dispersion within a bin it is the most abrupt.

    Args:
        dispersion: variance of the count in a window over its mean; 1 or less: a Poisson process.
        count: of arrivals.
        rng: source of chance.
    """
    mean_size = max(1.0, (dispersion + 1) / 2)
    sizes = rng.geometric(1 / mean_size, count)
    times = np.cumsum(rng.exponential(mean_size, count))
    return np.asarray(np.repeat(times, sizes)[:count])


def typical_stretch(dispersion: float, count: int, seed: int) -> Samples:
    """Return the stretch of `count` arrivals whose queues are most like those of endless ones.

    A single server with constant service times tells: of the candidates, the one is taken whose
    mean and 99th percentile of waiting, at several utilisations, are closest to those of all
    candidates end to end, in standard deviations among the candidates.

    Args:
        dispersion: as `draw_clustered`.
        count: of arrivals, of which the first are at about 0.
        seed: of the candidates.
    """
    rng = np.random.default_rng(seed)
    times = draw_clustered(dispersion, CANDIDATES * count, rng)
    gaps = np.diff(times, prepend=0.0)
    each = gaps.reshape(CANDIDATES, count)
    wanted, seen = [], []
    for utilisation in UTILISATIONS:
        for summary in (np.mean, _high):
            wanted.append(np.ravel(summary(_waits(gaps[None], utilisation), axis=1))[0])
            seen.append(summary(_waits(each, utilisation), axis=1))
    spread = np.std(seen, axis=1)
    off = (np.array(seen) - np.array(wanted)[:, None]) / np.where(spread > 0, spread, 1)[:, None]
    best = int(np.argmin(np.sum(off**2, axis=0)))
    return np.asarray(np.cumsum(each[best]))


def _waits(gaps: Samples, service: float) -> Samples:
    """Waiting in rows of arrivals by Lindley's recursion, solved by running minima."""
    steps = np.concatenate([np.zeros((len(gaps), 1)), service - gaps[:, 1:]], axis=1)
    walk = np.cumsum(steps, axis=1)
    return np.asarray(walk - np.minimum.accumulate(walk, axis=1))


def _high(waits: Samples, axis: int) -> Samples:
    return np.asarray(np.quantile(waits, 0.99, axis=axis))
