"""What an execution costs after a rest, when clocks, caches and threads have gone to sleep.

    extra(g) = w (1 - exp(-g / REST_S))                                                      (1)

g is for how long the replica had nothing to do. w differs from one execution to the next: it is
drawn from what paced corners showed, of sessions whose threads sleep or spin, begun alone or beside
an execution that ran already (a thread that wakes may be put on the core of one that works).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autotune.outcome import Samples
from autotune.service import REST_DRAWS
from autotune.spec import Record, SessionShape
from autotune.stats.service import rested

SLEEPING, SPINNING = 0, 1
ALONE, BESIDE = 0, 1
LEAST_RESTED = 0.5
"""Of (1): executions after shorter rests tell little of w."""
LEAST_RESTS = 10
"""Executions from which w is told."""


class Paced(Record, frozen=True, eq=False):
    """A corner with pauses; arrays over its executions."""

    shape: SessionShape
    seconds: Samples
    rest_s: Samples
    """For how long the replica had nothing to do before."""
    others: Samples
    """Replicas that were executing when it began."""


class Steady(NamedTuple):
    """Median seconds of the same sessions without pauses."""

    alone_s: float
    all_busy_s: float


def fit_rests(paced: Sequence[tuple[Paced, Steady]]) -> Samples:
    """Return w of (1) in seconds, shape (SLEEPING/SPINNING, ALONE/BESIDE, REST_DRAWS), sorted.

    What was not seen is taken from what is most like it; 0 where nothing was.
    """
    found = np.zeros((2, 2, REST_DRAWS))
    for one, steady in paced:
        kind = SPINNING if one.shape.spinning else SLEEPING
        share, beside = rested(one.rest_s), one.others > 0
        extra_s = one.seconds - np.where(beside, steady.all_busy_s, steady.alone_s)
        known = []
        for place, own in ((ALONE, ~beside), (BESIDE, beside)):
            tells = own & (share >= LEAST_RESTED)
            if tells.sum() >= LEAST_RESTS:
                w_s = np.maximum(0.0, extra_s[tells] / share[tells])
                found[kind, place] = np.quantile(w_s, (np.arange(REST_DRAWS) + 0.5) / REST_DRAWS)
                known.append(place)
        if len(known) == 1:
            found[kind] = found[kind, known[0]]
    return found
