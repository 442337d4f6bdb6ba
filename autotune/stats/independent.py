"""Two measurements made apart, on different days or machines: do they differ, or is it noise?

Each side is an estimate with a 95 % interval, on a scale on which noise is about symmetric: the
logarithm of a latency, or a share. The difference of two independent estimates has the interval
whose distances to either side are the roots of the summed squares of theirs (method of variance
estimates recovery: Zou and Donner 2008, "Construction of confidence limits about effect measures:
a general approach"; for shares, Newcombe 1998). No more is needed of a side than its interval, and
that may be lopsided. How often chance alone makes such a difference is read off the interval as if
noise were normal; many such chances at once are allowed for after Holm (1979).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit

from autotune.outcome import Samples

CONFIDENCE = 0.95
_Z = 1.959964
MIN_ROUNDS = 3
"""With fewer, how much rounds vary is hardly known."""
LEAST_SPREAD = 0.01
"""Standard deviation of the logarithms of rounds, at least: a few can look steadier than they
are."""


class Estimate(NamedTuple):
    """A value and where the truth lies at 95 %; None: no bound known."""

    value: float
    low: float | None
    high: float | None


NOTHING = Estimate(0.0, 0.0, 0.0)
"""Of what cannot differ."""


def of_rounds(logs: Samples) -> Estimate:
    """Return the mean of independent rounds with Student's interval; shape (rounds,), logarithms.

    Raises:
        ValueError: there are fewer than two.
    """
    count = len(logs)
    if count < 2:
        raise ValueError("one round does not say how much rounds vary")
    spread = max(LEAST_SPREAD, float(np.std(logs, ddof=1)))
    half = _student(count) * spread / math.sqrt(count)
    mean = float(np.mean(logs))
    return Estimate(mean, mean - half, mean + half)


def of_share(hits: Samples, counts: Samples) -> Estimate:
    """Return a share, hits over counts of independent rounds, with Wilson's interval (1927).

    Requests of one round are alike, so they count as fewer: the variance between rounds, as of a
    ratio of means (Cochran, "Sampling Techniques", 6.4), over that of as many independent ones,
    with Student's allowance for few rounds.

    Args:
        hits: shape (rounds,), of `counts` requests each.
        counts: shape (rounds,), at least one above zero.
    """
    total = float(counts.sum())
    share = float(hits.sum()) / total
    worth = total
    if 0 < share < 1 and len(counts) > 1:
        rounds = len(counts)
        between = rounds / (rounds - 1) * float(np.sum((hits - share * counts) ** 2)) / total**2
        inflation = between / (share * (1 - share) / total)
        worth = total / max(1.0, inflation * (_student(rounds) / _Z) ** 2)
    spread = _Z**2 / worth
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half))


def subtract(left: Estimate, right: Estimate) -> Estimate:
    """Return left - right, of independent estimates."""
    value = left.value - right.value
    below = _length(left.value, left.low, right.high, right.value)
    above = _length(left.high, left.value, right.value, right.low)
    return Estimate(
        value,
        None if below is None else value - below,
        None if above is None else value + above,
    )


def chance(difference: Estimate, margin: float = 0.0) -> float | None:
    """Return how often chance makes a difference as clear, where there is one of `margin` at most.

    Two-sided; None where the side that matters has no bound.
    """
    value, low, high = difference
    ends = (low, low) if value > 0 else (high, high) if value < 0 else (low, high)
    if None in ends:
        return None
    if abs(value) <= margin:
        return 1.0
    half = abs(value - (ends[0] or 0.0))
    return 2 * float(ndtr(-_Z * (abs(value) - margin) / half)) if half else 0.0


def holm(chances: Sequence[float]) -> list[float]:
    """Return each chance as it counts among all: at most 5 % of such families hold a false one."""
    order = sorted(range(len(chances)), key=chances.__getitem__)
    adjusted, highest = [0.0] * len(chances), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[place]))
        adjusted[place] = highest
    return adjusted


def _student(count: int) -> float:
    return float(stdtrit(count - 1, (1 + CONFIDENCE) / 2))


def _length(*ends: float | None) -> float | None:
    """Root of the summed squares of (first - second) and (third - fourth); None: one is unknown."""
    first, second, third, fourth = ends
    if first is None or second is None or third is None or fourth is None:
        return None
    return math.hypot(first - second, third - fourth)
