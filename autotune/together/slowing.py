"""How much models slow each other down: measured in pairs, reckoned for all.

The executions of model a take longer beside those of b, in two ways that are measured apart: f by
what both must share whatever they do (caches, memory, the clock of the processor), one thread each,
and F where the threads of both are twice as many as the C cores. With n_a and n_b threads at once,
of which (n_a + n_b - C)+ are too many, it is taken to be between, evenly on a logarithmic scale,

    f_ab = f^(1 - e) F^e,        e = min(1, (n_a + n_b - C)+ / C)                            (1)

and b is active for a share u_b of the time, so that executions of a take longer by a factor of

    1 + sum_b u_b (f_ab - 1)                                                                 (2)

With cores of their own, threads are never too many for them: e = 0. Ours; what (2) errs by is
learnt from what is measured.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autotune.outcome import Samples

LEAST_BUSY = 0.01
"""Cores in use, below which a model is as good as absent."""


class Slowing(NamedTuple):
    """What was measured; arrays of shape (models, models): of the first, beside the second."""

    cores: int
    apart: Samples
    """f of (1)."""
    crowded: Samples
    """F of (1)."""


class Company(NamedTuple):
    """What models do to others; arrays that broadcast."""

    threads: Samples
    """That work at once, while any do."""
    active: Samples
    """Share of the time in which they do."""


def company(threads: Samples, busy_cores: Samples) -> Company:
    """Return what a configuration is to others.

    Args:
        threads: of one replica while it executes.
        busy_cores: that all of it keeps busy on average, spinning included.
    """
    at_once = np.maximum(threads, busy_cores)
    busy = np.where(busy_cores < LEAST_BUSY, 0.0, busy_cores)
    return Company(at_once, np.minimum(1.0, busy / at_once))


def slow_down(
    slowing: Slowing, model: int, threads: Samples, others: Sequence[Company | None], shared: bool
) -> Samples:
    """Return by what factor executions take longer, by (2).

    Args:
        slowing: as measured.
        model: of which they are.
        threads: of them that work at once.
        others: all models; None at the place of this one.
        shared: whether all use the same cores.
    """
    total = np.ones_like(threads, dtype=float)
    for number, other in enumerate(others):
        if other is None:
            continue
        excess = np.maximum(0.0, threads + other.threads - slowing.cores) / slowing.cores
        excess = np.minimum(1.0, excess) * shared
        low = np.log(slowing.apart[model, number])
        high = np.log(slowing.crowded[model, number])
        total = total + other.active * np.expm1(low + excess * (high - low))
    return np.asarray(np.maximum(1.0, total))
