"""What other searches taught of a law's errors, at hand for every state of every session."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.outcome import Samples
from autotune.predict.queue_simulation import Indices, Lanes, table_sizes
from autotune.spec import SessionShape

Errors = Callable[[Sequence[tuple[SessionShape, float, float]]], Samples]
"""(Sessions, batch size, busy replicas) -> the log of the seconds that are expected over the law's,
shape (states,)."""


class Taught(NamedTuple):
    """The log of the seconds that are expected over the law's."""

    table: Samples
    """Shape (sessions, steps, levels): of batches of 2 ** step with 2 ** level replicas busy."""

    def at(self, sessions: Indices, sizes: npt.ArrayLike, busy: npt.ArrayLike) -> Samples:
        """Return it for some states, all of shape (states,); straight lines lie between powers."""
        step, step_share = _between(sizes, self.table.shape[1])
        level, level_share = _between(busy, self.table.shape[2])
        low, high = (
            self.table[sessions, step, level + more] * (1 - step_share)
            + self.table[sessions, step + 1, level + more] * step_share
            for more in (0, 1)
        )
        return np.asarray(low * (1 - level_share) + high * level_share)


def teach(lanes: Lanes, shapes: Sequence[SessionShape], errors: Errors) -> Taught:
    """Ask what is expected, once for all.

    Args:
        lanes: by the law.
        shapes: the sessions.
        errors: what is expected.
    """
    sizes = table_sizes(2 ** (lanes.alone_s.shape[1] - 1))
    levels = table_sizes(int(lanes.replicas.max()))
    states = [
        (shape, float(size), float(busy)) for shape in shapes for size in sizes for busy in levels
    ]
    return Taught(errors(states).reshape(len(shapes), len(sizes), len(levels)))


def _between(values: npt.ArrayLike, count: int) -> tuple[Indices, Samples]:
    """Return the power of two below, and how far on towards the next values are, in doublings."""
    log = np.log2(np.maximum(values, 1.0)).clip(max=count - 1)
    step = np.minimum(log.astype(np.int64), count - 2)
    return step, log - step
