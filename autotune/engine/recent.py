"""The recent requests of an engine: when each was submitted, and how long it took."""

import time
from array import array

import numpy as np

from autotune.observed import Observed
from autotune.outcome import Samples

KEPT = 1 << 17
"""Requests that are remembered, in 2 MiB; at 100 requests/s the last twenty minutes."""


class RecentRequests:
    """A ring of fixed size, all of it taken at once: nothing grows. Not thread-safe."""

    def __init__(self, kept: int = KEPT) -> None:
        """Remember the last `kept` requests that ended."""
        self._submitted_s = array("d", bytes(8 * kept))
        self._taken_s = array("d", bytes(8 * kept))
        self._kept = kept
        self._next = 0
        self._count = 0

    def add(self, submitted_s: float, taken_s: float) -> None:
        """Remember a request that ended, in the place of the one that ended first.

        Args:
            submitted_s: a reading of `time.perf_counter`.
            taken_s: seconds from then to the answer; infinite: there is none.
        """
        place = self._next
        self._submitted_s[place] = submitted_s
        self._taken_s[place] = taken_s
        self._next = place + 1 if place + 1 < self._kept else 0
        self._count += 1

    def copied(self) -> tuple[Samples, Samples]:
        """Return what is remembered as `add` was told it, in no order; takes microseconds."""
        count = min(self._count, self._kept)
        return np.array(self._submitted_s[:count]), np.array(self._taken_s[:count])


def in_order(submitted_s: Samples, taken_s: Samples) -> Observed:
    """Return the same in order of arrival, in seconds since 1970."""
    order = np.argsort(submitted_s, kind="stable")
    since_s = time.time() - time.perf_counter()
    return Observed(submitted_s[order] + since_s, 1e3 * taken_s[order])
