"""Percentiles with intervals that know how much independent evidence there is."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import bdtrik, betaincinv

from autotune.outcome import Samples

MIN_BATCHES = 8
"""Fewer batch means than this say nothing about correlation."""


class Interval(NamedTuple):
    """An estimate and where the truth lies with the stated confidence; None: no bound known."""

    value: float
    low: float | None
    high: float | None


def rank_of(quantile: float, count: int) -> int:
    """Return which of `count` ordered samples, from 1, is the quantile; 1 at least.

    The inverse of the empirical distribution function (type 1 of Hyndman and Fan 1996); what is
    taken off keeps a product such as 0.95 * 100 from rounding up to the next rank.
    """
    return max(1, math.ceil(quantile * count - 1e-9))


def percentile(samples: Samples, lost: int, quantile: float) -> float:
    """Return the smallest value that at least `quantile` of all samples do not exceed.

    `lost` samples count as infinite. Empty samples give infinity.
    """
    rank = rank_of(quantile, len(samples) + lost)
    if rank > len(samples):
        return math.inf
    return float(np.partition(samples, rank - 1)[rank - 1])


def effective_count(exceeds: Samples) -> float:
    """Return how many independent samples the 0/1 series `exceeds` is worth.

    Requests in a queue are correlated: one that waits long is followed by others that do. The
    variance of the mean of a stationary series is estimated from non-overlapping batch means and
    set against that of independent samples (Heidelberger and Lewis 1984, "Quantile estimation in
    dependent sequences", for quantiles; batch means after Law, "Simulation Modeling and
    Analysis", 9.5.3). Never more than the true count.
    """
    count = len(exceeds)
    size = max(1, int(math.sqrt(count)))
    batches = count // size
    share = float(np.mean(exceeds)) if count else 0.0
    if batches < MIN_BATCHES or share in (0.0, 1.0):
        return float(count)
    means = exceeds[: batches * size].reshape(batches, size).mean(axis=1)
    inflation = size * float(np.var(means, ddof=1)) / (share * (1 - share))
    return count / max(1.0, inflation)


def percentile_interval(
    samples: Samples, lost: int, quantile: float, confidence: float = 0.95
) -> Interval:
    """Return a percentile with a two-sided interval from order statistics.

    Distribution-free: the number of samples below the true quantile is binomial (David and
    Nagaraja, "Order Statistics", 7.1), here with the effective instead of the plain count. A
    bound beyond the samples' reach is None: 300 samples do not bound a p99 from above.

    Args:
        samples: in order of arrival, any unit.
        lost: samples known only to be larger than all others.
        quantile: in (0, 1).
        confidence: of both bounds together.
    """
    value = percentile(samples, lost, quantile)
    total = len(samples) + lost
    if not total:
        return Interval(value, None, None)
    exceeds = np.concatenate([(samples > value).astype(np.float64), np.ones(lost)])
    worth = effective_count(exceeds)
    tail = (1 - confidence) / 2
    low_share = math.floor(float(bdtrik(tail, worth, quantile))) / worth
    high_share = (math.ceil(float(bdtrik(1 - tail, worth, quantile))) + 1) / worth
    ordered = np.sort(samples)
    low_rank = math.floor(low_share * total)
    high_rank = math.ceil(high_share * total - 1e-9)
    low = float(ordered[low_rank - 1]) if 1 <= low_rank <= len(ordered) else None
    high = float(ordered[high_rank - 1]) if high_rank <= len(ordered) else None
    return Interval(value, low, high)


def share_within_bounds(within: Samples, confidence: float = 0.95) -> Interval:
    """Return the share of ones in a 0/1 series with one-sided bounds, each at `confidence`.

    Clopper and Pearson (1934), with the effective count in place of the plain one.
    """
    count = len(within)
    if not count:
        return Interval(0.0, None, None)
    share = float(np.mean(within))
    worth = effective_count(1.0 - within)
    hits = share * worth
    low = float(betaincinv(hits, worth - hits + 1, 1 - confidence)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, worth - hits, confidence)) if hits < worth else 1.0
    return Interval(share, low, high)
