"""Text to quantity and back: the one place where units are parsed and formatted."""

import math
import re
from collections.abc import Iterable

from autotune.errors import UsageError

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"\s*([-+]?[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)

DAY_S = 86_400.0
MAX_LOAD_RPS = 1e6
"""Above this many requests/s the schedule itself could not be issued by any replica here."""


def parse_duration_s(text: str, option: str) -> float:
    """Return seconds for a text such as `50ms`, `0.5s` or `3m`.

    Raises:
        UsageError: no number, no unit, an unknown unit, or not above zero.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise UsageError(f"{option} {text!r} is not a duration: write it like 50ms, 0.5s or 3m")
    number, unit = float(match[1]), match[2].lower()
    if not (number > 0 and math.isfinite(number)):
        raise UsageError(f"{option} {text!r} must be above zero")
    if not unit:
        raise UsageError(f"{option} {text!r} has no unit: write {match[1]}ms or {match[1]}s")
    if unit not in _SECONDS:
        raise UsageError(f"{option} {text!r} has an unknown unit {unit!r}: use us, ms, s, m or h")
    seconds = number * _SECONDS[unit]
    if not (seconds > 0 and math.isfinite(seconds)):
        raise UsageError(f"{option} {text!r} is out of range")
    return seconds


def parse_share(text: str, option: str) -> float:
    """Return `5%` or `0.05` as a share between 0 and 1, both excluded.

    Raises:
        UsageError: it is neither.
    """
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number + rest) / (100 if percent else 1)
    except ValueError:
        raise UsageError(f"{option} {text}: is not a share, like 5% or 0.05") from None
    if not 0 < share < 1:
        raise UsageError(f"{option} {text}: must be above 0 and below 100 %")
    return share


def parse_load_rps(text: str, option: str) -> float:
    """Return requests/s for a text such as `80` or `80rps`.

    Raises:
        UsageError: not a number, not above zero, or above `MAX_LOAD_RPS`.
    """
    try:
        load_rps = float(text.strip().lower().removesuffix("rps").removesuffix("/s"))
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a load: write requests/s, like 80") from None
    if not load_rps > 0 or not math.isfinite(load_rps):
        raise UsageError(f"{option} {text!r} must be above zero requests/s")
    if load_rps > MAX_LOAD_RPS:
        raise UsageError(
            f"{option} {text!r} is more than can be issued on one machine "
            f"(at most {MAX_LOAD_RPS:,.0f} requests/s)"
        )
    return load_rps


def parse_loads_rps(text: str, option: str) -> tuple[float, ...]:
    """Return the loads of a comma-separated text, ascending and without repeats.

    Raises:
        UsageError: an entry is empty or not a load.
    """
    loads = {parse_load_rps(part, option) for part in text.split(",")}
    return tuple(sorted(loads))


def parse_shapes(texts: Iterable[str], option: str) -> dict[str, list[int]]:
    """Return input name -> sizes for texts such as `images=1x3x320x320`.

    Raises:
        UsageError: not of this form, a size below 1, or an input named twice.
    """
    shapes: dict[str, list[int]] = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        try:
            shape = [int(size) for size in sizes.lower().split("x")]
        except ValueError:
            shape = []
        if not name or not shape:
            raise UsageError(
                f"{option} {text!r} is not NAME=SIZES: write it like images=1x3x320x320"
            )
        if min(shape) < 1:
            raise UsageError(f"{option} {text!r}: every size must be at least 1")
        if name in shapes:
            raise UsageError(f"{option} {text!r}: the shape of {name!r} was given before")
        shapes[name] = shape
    return shapes


def format_shape(shape: Iterable[int | str]) -> str:
    """A shape as it is written: `1x3x320x320`."""
    return "x".join(map(str, shape))


def format_ms(value_ms: float | None) -> str:
    """Milliseconds at three significant digits; `-` for an unknown, `inf` for a lost tail."""
    if value_ms is None:
        return "-"
    if math.isinf(value_ms):
        return "inf"
    if value_ms >= 100:
        return f"{value_ms:,.0f}"
    return f"{value_ms:.1f}" if value_ms >= 10 else f"{value_ms:.2f}"


def format_rps(value_rps: float) -> str:
    """Requests/s without a needless fraction."""
    return f"{value_rps:,.0f}" if value_rps >= 10 else f"{value_rps:.3g}"


def format_percent(share: float) -> str:
    """A share as a percentage that never rounds a miss away: 99.96 % is not 100 %."""
    percent = 100 * share
    text = f"{percent:.1f}"
    return f"{min(percent, 99.999):.3f}" if text == "100.0" and percent < 100 else text
