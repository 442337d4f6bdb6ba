"""Requests that wait because more came than could be served: a fluid queue with a bound."""

import math

import numpy as np

from autotune.outcome import Samples


def backlogs(change: Samples, most: Samples) -> tuple[Samples, Samples]:
    """Return what waits after each window, and what was turned away in it.

    The recursion q = min(most, max(0, q + change)), from an empty queue. Its steps are functions
    of the form x -> min(high, max(low, x + by)), which compose to such a function again: so blocks
    are composed side by side, and only the blocks follow one another.

    Args:
        change: requests that came in a window less those that could be served, shape (windows,).
        most: that may wait, likewise.
    """
    count = len(change)
    if not np.any(change > 0):
        return np.zeros(count), np.zeros(count)
    length = max(1, math.isqrt(count))
    blocks = math.ceil(count / length)
    by = _columns(change, blocks, length, 0.0)
    bound = _columns(most, blocks, length, np.inf)
    waiting = _starts(by, bound)
    after = np.empty((length, blocks))
    lost = np.empty((length, blocks))
    for place in range(length):
        unbounded = np.maximum(waiting + by[place], 0.0)
        waiting = np.minimum(unbounded, bound[place])
        after[place] = waiting
        lost[place] = unbounded - waiting
    return after.T.ravel()[:count], lost.T.ravel()[:count]


def _columns(values: Samples, blocks: int, length: int, fill: float) -> Samples:
    """Return values as (length, blocks): a column is a block, whose parts follow one another."""
    padded = np.full(blocks * length, fill)
    padded[: len(values)] = values
    return np.ascontiguousarray(padded.reshape(blocks, length).T)


def _starts(by: Samples, bound: Samples) -> Samples:
    """Return what waits at the beginning of each block."""
    blocks = by.shape[1]
    shift, low, high = np.zeros(blocks), np.zeros(blocks), np.full(blocks, np.inf)
    for more, most in zip(by, bound, strict=True):
        shift = shift + more
        low = np.minimum(np.maximum(low + more, 0.0), most)
        high = np.minimum(np.maximum(high + more, 0.0), most)
    starts = np.zeros(blocks)
    for block in range(blocks - 1):
        end = min(high[block], max(low[block], starts[block] + shift[block]))
        starts[block + 1] = end
    return starts
