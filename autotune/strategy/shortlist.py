"""Which pairs are worth a look where there are too many to look at all, and where to begin blind.

Bookkeeping for `rrl.py`, which says what a pair is worth.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from autotune.outcome import Samples

Indices = npt.NDArray[np.int64]
"""Of pairs: load * points + point."""

CANDIDATES = 4096
"""Most pairs looked at at once."""
WEIGHED = 400_000
"""Likewise times the measured pairs, so that asking stays quick."""
NEAR = 256
"""Neighbours of one of the best."""


class View(NamedTuple):
    """Pairs that may be measured next, arrays of shape (pairs,)."""

    pairs: Indices
    mean: Samples
    deviation: Samples
    promise: Samples
    """Chance that it works and keeps the limit."""
    z: Samples
    """Deviations by which it is expected to beat what would be worth having; -inf: no entry yet."""
    most: Samples
    """Deviations that count at most."""
    weight: Samples
    """Open pairs that each speaks for, itself included."""


class Shortlist:
    """Draws, from a seed, the open pairs that one choice is made among."""

    def __init__(
        self, points: Samples, loads: Samples, predicted: Samples | None, seed: int
    ) -> None:
        """Know where pairs lie, shapes (points, knobs) and (loads, 1), and what is predicted."""
        self._points, self._loads, self._seed = points, loads, seed
        self._columns = np.ascontiguousarray(points.T, dtype=np.float32)  # quick for millions
        self._rng = np.random.default_rng(seed)
        self._promising = _by_prediction(predicted)
        self._near: dict[int, Indices] = {}

    def draw(
        self, still_open: npt.NDArray[np.bool_], told: int, best: list[list[int]]
    ) -> tuple[Indices, Samples]:
        """Return open pairs: all, or those predicted best, those near the best, and some others.

        With each comes for how many it stands: the others were drawn from all that is left.

        Args:
            still_open: shape (loads, points).
            told: number of pairs measured.
            best: the best points at each load.
        """
        most = min(CANDIDATES, WEIGHED // max(1, told))
        if still_open.size <= most:
            pairs = np.flatnonzero(still_open)
            return pairs, np.ones(len(pairs))
        near = [
            load * len(self._points) + self._near_to(point)
            for load, points in enumerate(best)
            for point in points[:2]
        ]
        chosen = np.unique(np.concatenate([self._promising[: most // 2], *near]))
        chosen = chosen[still_open.ravel()[chosen]].astype(np.int64)
        some = np.unique(self._rng.integers(0, still_open.size, most // 4))
        some = np.setdiff1d(some[still_open.ravel()[some]], chosen)
        left = still_open.sum() - len(chosen)
        weight = np.repeat([1.0, left / max(1, len(some))], [len(chosen), len(some)])
        return np.concatenate([chosen, some]), weight

    def spread(self) -> list[int]:
        """Return a few pairs well spread over all, the middle last: a scrambled Sobol sequence."""
        spans = np.append(np.ptp(self._loads, axis=0), np.ptp(self._points, axis=0))
        live = np.flatnonzero(spans)
        count = len(live) + 1
        wanted = np.zeros((2 ** count.bit_length(), 1 + self._points.shape[1]))
        if len(live):
            wanted[:, live] = qmc.Sobol(len(live), seed=self._seed).random(len(wanted))
            wanted[count - 1, live] = 0.5
        found: dict[int, None] = {}
        for place in wanted[:count]:
            load = int(np.argmin(np.abs(self._loads[:, 0] - place[0])))
            point = int(np.argmin(np.abs(self._points - place[1:]).sum(axis=1)))
            found[load * len(self._points) + point] = None
        return list(found)

    def _near_to(self, point: int) -> Indices:
        if point not in self._near:
            away = np.zeros(len(self._points), dtype=np.float32)
            for column in self._columns:
                away += np.abs(column - column[point])
            count = min(NEAR, len(away) - 1)
            self._near[point] = np.argpartition(away, count)[:count]
        return self._near[point]


def _by_prediction(predicted: Samples | None) -> Indices:
    """The pairs predicted best, each load's in turn."""
    if predicted is None:
        return np.array([], dtype=np.int64)
    loads, points = predicted.shape
    count = min(points, CANDIDATES // loads)
    ranked = [np.argpartition(row, count - 1)[:count] for row in predicted]
    ranked = [row[np.argsort(predicted[load, row])] for load, row in enumerate(ranked)]
    return np.asarray((np.array(ranked).T + points * np.arange(loads)).ravel(), dtype=np.int64)


def scaled(coordinates: Samples) -> Samples:
    """Every knob from 0 to 1; one that has a single value at 0."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    return np.asarray((coordinates - low) / np.where(high > low, high - low, 1.0))
