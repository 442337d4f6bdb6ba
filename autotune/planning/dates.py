"""Dates with times of ISO 8601 at the start of lines, all of a block at once."""

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from autotune.outcome import Samples
from autotune.units import DAY_S

Letters = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

_SEPARATORS = {4: b"-", 7: b"-", 10: b"T ", 13: b":", 16: b":"}
_FRACTION_AT = len("2026-01-01T00:00:00")
_MOST_DIGITS = 9
_ZONE = len("+00:00")
_WIDTH = _FRACTION_AT + 1 + _MOST_DIGITS + _ZONE + 1
"""Letters of a line that are looked at."""


class _NotPlainError(Exception):
    """A line is written in another way."""


def plain_dates(block: bytes, zoned: bool) -> Samples | None:
    """Return seconds since 1970 of dates such as `2026-01-31 23:59:59.25`, shape (lines,).

    Lines may go on after a comma. Only what is common is read: seconds to nine decimals, a zone
    of `Z` or `+01:00`, no quotes.

    Args:
        block: lines that end with line feeds.
        zoned: whether all of them have a zone, or none.

    Returns:
        None: some line is written in another way, or is wrong.
    """
    letters = np.frombuffer(block + b"\n" * _WIDTH, np.uint8)
    ends = np.flatnonzero(letters[: len(block)] == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1])
    starts = starts[ends > starts]
    if not len(starts):
        return None
    lines = np.ascontiguousarray(sliding_window_view(letters, _WIDTH)[starts].T)
    try:
        for place, allowed in _SEPARATORS.items():
            _need(np.any([lines[place] == letter for letter in allowed], axis=0))
        whole_s = _whole_s(lines)
        fraction, place_after = _fraction(lines)
        offset_s, place_after = _offset_s(lines, place_after, zoned)
        after = _at(lines, place_after)
        _need((after == ord("\n")) | (after == ord(",")))
    except _NotPlainError:
        return None
    return whole_s - offset_s + fraction


def _at(lines: Letters, place: Numbers) -> Letters:
    """Return the letter at a place of each line."""
    if np.all(place == place[0]):
        return np.asarray(lines[place[0]])
    return np.asarray(np.take_along_axis(lines, place[None], axis=0)[0])


def _need(holds: Flags) -> None:
    if not holds.all():
        raise _NotPlainError


def _number(letters: list[Letters], highest: int) -> Numbers:
    value = np.zeros(len(letters[0]), np.int32)
    for letter in letters:
        # Of a letter before '0' the difference wraps around, and is no digit either.
        digit = letter - np.uint8(ord("0"))
        _need(digit <= 9)
        value = 10 * value + digit
    _need(value <= highest)
    return value.astype(np.int64)


def _whole_s(lines: Letters) -> Numbers:
    year, month = _number(list(lines[0:4]), 9999), _number(list(lines[5:7]), 12)
    day = _number(list(lines[8:10]), 31)
    months = 12 * (year - 1970) + month - 1
    earliest, latest = int(months.min()), int(months.max())
    began = np.arange(earliest, latest + 2).astype("datetime64[M]").astype("datetime64[D]")
    began_days = began.astype(np.int64)
    days, past = began_days[months - earliest], began_days[months - earliest + 1]
    _need((month >= 1) & (day >= 1) & (days + day <= past))
    seconds = (days + day - 1) * int(DAY_S)
    for place, highest, unit_s in ((11, 23, 3600), (14, 59, 60), (17, 59, 1)):
        seconds = seconds + _number(list(lines[place : place + 2]), highest) * unit_s
    return np.asarray(seconds)


def _fraction(lines: Letters) -> tuple[Samples, Numbers]:
    """Return the decimals of the seconds, and where each line goes on after them."""
    goes_on = lines[_FRACTION_AT] == ord(".")
    place = _FRACTION_AT + goes_on.astype(np.int64)
    value, digits = np.zeros(len(goes_on)), np.zeros(len(goes_on), np.int64)
    _need(~goes_on | (lines[_FRACTION_AT + 1] - np.uint8(ord("0")) <= 9))
    for letter in lines[_FRACTION_AT + 1 :][:_MOST_DIGITS]:
        one = letter - np.uint8(ord("0"))
        goes_on = goes_on & (one <= 9)
        if not goes_on.any():
            break
        value = np.where(goes_on, 10 * value + one, value)
        digits += goes_on
    return value / np.power(10.0, np.arange(_MOST_DIGITS + 1))[digits], place + digits


def _offset_s(lines: Letters, place: Numbers, zoned: bool) -> tuple[Numbers, Numbers]:
    """Return what the clocks of each line are ahead of UTC, and where it goes on."""
    none = np.zeros(len(place), np.int64)
    if not zoned:
        return none, place
    sign = _at(lines, place)
    if np.all(sign == ord("Z")):
        return none, place + 1
    _need((sign == ord("+")) | (sign == ord("-")))
    _need(_at(lines, place + 3) == ord(":"))
    hours, minutes = (
        _number([_at(lines, place + one), _at(lines, place + one + 1)], highest)
        for one, highest in ((1, 23), (4, 59))
    )
    ahead_s = 3600 * hours + 60 * minutes
    return np.where(sign == ord("-"), -ahead_s, ahead_s), place + _ZONE
