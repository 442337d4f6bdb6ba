"""What tables of different results have in common."""

from autotune.present.document import Tone
from autotune.records import Percentile, Summary
from autotune.units import format_ms, format_percent


def value(one: Percentile) -> str:
    """A percentile in milliseconds; `lost` where too many requests were."""
    return format_ms(one.value_ms) if one.value_ms is not None else "lost"


def bounds(one: Percentile, unknown_low: str = "0") -> tuple[str, str]:
    """Both ends of its 95 % interval; `?` where the requests cannot bound it."""
    low = format_ms(one.low_ms) if one.low_ms is not None else unknown_low
    return low, format_ms(one.high_ms) if one.high_ms is not None else "?"


def share(one: float) -> str:
    """A share in percent."""
    return f"{format_percent(one)} %"


def cpu_ms(one: Summary) -> str:
    """CPU milliseconds per request."""
    return format_ms(1e3 * one.cpu_s_per_request)


def verdict(proven: str, keeps: bool) -> str:
    """Whether the SLO is met: `met` and `missed` are proven, with `?` they are estimates."""
    return proven if proven != "undecided" else "met?" if keeps else "missed?"


def met(seen: Summary) -> str:
    """Likewise by what was measured; `overload` where the queue grew without end."""
    return "overload" if seen.diverged else verdict(seen.slo_verdict, seen.meets_slo)


def met_if_undisturbed(seen: Summary) -> str:
    """Likewise, marked where something disturbed the measurement."""
    return f"{met(seen)} *" if seen.disturbed else met(seen)


def as_tone(good: bool) -> Tone:
    """The tone of what is well and of what is not."""
    return "good" if good else "bad"
