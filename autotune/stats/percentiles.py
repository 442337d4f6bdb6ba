"""Percentiles with intervals that know how much independent evidence there is."""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import betainc, ndtri, stdtrit

from autotune.outcome import Flags, Samples
from autotune.stats.correlation import BATCH_SPANS, dependence, lower_levels

MIN_BEYOND = 10.0
"""Independent requests that must be expected beyond a percentile for an upper bound of it to hold
in practice: with fewer, how strongly requests cluster cannot be told (tests/stats/coverage)."""


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


def effective_count(
    latencies: Samples, fresh: Flags | None, level: float, quantile: float
) -> float:
    """Return how many independent requests the run is worth for the share that exceeds `level`.

    The largest inflation at `level` and at the levels below it counts, for few clusters beyond a
    high level say little about their size. The inflation is itself an estimate, from as many spans
    of requests as are long enough to be nearly independent: hence the factor (t / z)^2 at so many
    degrees of freedom, after Student.

    Args:
        latencies: in order of arrival, lost ones infinite.
        fresh: which requests found a replica free; None: unknown.
        level: in the unit of the latencies.
        quantile: about which quantile `level` is.
    """
    levels = np.append(lower_levels(latencies, level, quantile), level)
    inflation = float(dependence(latencies, fresh, levels).inflation.max())
    spans = max(2.0, len(latencies) / (BATCH_SPANS * inflation))
    uncertainty = float(stdtrit(spans, 0.975) / ndtri(0.975)) ** 2
    return len(latencies) / (inflation if inflation == 1.0 else inflation * uncertainty)


def percentile_interval(
    samples: Samples,
    lost: int,
    quantile: float,
    confidence: float = 0.95,
    fresh: Flags | None = None,
) -> Interval:
    """Return a percentile with a two-sided interval from order statistics.

    Distribution-free: the share of samples below the true quantile is beta distributed (David and
    Nagaraja, "Order Statistics", 7.1), here with the effective instead of the plain count, and at
    fractional ranks between which samples are interpolated (Hutson 1999, "Calculating
    nonparametric confidence intervals for quantiles using fractional order statistics"), so that
    the interval is no wider than stated. A bound beyond the samples' reach is None.

    Args:
        samples: in order of arrival, any unit.
        lost: samples known only to be larger than all others.
        quantile: in (0, 1).
        confidence: of both bounds together.
        fresh: which samples found a replica free, shape (samples,); None: unknown.
    """
    value = percentile(samples, lost, quantile)
    total = len(samples) + lost
    if not total:
        return Interval(value, None, None)
    everything = np.concatenate([samples, np.full(lost, np.inf)])
    if fresh is not None:
        fresh = np.concatenate([fresh, np.zeros(lost, dtype=np.bool_)])
    level = value if math.isfinite(value) else float(samples.max(initial=0.0))
    worth = effective_count(everything, fresh, level, quantile)
    ordered = np.sort(everything)
    tail = (1 - confidence) / 2
    low = _at_rank(ordered, _fractional_rank(quantile, worth, 1 - tail), worth)
    known = worth * (1 - quantile) >= MIN_BEYOND
    high = _at_rank(ordered, _fractional_rank(quantile, worth, tail), worth) if known else None
    return Interval(value, low, high)


def _fractional_rank(quantile: float, worth: float, probability: float) -> float | None:
    """Return the rank r at which Beta(r, worth + 1 - r) is below `quantile` so probably."""

    def excess(rank: float) -> float:
        return float(betainc(rank, worth + 1 - rank, quantile)) - probability

    least, most = 1e-9, worth + 1 - 1e-9
    if excess(least) < 0 or excess(most) > 0:
        return None
    return float(brentq(excess, least, most))


def _at_rank(ordered: Samples, rank: float | None, worth: float) -> float | None:
    """Return the value at a rank among `worth` samples, interpolated; None beyond the samples."""
    if rank is None:
        return None
    position = rank / (worth + 1) * (len(ordered) + 1)
    if not 1 <= position <= len(ordered):
        return None
    below = int(position)
    low, high = float(ordered[below - 1]), float(ordered[min(below, len(ordered) - 1)])
    value = low + (position - below) * (high - low) if position > below and low < high else low
    return value if math.isfinite(value) else None
