"""When requests arrive: drawn before the run from a seed of its own, or read from a trace."""

import math
from array import array
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from autotune.csv_rows import read_rows
from autotune.errors import UsageError
from autotune.outcome import Samples
from autotune.patterns import BURST_S, Bursty, Constant, Gaps, Pattern, Poisson, Trace
from autotune.spec import Record
from autotune.units import DAY_S, MAX_LOAD_RPS

MOST_BYTES = 512_000_000
"""Of a trace."""
MOST_ARRIVALS = 10_000_000
LONGEST_S = 366 * DAY_S
"""Of a trace; what seems longer was not written in seconds."""


class Traffic(Record, frozen=True, eq=False):
    """One load level, in one pattern of arrivals."""

    load_rps: float
    """Mean requests/s; with gaps, the mean within a spell, twice that of the whole."""
    pattern: Pattern = Poisson()

    @property
    def mean_rps(self) -> float:
        """Requests/s over a long time, silence included."""
        return self.load_rps / 2 if isinstance(self.pattern, Gaps) else self.load_rps

    @property
    def cycle_s(self) -> float:
        """Mean seconds of a burst and its quiet, or of a spell and its gap; 0: nothing recurs."""
        match self.pattern:
            case Bursty(burst_share=share):
                return BURST_S / share
            case Gaps(gap_s=gap_s):
                return 2 * gap_s
        return 0.0

    def seconds_for(self, requests: float) -> float:
        """Seconds in which that many requests are expected, and one whole cycle at least."""
        return max(requests / self.mean_rps, self.cycle_s)

    def at(self, load_rps: float) -> "Traffic":
        """Return the same pattern at another load; a trace is stretched or squeezed in time."""
        pattern = self.pattern
        if isinstance(pattern, Trace):
            times_s = pattern.times_s * (self.load_rps / load_rps)
            pattern = Trace(times_s=times_s, scaled=True, file=pattern.file)
        return Traffic(load_rps=load_rps, pattern=pattern)


def draw(traffic: Traffic, duration_s: float, seed: tuple[int, ...]) -> Samples:
    """Draw arrivals in [0, duration_s), the same for the same seed.

    Bursts start in the phase that a passer-by would meet (stationary), gaps at a random moment
    of a spell, so that a short run holds arrivals too. A window of a trace starts at an arrival
    drawn uniformly from those that leave room for it, so busy hours are sampled as often as
    their requests deserve.

    Returns:
        Seconds from the start of the run, ascending, at least one arrival.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    load_rps = traffic.load_rps
    match traffic.pattern:
        case Poisson():
            times_s = _poisson(load_rps, duration_s, rng)
        case Constant():
            count = math.ceil(load_rps * duration_s)
            times_s = np.arange(count) / load_rps + rng.random() / load_rps
        case Bursty() as bursty:
            times_s = _bursty(bursty, load_rps, duration_s, rng)
        case Gaps(gap_s=gap_s):
            times_s = _with_gaps(gap_s, load_rps, duration_s, rng)
        case Trace(times_s=recorded_s):
            times_s = _window(recorded_s, duration_s, rng)
    times_s = times_s[times_s < duration_s]
    return times_s if len(times_s) else np.array([rng.random() * duration_s])


def _poisson(load_rps: float, duration_s: float, rng: np.random.Generator) -> Samples:
    """Draw a Poisson count uniformly over the time (the conditional property of the process)."""
    count = max(1, int(rng.poisson(load_rps * duration_s)))
    return np.sort(rng.uniform(0.0, duration_s, count))


def _bursty(
    pattern: Bursty, load_rps: float, duration_s: float, rng: np.random.Generator
) -> Samples:
    """Thin Poisson arrivals at the rate of a burst where it is quiet (Lewis and Shedler 1979).

    After dt the phase is drawn afresh from its stationary law with probability 1 - exp(-s dt),
    and else the same: for two phases that is the chain itself, and draws all of it at once.
    """
    times_s = _poisson(pattern.factor * load_rps, duration_s, rng)
    passed_s = np.diff(times_s, prepend=-np.inf)
    afresh = rng.random(len(times_s)) < -np.expm1(-sum(pattern.switching_per_s) * passed_s)
    is_burst = rng.random(len(times_s)) < pattern.burst_share
    drawn_at = np.maximum.accumulate(np.where(afresh, np.arange(len(times_s)), 0))
    is_kept = rng.random(len(times_s)) < pattern.quiet_factor / pattern.factor
    return np.asarray(times_s[is_burst[drawn_at] | is_kept])


def _with_gaps(
    gap_s: float, load_rps: float, duration_s: float, rng: np.random.Generator
) -> Samples:
    """Draw Poisson arrivals over the busy time alone, then move each by the gaps before it."""
    phase_s = rng.uniform(0.0, gap_s)
    cycles, rest_s = divmod(phase_s + duration_s, 2 * gap_s)
    busy_s = cycles * gap_s + min(rest_s, gap_s) - phase_s
    times_s = _poisson(load_rps, busy_s, rng)
    return np.asarray(times_s + gap_s * np.floor((phase_s + times_s) / gap_s))


def _window(times_s: Samples, duration_s: float, rng: np.random.Generator) -> Samples:
    if times_s[-1] < duration_s:
        return times_s
    last_start = int(np.searchsorted(times_s, times_s[-1] - duration_s, side="right"))
    start_s = times_s[int(rng.integers(0, last_start))]
    first, past = np.searchsorted(times_s, [start_s, start_s + duration_s])
    return np.asarray(times_s[first:past] - start_s)


def read_trace(path: Path) -> Traffic:
    """Read arrival times, in seconds, from the first column of a CSV file with or without header.

    Raises:
        UsageError: unreadable, fewer than two arrivals or too many, or a time that is missing,
            not a number, negative or out of order; the line is named. Also as `recorded`.
    """
    times, where = array("d"), f"--trace {path}"
    for line, row in read_rows(path, "--trace", MOST_BYTES):
        time_s = _read_time(row[0], path, line)
        if time_s is None:
            continue
        if times and time_s < times[-1]:
            raise _disordered(where, f"line {line}", times[-1], time_s)
        if len(times) == MOST_ARRIVALS:
            raise UsageError(f"{where}: has more than {MOST_ARRIVALS:,} arrivals: give a part")
        times.append(time_s)
    return _traffic(np.array(times), where, str(path))


def recorded(times: Sequence[tuple[str, float]], where: str, file: str | None) -> Traffic:
    """Return the traffic of recorded arrivals.

    Args:
        times: for each arrival the place where it stands, for complaints, and its time in seconds.
        where: what holds them, likewise.
        file: where they were read; None: nowhere.

    Raises:
        UsageError: fewer than two arrivals, a time out of order, more requests/s than can be
            issued, or more than a year.
    """
    for (_, before_s), (place, time_s) in pairwise(times):
        if time_s < before_s:
            raise _disordered(where, place, before_s, time_s)
    return _traffic(np.array([time_s for _, time_s in times]), where, file)


def _disordered(where: str, place: str, before_s: float, time_s: float) -> UsageError:
    return UsageError(
        f"{where}: {place}: {time_s:g} s comes after {before_s:g} s: "
        "arrivals must be in order of time"
    )


def _traffic(times_s: Samples, where: str, file: str | None) -> Traffic:
    if len(times_s) < 2 or times_s[-1] <= times_s[0]:
        raise UsageError(f"{where}: needs at least two arrivals at different times")
    times_s = times_s - times_s[0]
    if times_s[-1] > LONGEST_S:
        raise UsageError(
            f"{where}: spans {times_s[-1] / DAY_S:,.3g} days, more than a year: "
            "times must be in seconds"
        )
    if len(times_s) - 1 > MAX_LOAD_RPS * times_s[-1]:
        raise UsageError(
            f"{where}: is more than can be issued on one machine (at most {MAX_LOAD_RPS:,.0f} "
            "requests/s): times must be in seconds"
        )
    rps = float((len(times_s) - 1) / times_s[-1])
    return Traffic(load_rps=rps, pattern=Trace(times_s=times_s, file=file))


def _read_time(text: str, path: Path, line: int) -> float | None:
    try:
        time_s = float(text)
    except ValueError:
        if line == 1 and text:
            return None  # a header
        raise UsageError(
            f"--trace {path}: line {line}: {text!r} is not an arrival time in seconds"
        ) from None
    if not (0 <= time_s < float("inf")):
        raise UsageError(f"--trace {path}: line {line}: {text!r} is not a time of 0 s or later")
    return time_s
