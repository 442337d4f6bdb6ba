"""Has a mean risen above what was promised, and since when? A test that may look all the time.

A bettor starts at every block with a wealth of one and bets on a mean above one: after blocks
x_j, ..., x_t, each at least zero, wealth is the product of 1 + l (x_i - 1) for a stake l in
[0, 1). Where each block's mean, given those before it, is at most one, no bettor can expect to
gain, whatever the distribution (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random
variables by betting", whose capital process this is; theirs asks for a mean equal to m, and bets on
either side). The wealth of all bettors together,

    M_t = (1 + M_(t-1)) (1 + l (x_t - 1)),    M_0 = 0,

is a Shiryaev-Roberts e-detector, a sum of e-processes begun one after the other (Shin, Ramdas and
Rinaldo 2022, "E-detectors: a nonparametric framework for sequential change detection", arXiv
2203.03532), here averaged over stakes as their mixtures are. In a record of T blocks, M_t and what
the T - t bettors still hold who have not begun are T together at first, and expected to fall from
then on; so by Ville's inequality the chance that M_t ever reaches T / alpha is alpha at most. That
is the chance of any false alarm in the whole record, wherever one looks.

No block may bring more than a third of what an alarm takes, for one long busy period must raise
none; to gain less than one might leaves the test valid.
"""

import math
from typing import NamedTuple

import numpy as np

from autotune.outcome import Samples

STAKES = np.array([0.03, 0.08, 0.2, 0.4, 0.65, 0.9])
"""From small changes seen by patience to large ones seen at once."""
MIN_BLOCKS = 3
"""That an alarm takes, at least."""


class Risen(NamedTuple):
    """A mean that is proven to have risen. Places are of blocks, from 0."""

    alarm: int
    """The block after which that was proven."""
    first: int
    """Where the change most likely lies: the stretch on which some bettor gained most."""
    last: int
    """The end of that stretch, included; the last block of all where it goes on."""


def risen(blocks: Samples, alpha: float) -> Risen | None:
    """Return whether and where the mean rose above one; None: not proven.

    Args:
        blocks: at least zero, shape (blocks,), each nearly independent of those before it.
        alpha: the chance of a false alarm in all of them, where no mean is above one.
    """
    if not len(blocks):
        return None
    summed = _summed(blocks, alpha)
    over = np.flatnonzero(_log_wealth(summed) >= -math.log(alpha))
    if not len(over):
        return None
    return Risen(int(over[0]), *_stretch(summed, -math.log(alpha) / MIN_BLOCKS))


def would_tell(blocks: Samples, factor: float, alpha: float) -> bool:
    """Return whether blocks like these, with a mean of `factor`, would have raised an alarm."""
    mean = float(blocks.mean()) if len(blocks) else 0.0
    scaled = blocks * (factor / mean) if mean > 0 else np.full(len(blocks), factor)
    return risen(scaled, alpha) is not None


def _summed(blocks: Samples, alpha: float) -> Samples:
    """Logarithms of the first bettor's wealth, shape (stakes, blocks + 1)."""
    gains = np.log1p(STAKES[:, None] * (blocks[None, :] - 1))
    gains = np.minimum(gains, math.log(len(blocks) / alpha) / MIN_BLOCKS)
    return np.asarray(np.concatenate([np.zeros((len(STAKES), 1)), gains.cumsum(axis=1)], axis=1))


def _log_wealth(summed: Samples) -> Samples:
    """Return log(M_t / T), averaged over the stakes, shape (blocks,)."""
    # M_t is the sum over starts j of exp(S_t - S_(j-1)).
    held = summed[:, 1:] + np.logaddexp.accumulate(-summed[:, :-1], axis=1)
    mixed = np.logaddexp.reduce(held, axis=0)
    return np.asarray(mixed - math.log(len(STAKES)) - math.log(summed.shape[1] - 1))


def _stretch(summed: Samples, clear: float) -> tuple[int, int]:
    """The bounds, included, of the stretch on which any stake gained most (Kadane's algorithm).

    It goes on to the last block of all unless the same stake lost `clear` by then.
    """
    lowest = np.minimum.accumulate(summed[:, :-1], axis=1)
    gained = summed[:, 1:] - lowest
    # Of stakes that gained alike the highest, which loses most where the change has ended.
    back, last = np.unravel_index(int(gained[::-1].argmax()), gained.shape)
    stake = len(gained) - 1 - back
    # The last of equals: blocks that gained nothing are none of the change.
    before = summed[stake, : last + 1]
    first = int(np.flatnonzero(before == before.min())[-1])
    ended = summed[stake, last + 1] - summed[stake, -1] >= clear
    return first, int(last) if ended else summed.shape[1] - 2
