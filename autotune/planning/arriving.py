"""The requests of a trace, aggregated: counts by bin, exact excerpts, and how they cluster."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.arrivals import LONGEST_S
from autotune.errors import UsageError
from autotune.outcome import Samples
from autotune.planning.tally import Gap, Tally
from autotune.planning.trace_times import FAR_S, read_times
from autotune.units import DAY_S, format_duration

Counts = npt.NDArray[np.int64]

MOST_REQUESTS = 1_000_000_000
SHORTEST_S = 1e-6
"""Of a trace; less is finer than clocks tell, and counts as one moment."""
SUB_BINS = 8
"""Parts of a bin in which requests are counted, to see how they cluster within it."""
EPOCH_S = 1e9
"""Numbers from here on are taken for seconds since 1970: this is September 2001."""
_GAPS_TOLD = 3
_SEED = 11


class Excerpt(NamedTuple):
    """The exact arrivals of a stretch."""

    at_s: float
    """The first of them; like all times here in seconds from the trace's start."""
    times_s: Samples
    """Shape (requests,), ascending."""


class Arriving(NamedTuple):
    """What is kept of a trace; the same memory for any number of requests."""

    bin_s: float
    """0.05, doubled while there would be more than 2**21 bins."""
    counts: Counts
    """Requests by bin, shape (bins,)."""
    dispersion: float
    """Of the requests within a bin, given its count; see `_dispersion`. Poisson: 1."""
    excerpts: tuple[Excerpt, ...]
    """32 to 64 stretches of 8192 requests, evenly over the requests; up to 2**19 requests all."""
    began: str | None
    """ISO 8601, UTC, of the first request; None: the trace has no dates."""
    source: str
    notes: tuple[str, ...]
    """What to know of the trace, each a sentence."""

    @property
    def requests(self) -> int:
        """All of them."""
        return int(self.counts.sum())

    @property
    def seconds(self) -> float:
        """Of all bins, so up to one bin more than between the first request and the last."""
        return len(self.counts) * self.bin_s

    @property
    def mean_rps(self) -> float:
        """Requests/s over the whole trace."""
        return self.requests / self.seconds

    @property
    def is_whole(self) -> bool:
        """Whether the excerpts hold all requests."""
        return sum(len(excerpt.times_s) for excerpt in self.excerpts) == self.requests

    def peak_rps(self, window_s: float) -> float:
        """Highest mean rate over any so many seconds, in whole bins; at most the whole trace."""
        bins = min(max(1, round(window_s / self.bin_s)), len(self.counts))
        passed = np.concatenate([[0], np.cumsum(self.counts)])
        return float(np.max(passed[bins:] - passed[:-bins]) / (bins * self.bin_s))


def read_arriving(path: Path, option: str) -> Arriving:
    """Read the arrivals of a CSV file, also one packed by gzip, in constant memory.

    Times stand in the first column, or in the one that a header names `arrival_s`, `arrived_s` or
    `timestamp`: seconds from any origin (since 1970 from 1e9 on), or dates with times of ISO 8601.
    Times that are written in whole seconds or minutes, several requests in each, are spread at
    random within them (seeded), and a note says so.

    Raises:
        UsageError: unreadable, fewer than two requests or more than 10^9, all at one moment, over
            more than a year; a time that is missing, negative, no time or out of order, with the
            line.
    """
    where = f"{option} {path}"
    tally, first_s, dated = Tally(_SEED), 0.0, False
    for block in read_times(path, option):
        if not tally.requests:
            first_s, dated = float(block.times_s[0]), block.dated
        _add(tally, block.times_s - first_s, where)
    began_s = first_s if dated or first_s >= EPOCH_S else None
    return _arriving(tally, began_s, str(path), where)


def arriving_of(times_s: Samples, source: str) -> Arriving:
    """Return the same for arrivals in memory, in seconds, shape (requests,), ascending.

    Raises:
        UsageError: as `read_arriving`; places count from 0.
    """
    times_s = np.asarray(times_s, dtype=np.float64)
    if times_s.ndim != 1:
        raise UsageError(f"{source}: arrival times must stand in one row")
    if (bad := np.flatnonzero(~((times_s >= 0) & (times_s < FAR_S)))).size:
        raise UsageError(f"{source}[{bad[0]}]: {times_s[bad[0]]:g} is not a time in seconds")
    if (falls := np.flatnonzero(np.diff(times_s) < 0)).size:
        place = int(falls[0]) + 1
        raise UsageError(
            f"{source}[{place}]: {times_s[place]:.15g} s comes after {times_s[place - 1]:.15g} s: "
            "arrivals must be in order of time"
        )
    tally, first_s = Tally(_SEED), float(times_s[0]) if len(times_s) else 0.0
    _add(tally, times_s - first_s, source)
    return _arriving(tally, first_s if first_s >= EPOCH_S else None, source, source)


def _add(tally: Tally, times_s: Samples, where: str) -> None:
    if len(times_s) and times_s[-1] > LONGEST_S:
        raise UsageError(
            f"{where}: spans {times_s[-1] / DAY_S:,.3g} days, more than a year: "
            "times must be in seconds"
        )
    if tally.requests + len(times_s) > MOST_REQUESTS:
        raise UsageError(f"{where}: has more than {MOST_REQUESTS:,} requests: give a part")
    tally.add(times_s)


def _arriving(tally: Tally, began_s: float | None, source: str, where: str) -> Arriving:
    if tally.requests < 2:
        has = "one request only" if tally.requests else "no requests"
        raise UsageError(f"{where}: has {has}: needs at least two, at different times")
    if tally.last_s < SHORTEST_S:
        raise UsageError(f"{where}: all {tally.requests:,} requests arrive at one moment")
    stretches = tally.stretches
    whole = sum(map(len, stretches)) == tally.requests
    joined = [np.concatenate(stretches)] if whole else stretches
    return Arriving(
        bin_s=tally.bin_s,
        counts=tally.counts,
        dispersion=_dispersion(joined, tally.bin_s),
        excerpts=tuple(Excerpt(float(times_s[0]), times_s) for times_s in stretches),
        began=None if began_s is None else _date(began_s),
        source=source,
        notes=tuple(_notes(tally, began_s)),
    )


def _notes(tally: Tally, began_s: float | None) -> list[str]:
    gaps = tally.gaps
    notes = [_gap(gap, began_s) for gap in gaps[:_GAPS_TOLD]]
    if len(gaps) > _GAPS_TOLD:
        least = format_duration(gaps[-1].lasted_s)
        notes.append(f"{len(gaps) - _GAPS_TOLD} more such gaps, the shortest of {least}.")
    if tally.spread_s:
        unit = "minutes" if tally.spread_s > 1 else "seconds"
        notes.append(f"Times are written in whole {unit}: requests were spread within them.")
    return notes


def _gap(gap: Gap, began_s: float | None) -> str:
    after = f"{format_duration(gap.began_s)} after the start" if gap.began_s else "the start"
    since = after if began_s is None else _date(began_s + gap.began_s)
    return f"No requests for {format_duration(gap.lasted_s)} from {since} on."


def _date(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="milliseconds")


def _dispersion(stretches: list[Samples], bin_s: float) -> float:
    """Return the index of dispersion of what arrives within bins, given what each bin holds.

    Of N requests in a bin that came by chance, the counts n_i of its m = 8 equal parts are
    multinomial, so that sum (n_i - N/m)^2 has the mean N (1 - 1/m). The estimate is the sum of
    the left over the sum of the right, over all whole bins of the excerpts (the statistic of
    Fisher, Thornton and Mackenzie, Annals of Applied Biology 9, 1922, pooled with weight N).
    Poisson arrivals at a rate that only changes from bin to bin: 1. Clusters of size B, each
    within a part and placed by chance: E[B^2] / E[B], which is the index of dispersion of a
    compound Poisson process. Arrivals more regular than by chance would give less; 1 is returned.

    A rate that changes within bins counts as clustering, so of wider bins the value is higher.
    Where an excerpt is shorter than four bins, bins are halved until it is not.
    """
    lasted_s = float(np.median([times_s[-1] - times_s[0] for times_s in stretches]))
    if lasted_s <= 0:
        return 1.0
    while bin_s > lasted_s / 4:
        bin_s /= 2
    found, expected = 0.0, 0.0
    for times_s in stretches:
        parts = np.floor(times_s * (SUB_BINS / bin_s))
        # Cut at the ends are the bins of the first request, if others came before, and of the last.
        first = (np.floor(parts[0] / SUB_BINS) + 1) * SUB_BINS if times_s[0] > 0 else 0
        past = np.floor(parts[-1] / SUB_BINS) * SUB_BINS
        parts = parts[(parts >= first) & (parts < past)]
        by_part = np.unique(parts, return_counts=True)[1].astype(np.float64)
        by_bin = np.unique(parts // SUB_BINS, return_counts=True)[1].astype(np.float64)
        found += float(np.sum(by_part**2) - np.sum(by_bin**2) / SUB_BINS)
        expected += len(parts) * (1 - 1 / SUB_BINS)
    return max(1.0, found / expected) if expected else 1.0
