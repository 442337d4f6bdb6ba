"""Text to quantity and back: the one place where units are parsed and formatted."""

import math
import re
from collections.abc import Iterable
from itertools import pairwise

from autotune.errors import UsageError, did_you_mean

_SECONDS = {
    **dict.fromkeys(("us", "usec", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
}
_PER_SECOND = {
    **dict.fromkeys(("", "rps", "qps", "/s", "/sec", "/second", "req/s", "requests/s"), 1.0),
    **dict.fromkeys(("rpm", "/min", "/minute", "req/min", "requests/min"), 1 / 60),
}
# Every quantifier that could give way to its neighbour is possessive: no text takes long to refuse.
_NUMBER = r"[-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:e[-+]?[0-9]++)?"
_PART = re.compile(rf"\s*+({_NUMBER})\s*+([a-z]*+)", re.IGNORECASE)
_LOAD = re.compile(rf"\s*+({_NUMBER})\s*+(k?)\s*+([a-z/]*+)\s*+", re.IGNORECASE)
_WITH_COMMA = re.compile(r"[0-9]++(,[0-9]++)+\s*+[a-z%/]*+", re.IGNORECASE)
_THOUSANDS = re.compile(r"[0-9]{1,3}(,[0-9]{3})+\D.*")
_CLOCK = re.compile(r"([0-9]++):([0-5][0-9])")
_NINES = re.compile(r"p?99(9+)%?")

DTYPES = (
    *("float16", "float32", "float64", "bool", "uint8"),
    *("int8", "int16", "int32", "int64"),
)
"""What the inputs of a torch model may hold."""
HOUR_S = 3600.0
DAY_S = 86_400.0
MAX_WATTS = 100_000.0
MAX_LOAD_RPS = 1e6
"""Above this many requests/s the schedule itself could not be issued by any replica here."""


def parse_duration_s(text: str, option: str) -> float:
    """Return seconds for a text such as `50ms`, `0.5s`, `3 minutes` or `1m30s`.

    Raises:
        UsageError: no number, no unit, an unknown unit, or not above zero.
    """
    where = f"{option} {text!r}"
    plain = text.replace("\u00b5", "u").replace("\u03bc", "u")
    parts = None if "," in text else _parts(plain, where)
    if parts is None:
        raise UsageError(f"{where} is not a duration: {_example(text)}")
    seconds = 0.0
    for number, unit in parts:
        if not unit:
            digits = f"{number:.15g}"
            raise UsageError(f"{where} has no unit: write {digits}ms, {digits}s or {digits}m")
        if unit not in _SECONDS:
            hint = did_you_mean(unit, ("us", "ms", "seconds", "minutes", "hours"))
            raise UsageError(f"{where} has an unknown unit {unit!r}: use us, ms, s, m or h{hint}")
        seconds += number * _SECONDS[unit]
    if not (seconds > 0 and math.isfinite(seconds)):
        raise UsageError(f"{where} is out of range")
    return seconds


def _parts(text: str, where: str) -> list[tuple[float, str]] | None:
    """Return numbers with their units, the largest first; None where there is anything else.

    Raises:
        UsageError: a number is not above zero.
    """
    parts: list[tuple[float, str]] = []
    rest = text.rstrip()
    while match := _PART.match(rest):
        number, unit = float(match[1]), match[2].lower()
        if not (number > 0 and math.isfinite(number)):
            raise UsageError(f"{where} must be above zero, and finite")
        parts.append((number, unit))
        rest = rest[match.end() :]
    sizes = [_SECONDS.get(unit, 0.0) for _, unit in parts]
    falling = all(first > second > 0 for first, second in pairwise(sizes))
    return parts if parts and falling and not rest else None


def _example(text: str) -> str:
    """Return how to write what was probably meant, or how durations are written."""
    if without := _without_comma(text):
        return f"write {without}"
    if match := _CLOCK.fullmatch(text.strip()):
        return f"write it like {match[1]}m{match[2]}s"
    return "write it like 50ms, 0.5s or 3m"


def _without_comma(text: str) -> str:
    """Return a number with a comma as it is written here; empty where it is no such number."""
    plain = text.strip()
    if not _WITH_COMMA.fullmatch(plain):
        return ""
    decimal, whole = plain.replace(",", "."), plain.replace(",", "")
    if plain.count(",") > 1:
        return whole
    return f"{decimal} or {whole}" if _THOUSANDS.fullmatch(plain) else decimal


def parse_share(text: str, option: str) -> float:
    """Return `5%` or `0.05` as a share between 0 and 1, both excluded.

    Raises:
        UsageError: it is neither.
    """
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number + rest) / (100 if percent else 1)
    except ValueError:
        hint = f": write {without}" if (without := _without_comma(text)) else ""
        raise UsageError(f"{option} {text}: is not a share, like 5% or 0.05{hint}") from None
    if not 0 < share < 1:
        hint = f"; did you mean {text.strip()}%?" if 1 <= share < 100 and not percent else ""
        raise UsageError(f"{option} {text}: must be above 0 and below 100 %{hint}")
    return share


def parse_percent(text: str, option: str) -> float:
    """Return the number of `99`, `99%` or `99.9 %`.

    Raises:
        UsageError: it is none, or not finite.
    """
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not math.isfinite(percent):
        like = _without_comma(text) or "it like 99 or 99.9"
        raise UsageError(f"{option} {text!r} is not a percentage: write {like}")
    return percent


def parse_watts(text: str, option: str) -> float:
    """Return the watts of `150W`, `2.5 W` or `2.5`.

    Raises:
        UsageError: it is none, not above zero, or more than any machine draws.
    """
    try:
        watts = float(text.strip().lower().removesuffix("w"))
    except ValueError:
        like = _without_comma(text) or "it like 150W or 2.5W"
        raise UsageError(f"{option} {text!r} is no power: write {like}") from None
    if not 0 < watts <= MAX_WATTS:
        raise UsageError(f"{option} {text!r} must be above zero, and at most {MAX_WATTS:,.0f} W")
    return watts


def parse_percentile(text: str, option: str) -> float:
    """Return the number of `99`, `p99`, `99%` or `p99.9`.

    Raises:
        UsageError: it is none, not below 100, or below 1, where a share was meant.
    """
    percentile = parse_percent(text.strip().lower().removeprefix("p") or text, option)
    if 0 < percentile < 1:
        meant = f"{100 * percentile:.12g}"
        raise UsageError(f"{option} {text!r} is a share: write {meant} for {meant} % of requests")
    if not 1 <= percentile < 100:
        nines = _NINES.fullmatch(text.strip().lower())
        like = f"99.{nines[1]}" if nines else "99"
        raise UsageError(f"{option} {text!r} must lie between 0 and 100, like {like}")
    return percentile


def parse_load_rps(text: str, option: str) -> float:
    """Return requests/s for a text such as `80`, `80rps`, `80/s`, `1.5k` or `4800/min`.

    Raises:
        UsageError: not a number, an unknown unit, not above zero, or above `MAX_LOAD_RPS`.
    """
    match = _LOAD.fullmatch(text)
    if match is None or match[3].lower() not in _PER_SECOND:
        several = "names several loads where one is wanted"
        why = several if "," in text else "is not a load: write requests/s, like 80 or 80rps"
        raise UsageError(f"{option} {text!r} {why}")
    thousands = 1000.0 if match[2] else 1.0
    load_rps = float(match[1]) * thousands * _PER_SECOND[match[3].lower()]
    if not load_rps > 0:
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

    Sizes may as well be written as `1,3,320,320` or `[1, 3, 320, 320]`.

    Raises:
        UsageError: not of this form, a size below 1, or an input named twice.
    """
    shapes: dict[str, list[int]] = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        name, shape = name.strip(), _sizes(sizes)
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


def parse_typed_shapes(
    texts: Iterable[str], option: str
) -> tuple[dict[str, list[int]], dict[str, str]]:
    """Return shapes as `parse_shapes` does, and types of those that name one: `ids=1x128:int64`.

    Raises:
        UsageError: likewise, or no type that a tensor may have.
    """
    shapes, dtypes = [], {}
    for text in texts:
        shape, colon, dtype = text.rpartition(":")
        if not colon or "=" in dtype:
            shapes.append(text)
            continue
        if dtype not in DTYPES:
            hint = did_you_mean(dtype, DTYPES)
            raise UsageError(f"{option} {text!r}: {dtype!r} is none of {', '.join(DTYPES)}{hint}")
        shapes.append(shape)
        dtypes[shape.rpartition("=")[0].strip()] = dtype
    return parse_shapes(shapes, option), dtypes


def _sizes(text: str) -> list[int]:
    """Return the whole numbers between `x`, a multiplication sign or commas; empty if others."""
    plain = text.strip().lower().replace("\u00d7", "x")
    if plain[:1] + plain[-1:] in ("[]", "()"):
        plain = plain[1:-1]
    parts = [part.strip() for part in plain.replace(",", "x").split("x")]
    # int() alone would take signs, underscores and the digits of every script.
    whole = all(re.fullmatch(r"[-+]?[0-9]{1,18}", part) for part in parts)
    return [int(part) for part in parts] if whole else []


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


def format_duration(seconds: float) -> str:
    """Seconds as people say them: `250 ms`, `1.5 s`, `80 s`, `5 min`, `1 h 30 min`."""
    if seconds < 0.9995:
        return f"{1e3 * seconds:.3g} ms"
    if seconds < 100:
        return f"{seconds:.3g} s"
    whole_s = round(seconds) if seconds < 3600 else 60 * round(seconds / 60)
    minutes, rest_s = divmod(whole_s, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest_s, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def format_rps(value_rps: float) -> str:
    """Requests/s without a needless fraction."""
    return f"{value_rps:,.0f}" if value_rps >= 10 else f"{value_rps:.3g}"


def format_percent(share: float) -> str:
    """A share as a percentage that never rounds a miss away: 99.96 % is not 100 %."""
    percent = 100 * share
    text = f"{percent:.1f}"
    return f"{min(percent, 99.999):.3f}" if text == "100.0" and percent < 100 else text


def format_cores(count: int) -> str:
    """`1 usable core`, `2 usable cores`."""
    return f"{count} usable core{'s' if count != 1 else ''}"
