"""Two configurations under the same arrivals: is one faster, or is it noise?"""

from collections.abc import Sequence

import numpy as np

from autotune.outcome import Measured, Samples
from autotune.stats.percentiles import Interval, rank_of

RESAMPLES = 500
MIN_BEYOND = 10
"""Requests that must lie beyond a quantile for resampling to say anything about it."""

BLOCKS_PER_ROUND = 12
"""Blocks long enough to hold a queue's busy period, and enough of them to resample."""


def comparable_quantile(requests: int, quantile: float) -> float:
    """Return the highest quantile up to `quantile` that `requests` samples let us compare."""
    return max(0.5, min(quantile, 1 - MIN_BEYOND / max(1, requests)))


def percentile_ratio(
    left: Sequence[Measured], right: Sequence[Measured], quantile: float, seed: int
) -> Interval:
    """Return latency percentile of `left` over that of `right`, with a 95 % interval.

    Both sides served the same arrivals, round by round. Whole blocks of consecutive requests are
    resampled together from both sides (moving-block bootstrap, Kunsch 1989, on pairs), which
    keeps the queue's correlation and lets the noise that both share cancel. Lost requests count
    as infinitely late; a side that loses more than the percentile allows has no finite ratio.

    Returns:
        Interval of the ratio; below 1: `left` is faster. None bounds: not finite.
    """
    rounds = [_paired(a, b) for a, b in zip(left, right, strict=True)]
    pair = np.concatenate(rounds, axis=1)
    point = _ratio(pair, quantile)
    rng = np.random.default_rng(seed)
    ratios = np.array([_ratio(_resample(rounds, rng), quantile) for _ in range(RESAMPLES)])
    if np.isnan(ratios).any() or np.isnan(point):
        return Interval(point, None, None)
    low, high = np.quantile(ratios, [0.025, 0.975], method="inverted_cdf")
    return Interval(
        point, float(low) if np.isfinite(low) else None, float(high) if np.isfinite(high) else None
    )


def _paired(left: Measured, right: Measured) -> Samples:
    """Latencies of both sides over the same schedule, shape (2, requests); lost are infinite."""
    offered = max(len(run.scheduled_s) + run.lost for run in (left, right))
    pair = np.full((2, offered), np.inf)
    for row, run in enumerate((left, right)):
        pair[row, : len(run.scheduled_s)] = run.latency_s
    return pair


def _resample(rounds: Sequence[Samples], rng: np.random.Generator) -> Samples:
    pieces = []
    for pair in rounds:
        count = pair.shape[1]
        length = max(1, count // BLOCKS_PER_ROUND)
        starts = rng.integers(0, count - length + 1, -(-count // length))
        index = (starts[:, None] + np.arange(length)).ravel()[:count]
        pieces.append(pair[:, index])
    return np.concatenate(pieces, axis=1)


def _ratio(pair: Samples, quantile: float) -> float:
    rank = rank_of(quantile, pair.shape[1])
    left, right = np.partition(pair, rank - 1, axis=1)[:, rank - 1]
    if np.isinf(left) and np.isinf(right):
        return float("nan")
    return float(left / right)
