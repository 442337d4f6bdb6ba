"""Requests as a service saw them: when each arrived, and how long it took."""

import math
from array import array
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.arrivals import LONGEST_S, MOST_ARRIVALS, MOST_BYTES
from autotune.csv_rows import read_rows
from autotune.errors import UsageError, did_you_mean
from autotune.outcome import Samples
from autotune.spec import LONGEST_MS
from autotune.tabular import printable

COLUMNS = ("arrived_s", "latency_ms")
NEVER = ("", "inf", "lost")
"""What stands for the latency of a request that was never answered."""


class Observed(NamedTuple):
    """Requests in order of arrival, those never answered included."""

    arrived_s: Samples
    """Seconds since any moment, shape (requests,), ascending."""
    latency_ms: Samples
    """From arrival to answer, same shape; infinite where there was none."""


def read_observed(path: Path, option: str) -> Observed:
    """Read a CSV file with the columns `arrived_s` and `latency_ms`, in order of arrival.

    Without a header these are the first two columns. A time is in seconds, or of ISO 8601 (UTC
    where it names no zone). The latency of a request that was never answered is empty, `inf` or
    `lost`.

    Raises:
        UsageError: unreadable, a column is missing, too many requests or fewer than two, or a
            value that is missing, no number, negative or out of order; the line is named.
    """
    arrived, latency, where = array("d"), array("d"), f"{option} {path}"
    places: tuple[int, int] | None = None
    for line, row in read_rows(path, option, MOST_BYTES):
        at = f"{where}: line {line}"
        if places is None:
            places = _places(row, where)
            if not _is_number(row[places[0]]) and _iso_s(row[places[0]]) is None:
                continue
        if len(row) <= max(places):
            raise UsageError(f"{at}: has {len(row)} cells where {max(places) + 1} are needed")
        time_s = _time_s(row[places[0]], at)
        if arrived and time_s < arrived[-1]:
            raise _disordered(at, arrived[-1], time_s)
        if len(arrived) == MOST_ARRIVALS:
            raise UsageError(f"{where}: has more than {MOST_ARRIVALS:,} requests: give a part")
        arrived.append(time_s)
        latency.append(_latency_ms(row[places[1]], at))
    return _checked(Observed(np.array(arrived), np.array(latency)), where)


def observed_of(arrived_s: npt.ArrayLike, latency_ms: npt.ArrayLike, where: str) -> Observed:
    """Return requests given as numbers; `where`: what to call them in a complaint.

    Raises:
        UsageError: as `read_observed`; places count from 0.
    """
    times_s, taken_ms = (np.asarray(one, dtype=np.float64) for one in (arrived_s, latency_ms))
    if times_s.ndim != 1 or times_s.shape != taken_ms.shape:
        raise UsageError(f"{where}: needs as many latencies as arrivals, each in one row")
    if len(times_s) > MOST_ARRIVALS:
        raise UsageError(f"{where}: has more than {MOST_ARRIVALS:,} requests: give a part")
    for name, bad in (
        ("arrived_s", ~np.isfinite(times_s) | (times_s < 0)),
        ("latency_ms", ~(taken_ms >= 0) | (np.isfinite(taken_ms) & (taken_ms > LONGEST_MS))),
    ):
        if bad.any():
            place = int(bad.argmax())
            value = float((times_s if name == "arrived_s" else taken_ms)[place])
            raise UsageError(f"{where}: {name}[{place}]={value:g} {_WANTED[name]}")
    if (falls := np.flatnonzero(np.diff(times_s) < 0)).size:
        place = int(falls[0]) + 1
        raise _disordered(f"{where}: arrived_s[{place}]", times_s[place - 1], times_s[place])
    return _checked(Observed(times_s, taken_ms), where)


_WANTED = {
    "arrived_s": "is not a time of 0 s or later",
    "latency_ms": f"is not a latency of 0 to {LONGEST_MS:,.0f} ms, nor infinite for no answer",
}


def _places(row: list[str], where: str) -> tuple[int, int]:
    """Return the columns of time and latency that the first row names, or the first two."""
    if len(row) >= 2 and (_is_number(row[0]) or _iso_s(row[0]) is not None):
        return 0, 1
    for name in COLUMNS:
        if row.count(name) != 1:
            hint = did_you_mean(name, row) if row.count(name) == 0 else ""
            shown = printable(", ".join(cell[:40] for cell in row[:10]))
            found = "twice" if row.count(name) else f"not among {shown}"
            raise UsageError(
                f"{where}: column {name!r} is {found}: the columns are arrived_s "
                f"(seconds) and latency_ms{hint}"
            )
    return row.index(COLUMNS[0]), row.index(COLUMNS[1])


def _time_s(text: str, at: str) -> float:
    time_s = float(text) if _is_number(text) else _iso_s(text)
    if time_s is None or not 0 <= time_s < math.inf:
        raise UsageError(f"{at}: {text[:40]!r} {_WANTED['arrived_s']}")
    return time_s


def _latency_ms(text: str, at: str) -> float:
    if text.lower() in NEVER:
        return math.inf
    value_ms = float(text) if _is_number(text) else math.nan
    if not 0 <= value_ms <= LONGEST_MS:
        raise UsageError(
            f"{at}: {text[:40]!r} is not a latency of 0 to {LONGEST_MS:,.0f} ms, nor empty for no "
            "answer"
        )
    return value_ms


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _iso_s(text: str) -> float | None:
    """Return seconds since 1970 for an ISO 8601 date with a time; None where it is none."""
    if len(text) < len("2026-01-01T00"):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _disordered(at: str, before_s: float, time_s: float) -> UsageError:
    return UsageError(
        f"{at}: {time_s:.15g} s comes after {before_s:.15g} s: requests must be in order of arrival"
    )


def _checked(found: Observed, where: str) -> Observed:
    times_s = found.arrived_s
    if len(times_s) < 2 or times_s[-1] <= times_s[0]:
        raise UsageError(f"{where}: needs at least two requests that arrived at different times")
    if times_s[-1] - times_s[0] > LONGEST_S:
        raise UsageError(
            f"{where}: spans more than a year: arrived_s must be in seconds, or of ISO 8601"
        )
    return found
