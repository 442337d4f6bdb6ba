"""A record in blocks of requests, so long that each tells little about the next."""

from typing import NamedTuple

import numpy as np

from autotune.observed import Observed
from autotune.outcome import Samples
from autotune.stats.correlation import BATCH_SPANS, LEVELS, dependence

SPANS = 1.5 * BATCH_SPANS
"""Half as many again as where the largest dependence of all counts."""
LEAST = 100
"""Requests of a block, at least."""
MOST_BLOCKS = 20_000
PIECE = 2_000
"""Requests of a piece in which dependence is looked at, at least where there are many."""
FEW_PIECES, MANY_PIECES = 4, 8


class Blocks(NamedTuple):
    """Consecutive requests, the earliest left out where they fill no block."""

    size: int
    begun_s: Samples
    """When the first request of each arrived, shape (blocks,)."""
    ended_s: Samples
    """When the first after it did; of the last block, its last request."""
    latency_ms: Samples
    """Shape (blocks, size); never answered: infinite."""
    load_rps: Samples
    """Requests/s of each, shape (blocks,)."""
    highest_rps: Samples
    """The higher of each block's halves and the block before: what its queue may come from."""
    lowest_rps: Samples
    """Likewise the lowest."""


def cut(found: Observed, least: float) -> Blocks:
    """Cut a record into blocks of `least` requests, and of more where they wait together."""
    count = len(found.arrived_s)
    size = _block_size(found.latency_ms, least)
    blocks = count // size
    first = count - blocks * size
    latency_ms = found.latency_ms[first:].reshape(blocks, size)
    begun_s = found.arrived_s[first::size]
    ended_s = np.append(begun_s[1:], found.arrived_s[-1:])[:blocks]
    middle_s = found.arrived_s[first + size // 2 :: size][:blocks]
    load_rps = _rate(size, begun_s, ended_s)
    halves = np.stack(
        [_rate(size // 2, begun_s, middle_s), _rate(size - size // 2, middle_s, ended_s)]
    )
    before = np.concatenate([load_rps[:1], load_rps[:-1]])
    seen = np.concatenate([halves, [load_rps, before]])
    return Blocks(size, begun_s, ended_s, latency_ms, load_rps, seen.max(axis=0), seen.min(axis=0))


def _rate(count: int, begun_s: Samples, ended_s: Samples) -> Samples:
    with np.errstate(divide="ignore"):
        return np.asarray(count / (ended_s - begun_s))


def _block_size(latency_ms: Samples, least: float) -> int:
    """Return how many requests tell little about as many that follow.

    So many times as many as count for one. How many do is looked at in pieces, each against its
    own quantiles, and the lower median counts: a change of the latencies, behind which a queue may
    grow without end, must not pass for dependence.
    """
    count = len(latency_ms)
    pieces = int(np.clip(count // PIECE, FEW_PIECES, MANY_PIECES))
    found = sorted(_inflation(piece) for piece in np.array_split(latency_ms, pieces))
    size = max(LEAST, least, SPANS * found[(pieces - 1) // 2], count / MOST_BLOCKS)
    return int(np.ceil(size))


def _inflation(latency_ms: Samples) -> float:
    if not len(latency_ms):
        return 1.0
    levels = np.unique(np.quantile(latency_ms, LEVELS[:-1], method="inverted_cdf"))
    return float(dependence(latency_ms, None, levels).inflation.max())
