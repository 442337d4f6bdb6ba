"""What is kept of a trace while it passes: counts by bin, exact stretches, gaps.

Memory is the same for any number of requests: 2**21 counts and 2**19 times.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.outcome import Samples

FIRST_BIN_S = 0.05
MOST_BINS = 1 << 21
MOST_EXCERPTS = 64
EXCERPT_REQUESTS = 8192
SHORTEST_GAP_S = 60.0
GAP_SHARE = 0.05
"""Of the time: what is at least as long is a gap."""
_ENOUGH = 16
"""Requests that tell in which unit times are written."""
_MOST_GAPS = round(1 / GAP_SHARE)


class Gap(NamedTuple):
    """A time without requests."""

    began_s: float
    """From the trace's start."""
    lasted_s: float


class Tally:
    """Counts, stretches and gaps of arrivals that are added in order of time."""

    def __init__(self, seed: int = 0) -> None:
        """Start empty; `seed` decides which stretches are kept."""
        self.requests = 0
        self.last_s = 0.0
        self.spread_s = 0.0
        """Seconds in which times were written, where they were spread; 0: they were not."""
        self.bin_s = FIRST_BIN_S
        self._counts = np.zeros(MOST_BINS, np.int64)
        self._rng = np.random.default_rng(seed)
        self._stretches = _Stretches(np.random.default_rng((seed, 1)))
        self._gaps: list[Gap] = []
        self._last_spread_s = 0.0

    def add(self, times_s: Samples) -> None:
        """Add arrivals, seconds from the trace's start, ascending, none before those added."""
        if not len(times_s):
            return
        self._add_gaps(times_s)
        self.requests += len(times_s)
        self.last_s = float(times_s[-1])
        times_s = self._spread(times_s)
        self._add_counts(times_s)
        self._stretches.add(times_s)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Requests by bin of `bin_s` seconds, up to the last request."""
        last = int(max(self.last_s, self._last_spread_s) / self.bin_s)
        return self._counts[: last + 1].copy()

    @property
    def stretches(self) -> list[Samples]:
        """At most 64 runs of up to 8192 arrivals in a row; of up to 2**19 requests all."""
        return self._stretches.kept

    @property
    def gaps(self) -> list[Gap]:
        """Those longer than a minute and a twentieth of the time, the longest first."""
        least_s = max(SHORTEST_GAP_S, GAP_SHARE * self.last_s)
        return [gap for gap in self._gaps if gap.lasted_s > least_s]

    def _spread(self, times_s: Samples) -> Samples:
        """Spread times that were written in whole seconds or minutes evenly at random in them.

        As they stand, all requests of a second would seem to come at once. A second with one
        request tells nothing of how times were written, so there must be more of them.
        """
        moments = 1 + np.count_nonzero(np.diff(times_s))
        has_many = len(times_s) >= max(_ENOUGH, 1.5 * moments)
        if has_many and np.all(times_s == np.floor(times_s)):
            tick_s = 60.0 if moments > 2 and np.all(times_s % 60.0 == 0) else 1.0
            self.spread_s = max(self.spread_s, tick_s)
            times_s = np.sort(times_s + tick_s * self._rng.random(len(times_s)))
        if self.spread_s:
            times_s = np.maximum(times_s, self._last_spread_s)
            self._last_spread_s = float(times_s[-1])
        return times_s

    def _add_counts(self, times_s: Samples) -> None:
        while times_s[-1] / self.bin_s >= MOST_BINS:
            half = MOST_BINS // 2
            self._counts[:half] = self._counts.reshape(half, 2).sum(axis=1)
            self._counts[half:] = 0
            self.bin_s *= 2
        places = (times_s / self.bin_s).astype(np.int64)
        first = int(places[0])
        some = np.bincount(places - first)
        self._counts[first : first + len(some)] += some

    def _add_gaps(self, times_s: Samples) -> None:
        lasted_s = np.diff(times_s, prepend=self.last_s)
        for place in np.flatnonzero(lasted_s > max(SHORTEST_GAP_S, GAP_SHARE * self.last_s)):
            length_s = float(lasted_s[place])
            self._gaps.append(Gap(float(times_s[place]) - length_s, length_s))
            if len(self._gaps) > 4 * _MOST_GAPS:
                self._drop_gaps()
        self._drop_gaps()

    def _drop_gaps(self) -> None:
        """Keep the longest: no more than 20 can be a twentieth of the time each."""
        self._gaps = sorted(self._gaps, key=lambda gap: -gap.lasted_s)[:_MOST_GAPS]


class _Stretches:
    """One run of requests out of each of at most 64 equal parts of the requests so far.

    The parts double when there are 64 of them: of two, the run of one stays, each as likely, so
    every run of a part has the same chance (stratified sampling with one per stratum).
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._kept: list[Samples] = []
        self._seen = 0
        """Runs that passed."""
        self._runs_a_part = 1
        self._wanted = 0
        self._rest = np.empty(0)

    @property
    def kept(self) -> list[Samples]:
        has_room = self._runs_a_part == 1 and len(self._kept) < MOST_EXCERPTS
        return self._kept + ([self._rest] if has_room and len(self._rest) else [])

    def add(self, times_s: Samples) -> None:
        pool = np.concatenate([self._rest, times_s])
        whole = len(pool) // EXCERPT_REQUESTS
        for run in pool[: whole * EXCERPT_REQUESTS].reshape(whole, EXCERPT_REQUESTS):
            self._offer(run)
        self._rest = pool[whole * EXCERPT_REQUESTS :].copy()

    def _offer(self, run: Samples) -> None:
        if self._seen == MOST_EXCERPTS * self._runs_a_part:
            chosen = self._rng.integers(2, size=MOST_EXCERPTS // 2)
            self._kept = [self._kept[2 * pair + int(one)] for pair, one in enumerate(chosen)]
            self._runs_a_part *= 2
        if self._seen % self._runs_a_part == 0:
            self._wanted = self._seen + int(self._rng.integers(self._runs_a_part))
        if self._seen == self._wanted:
            self._kept.append(run.copy())
        self._seen += 1
