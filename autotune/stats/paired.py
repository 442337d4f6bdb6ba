"""Two configurations under the same arrivals: is one faster, or is it noise?

Rounds are interleaved; chance decides who goes first in one, and the next is the other way round.
If the two do not differ, then whatever the machine did meanwhile (a neighbour, a hot processor, a
slow minute) hit either of them with equal chance, so the difference of a round is as likely
positive as negative, whatever the noise is like. Wilcoxon's signed-rank test of the rounds'
log-ratios needs no more than that, and a disturbed round cannot outweigh the others; the interval
is the one of Walsh averages that belongs to it, the estimate that of Hodges and Lehmann (Hollander,
Wolfe and Chicken, "Nonparametric Statistical Methods", 3.1 to 3.3; for the chance, Fisher 1935,
"The Design of Experiments", 21).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from autotune.outcome import Measured, Samples
from autotune.stats.percentiles import percentile

MIN_BEYOND = 2
"""Requests that must lie beyond a quantile in each round for a comparison at it."""
ALPHA = 0.05
MIN_ROUNDS = 6
"""With fewer, even a difference in every round is no evidence at 5 %: 2 / 2^5 = 0.0625."""
_LOST = math.log(1e3)
"""Stands for the log-ratio of an infinite latency to a finite one."""


class Comparison(NamedTuple):
    """One side over the other: below 1 the left is less. None: cannot be told, or no bound."""

    ratio: float | None
    low: float | None
    high: float | None
    """95 % interval of the ratio."""
    p_value: float
    """How often a difference as clear comes about where there is none."""

    @property
    def differs(self) -> bool:
        """Whether it is more than noise, at 5 %."""
        return self.p_value <= ALPHA


def comparable_quantile(requests: int, quantile: float) -> float:
    """Return the highest quantile up to `quantile` that rounds of `requests` let us compare."""
    return max(0.5, min(quantile, 1 - MIN_BEYOND / max(1, requests)))


def compare_latency(
    left: Sequence[Measured], right: Sequence[Measured], quantile: float
) -> Comparison:
    """Compare a latency percentile round by round; round i of both served the same arrivals.

    Raises:
        ValueError: the sides have different numbers of rounds.
    """
    pairs = [
        [percentile(run.latency_s, run.lost, quantile) for run in pair]
        for pair in zip(left, right, strict=True)
    ]
    finite = all(map(math.isfinite, (value for pair in pairs for value in pair)))
    found = compare_rounds(np.array([_log_ratio(*pair) for pair in pairs]))
    return found if finite else Comparison(None, None, None, found.p_value)


def compare_cpu(left: Sequence[Measured], right: Sequence[Measured]) -> Comparison:
    """Compare CPU time per request round by round.

    Raises:
        ValueError: the sides have different numbers of rounds.
    """
    return compare_costs(left, right, lambda run: run.cpu_s / max(1, run.served))


def compare_costs(
    left: Sequence[Measured], right: Sequence[Measured], cost: Callable[[Measured], float]
) -> Comparison:
    """Compare what a request costs round by round; rounds in which it is not above 0 are left out.

    Raises:
        ValueError: the sides have different numbers of rounds.
    """
    pairs = [[cost(run) for run in pair] for pair in zip(left, right, strict=True)]
    return compare_rounds(np.array([_log_ratio(*pair) for pair in pairs if min(pair) > 0]))


def compare_rounds(log_ratios: Samples) -> Comparison:
    """Compare from the natural logs of the rounds' ratios, shape (rounds,)."""
    count = len(log_ratios)
    if not count:
        return Comparison(None, None, None, 1.0)
    first, second = np.triu_indices(count)
    walsh = np.sort((log_ratios[first] + log_ratios[second]) / 2)
    # Averages above zero, ties counted half, are the sum of the ranks of positive differences.
    positive = float(np.sum(walsh > 0) + np.sum(walsh == 0) / 2)
    tails = _rank_sum_tails(count)
    p_value = min(1.0, 2 * float(tails[math.ceil(min(positive, len(walsh) - positive))]))
    beyond = int(np.searchsorted(tails, ALPHA / 2, side="right"))  # averages outside, on each side
    return Comparison(
        math.exp(float(np.median(walsh))),
        math.exp(float(walsh[beyond - 1])) if beyond else None,
        math.exp(float(walsh[-beyond])) if beyond else None,
        p_value,
    )


def _rank_sum_tails(count: int) -> Samples:
    """Return P(rank sum <= s) for s = 0, 1, ... where each of the ranks 1 to `count` has a coin."""
    chances = np.zeros(count * (count + 1) // 2 + 1)
    chances[0] = 1.0
    for rank in range(1, count + 1):
        chances[rank:] = (chances[rank:] + chances[:-rank]) / 2
        chances[:rank] /= 2
    return np.cumsum(chances)


def _log_ratio(left: float, right: float) -> float:
    if math.isinf(left) or math.isinf(right):
        return _LOST * (math.isinf(left) - math.isinf(right))
    return math.log(left / right)
