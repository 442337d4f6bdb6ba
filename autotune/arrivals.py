"""When requests arrive: drawn before the run from a seed of its own, or read from a trace."""

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np

from autotune.errors import UsageError
from autotune.outcome import Samples
from autotune.spec import Record


class Traffic(Record, frozen=True, eq=False):
    """One load level: Poisson arrivals at `load_rps`, or windows of a recorded trace."""

    load_rps: float
    trace_s: Samples | None = None
    """Recorded arrivals in seconds since the first, ascending; None for Poisson."""


def draw(traffic: Traffic, duration_s: float, seed: tuple[int, ...]) -> Samples:
    """Draw arrivals in [0, duration_s), the same for the same seed.

    Poisson arrivals are a uniform draw of a Poisson count (the conditional property of the
    process). A window of a trace starts at an arrival drawn uniformly from those that leave
    room for it, so busy hours are sampled as often as their requests deserve.

    Returns:
        Seconds from the start of the run, ascending, at least one arrival.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    trace_s = traffic.trace_s
    if trace_s is None:
        count = max(1, int(rng.poisson(traffic.load_rps * duration_s)))
        return np.sort(rng.uniform(0.0, duration_s, count))
    if trace_s[-1] < duration_s:
        return trace_s.copy()
    last_start = int(np.searchsorted(trace_s, trace_s[-1] - duration_s, side="right"))
    start_s = trace_s[int(rng.integers(0, last_start))]
    first, past = np.searchsorted(trace_s, [start_s, start_s + duration_s])
    return np.asarray(trace_s[first:past] - start_s)


def read_trace(path: Path) -> Traffic:
    """Read arrival times, in seconds, from the first column of a CSV file with or without header.

    Raises:
        UsageError: unreadable, fewer than two arrivals, or a time that is missing, not a number,
            negative or out of order; the line is named.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            times = [_read_time(row, path, line) for line, row in enumerate(csv.reader(file), 1)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"--trace {path}: cannot be read: {reason}") from None
    known = [(line, time_s) for line, time_s in enumerate(times, 1) if time_s is not None]
    for (_, before_s), (line, time_s) in pairwise(known):
        if time_s < before_s:
            raise UsageError(
                f"--trace {path}: line {line}: {time_s:g} s comes after {before_s:g} s: "
                "arrivals must be in order of time"
            )
    if len(known) < 2 or known[-1][1] <= known[0][1]:
        raise UsageError(f"--trace {path}: needs at least two arrivals at different times")
    trace_s = np.array([time_s for _, time_s in known]) - known[0][1]
    return Traffic(load_rps=float((len(trace_s) - 1) / trace_s[-1]), trace_s=trace_s)


def _read_time(row: list[str], path: Path, line: int) -> float | None:
    if not row:
        return None  # a blank line
    text = row[0].strip()
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
