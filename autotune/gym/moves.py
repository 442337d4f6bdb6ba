"""Where a move leads: to the next value of one axis, or, in a recording, as near to it as can be.

Action 0 stays; 2 a + 1 and 2 a + 2 go one value up and down axis a.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from autotune.outcome import Flags, Samples

STAY = 0
IDLE_AXES = ("spinning", "batch_timeout")
"""Knobs that mean nothing at some values of others, where their coordinate is 0."""


def actions(axes: int) -> int:
    """Return how many actions there are."""
    return 1 + 2 * axes


class Moves:
    """The steps on a lattice."""

    def __init__(self, coordinates: Samples, axes: Sequence[str], known: Flags | None) -> None:
        """Number the values of each axis.

        Args:
            coordinates: shape (points, axes).
            axes: their names.
            known: shape (points,): which points may be gone to, and steps that lead to another go
                to the nearest of them instead; None: all, and steps that lead nowhere are refused.
        """
        found = [np.unique(column, return_inverse=True)[1] for column in coordinates.T]
        self._places = np.stack(found, axis=1).astype(np.int64)
        self._shape = self._places.max(axis=0) + 1
        self._idle = tuple(number for number, name in enumerate(axes) if name in IDLE_AXES)
        self._known = known
        self._at = {int(flat): point for point, flat in enumerate(self._flat(self._places))}
        self.actions = actions(len(axes))

    def target(self, point: int, action: int) -> int | None:
        """Return the point that an action leads to; None: nowhere."""
        if action == STAY:
            return point
        axis, down = divmod(action - 1, 2)
        step = -1 if down else 1
        return (
            self._exact(point, axis, step) if self._known is None else self._near(point, axis, step)
        )

    def mask(self, point: int) -> npt.NDArray[np.int8]:
        """Return which actions lead somewhere, shape (actions,), as `Discrete.sample` takes it."""
        found = [self.target(point, action) is not None for action in range(self.actions)]
        return np.array(found, dtype=np.int8)

    def _exact(self, point: int, axis: int, step: int) -> int | None:
        wanted = self._places[point].copy()
        wanted[axis] += step
        if not 0 <= wanted[axis] < self._shape[axis]:
            return None
        idle = [other for other in self._idle if other != axis and wanted[other]]
        # Spinning of a lone thread, and a batch of one that waits: the knob is let go of.
        for dropped in ([], *([one] for one in idle), idle):
            place = wanted.copy()
            place[dropped] = 0
            point_there = self._at.get(int(self._flat(place)))
            if point_there is not None:
                return point_there
        return None

    def _near(self, point: int, axis: int, step: int) -> int | None:
        wanted = self._places[point].copy()
        wanted[axis] += step
        ahead = step * (self._places[:, axis] - self._places[point, axis]) > 0
        candidates = np.flatnonzero(ahead & (True if self._known is None else self._known))
        if not len(candidates):
            return None
        apart = np.abs(self._places[candidates] - wanted).sum(axis=1)
        return int(candidates[np.argmin(apart)])

    def _flat(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.asarray(np.ravel_multi_index(tuple(places.T), tuple(self._shape)))
