"""Arrival times of a CSV file, block after block: of any length, at the speed of a parser in C.

A block is read twice where anything seems wrong with it: fast by pandas, then cell by cell, which
finds the line and says what is wrong, or that nothing is.
"""

import csv
import gzip
import io
import math
import warnings
import zlib
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
import pandas as pd

from autotune.bounded_file import open_regular
from autotune.csv_rows import LONGEST_LINE
from autotune.errors import UsageError
from autotune.outcome import Samples
from autotune.planning.dates import plain_dates
from autotune.tabular import printable

COLUMNS = ("arrival_s", "arrived_s", "timestamp")
"""Names of the column of arrival times, in any case; where a header has none: the first column."""
BLOCK_BYTES = 1 << 22
MOST_BYTES = 100_000_000_000
"""Of a trace, uncompressed."""
FAR_S = 1e11
"""Seconds after 1970 that no clock shows: milliseconds, or less, were meant."""
_GZIP = b"\x1f\x8b"


class Times(NamedTuple):
    """Some arrivals of a trace, in order."""

    times_s: Samples
    """Seconds since any moment, since 1970 where the file has dates; finite, >= 0, ascending."""
    dated: bool


class _Column(NamedTuple):
    place: int
    dated: bool
    zoned: bool


class _Place(NamedTuple):
    """Where a block stands."""

    where: str
    line: int
    """Lines before it."""
    before_s: float
    """The last arrival before it."""


def read_times(path: Path, option: str) -> Iterator[Times]:
    """Yield the arrivals of a CSV file, also one packed by gzip, about 4 MB of text at a time.

    Times are seconds from any origin, or dates with times of ISO 8601, either all of them with
    a zone or none, which then are UTC.

    Raises:
        UsageError: unreadable, no text, or a time that is missing, negative, neither a number nor
            a date, or out of order; the line is named.
    """
    where = f"{option} {path}"
    place, column, line, before_s = -1, None, 0, -math.inf
    try:
        for block in _blocks(path):
            lines = block.count(b"\n")
            if place < 0:
                place, rest = _without_header(block, where)
                line += lines - rest.count(b"\n")
                block, lines = rest, rest.count(b"\n")
            column = column or _kind(block, place)
            if column:
                times_s = _parsed(block, column, _Place(where, line, before_s))
                if len(times_s):
                    before_s = float(times_s[-1])
                    yield Times(times_s, column.dated)
            line += lines
    except (OSError, EOFError, zlib.error, _UnreadableError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UsageError(f"{where}: cannot be read: {reason}") from None


class _UnreadableError(Exception):
    """What the file holds are no rows."""


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield whole rows that end with line feeds, without the mark of byte order."""
    with open_regular(path, MOST_BYTES) as raw:
        is_packed = raw.read(2) == _GZIP
        raw.seek(0)
        file = cast(BinaryIO, gzip.GzipFile(fileobj=raw) if is_packed else raw)
        rest, read = b"", 0
        while part := file.read(BLOCK_BYTES):
            if not read:
                part = part.removeprefix(b"\xef\xbb\xbf")
            read += len(part)
            if read > MOST_BYTES:
                raise _UnreadableError(f"is larger than {MOST_BYTES / 1e6:,.0f} MB")
            block = rest + part
            end = _end_of_rows(block)
            rest = block[end:]
            # A carriage return may wait for its line feed, so it is no end here.
            if len(rest) > LONGEST_LINE:
                raise _UnreadableError("a row is too long, or a quote is never closed")
            if end:
                yield _with_line_feeds(block[:end])
        if rest:
            yield _with_line_feeds(rest + b"\n")


def _end_of_rows(block: bytes) -> int:
    """Return the place after the last line feed that stands outside quotes; 0: none does."""
    if b'"' not in block:
        return block.rfind(b"\n") + 1
    letters = np.frombuffer(block, np.uint8)
    outside = np.cumsum(letters == ord('"')) % 2 == 0
    ends = np.flatnonzero((letters == ord("\n")) & outside)
    return int(ends[-1]) + 1 if len(ends) else 0


def _with_line_feeds(block: bytes) -> bytes:
    if b"\0" in block:
        raise _UnreadableError("is no text in UTF-8")
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return block


def _rows(block: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield (line within the block, cells without outer spaces) of each row that is not blank."""
    try:
        text = block.decode()
    except UnicodeDecodeError:
        raise _UnreadableError("is no text in UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if cells and cells != [""]:
                yield reader.line_num, cells
    except csv.Error as error:
        raise _UnreadableError(f"line {reader.line_num}: {error}") from None


def _without_header(block: bytes, where: str) -> tuple[int, bytes]:
    """Return the column of times (-1: all is blank), and the block without a header."""
    line, row = next(_rows(block), (0, [""]))
    if not line:
        return -1, block
    if _seconds(row[0]) is not None or _moment(row[0]) is not None:
        return 0, block
    named = [place for place, cell in enumerate(row) if cell.lower() in COLUMNS]
    if len(named) > 1:
        both = " and ".join(repr(row[place][:40]) for place in named[:2])
        raise UsageError(f"{where}: has the columns {both}: keep one of arrival times")
    rest = block.split(b"\n", line)[-1]
    return (named[0] if named else 0), rest


def _kind(block: bytes, place: int) -> _Column | None:
    """Return how times are written, by the first; None: it is blank."""
    line, row = next(_rows(block), (0, [""]))
    if not line:
        return None
    text = row[place] if place < len(row) else ""
    moment = None if _seconds(text) is not None else _moment(text)
    return _Column(place, moment is not None, moment is not None and moment.tzinfo is not None)


def _parsed(block: bytes, column: _Column, at: _Place) -> Samples:
    """Return the times of a block, in seconds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            times_s = _at_once(block, column)
    except (ValueError, OverflowError, Warning):
        return _one_by_one(block, column, at)
    # A comparison with NaN is false, as one with what is out of order.
    ascending = len(times_s) > 0 and bool(np.all(times_s[1:] >= times_s[:-1]))
    if ascending and max(at.before_s, 0) <= times_s[0] and times_s[-1] < FAR_S:
        return times_s
    return _one_by_one(block, column, at)


def _at_once(block: bytes, column: _Column) -> Samples:
    """Return the times of a block; NaN where none stands.

    Raises:
        ValueError: some are neither numbers nor dates, or not written as those before.
    """
    if column.dated and column.place == 0:
        times_s = plain_dates(block, column.zoned)
        if times_s is not None:
            return times_s
    cells = pd.read_csv(
        io.BytesIO(block),
        header=None,
        usecols=[column.place],
        index_col=False,
        dtype=object if column.dated else np.float64,
        engine="c",
        na_filter=not column.dated,
    )[column.place]
    if not column.dated:
        return cells.to_numpy(np.float64)
    moments = pd.DatetimeIndex(pd.to_datetime(cells, format="ISO8601", cache=False))
    if (moments.tz is not None) != column.zoned:
        raise ValueError("zones")
    utc = (moments.tz_convert(None) if column.zoned else moments).to_numpy()
    # Whole seconds apart, for nanoseconds since 1970 are more than a float holds.
    whole = utc.astype("datetime64[s]")
    parts_ns = (utc - whole).astype("timedelta64[ns]").astype(np.float64)
    return np.where(np.isnat(utc), np.nan, whole.astype(np.float64) + parts_ns / 1e9)


def _one_by_one(block: bytes, column: _Column, at: _Place) -> Samples:
    """Return the same, or raise at the first cell that is wrong."""
    times, before_s = array("d"), at.before_s
    for line, row in _rows(block):
        where = f"{at.where}: line {at.line + line}"
        if column.place >= len(row):
            raise UsageError(f"{where}: has {len(row)} cells where {column.place + 1} are needed")
        time_s = _time_s(row[column.place], column, where)
        if time_s < before_s:
            raise UsageError(
                f"{where}: {time_s:.15g} s comes after {before_s:.15g} s: "
                "arrivals must be in order of time"
            )
        times.append(time_s)
        before_s = time_s
    return np.array(times)


def _time_s(text: str, column: _Column, where: str) -> float:
    shown = f"{where}: '{printable(text[:40])}'"
    seconds = _seconds(text)
    moment = None if seconds is not None else _moment(text)
    if seconds is None and moment is None:
        raise UsageError(
            f"{shown} is not an arrival time: in seconds, or a date and time of ISO 8601; the "
            f"column is the first, or the one named {COLUMNS[0]}"
        )
    if (moment is not None) != column.dated:
        kinds = ("a date", "seconds") if moment is not None else ("seconds", "dates")
        raise UsageError(f"{shown} is {kinds[0]} where {kinds[1]} stand before: write all alike")
    if moment is not None:
        if (moment.tzinfo is not None) != column.zoned:
            has = "names a zone where none was" if moment.tzinfo else "names no zone where one was"
            raise UsageError(f"{shown} {has} named before: write all alike")
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if seconds is None or not 0 <= seconds < math.inf:
        raise UsageError(f"{shown} is not a time of 0 s or later")
    if seconds >= FAR_S:
        raise UsageError(f"{shown} is no time of this age: times must be in seconds")
    return seconds


def _seconds(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    """Return a date with a time; None where it is none."""
    if len(text) < len("2026-01-01T00"):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
