"""What pages and pictures of a plan say alike: names of policies, money, moments."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from autotune.planning.records import Kind, Plan, PolicyPlanned, TypePlanned
from autotune.units import format_duration

NAMES: Mapping[Kind, str] = MappingProxyType(
    {
        "peak": "fixed, for the peak",
        "static": "fixed, the cheapest",
        "reactive_hpa": "by utilisation (HPA)",
        "reactive_ray": "by requests in flight (Ray)",
        "predictive": "by a forecast",
        "spill_over": "by a forecast, with spill-over",
        "oracle": "oracle, a bound",
    }
)
MOST_LISTED = 3
"""Machine types in a sentence; the table has all."""
MONTH_S = 30 * 86_400.0
"""A month of thirty days, to which costs are scaled."""


def money(amount: float, currency: str = "") -> str:
    """Return an amount at three significant digits, cents at least where it is more than one."""
    text = f"{amount:,.0f}" if amount >= 1000 else f"{amount:.2f}"
    text = text if amount >= 1 or amount == 0 else f"{amount:#.3g}"
    return f"{text} {currency}".rstrip()


def per_month(plan: Plan, policy: PolicyPlanned) -> float:
    """Return what thirty days of the trace's traffic cost."""
    return policy.cost * MONTH_S / plan.trace.seconds


def machines_text(policy: PolicyPlanned, types: Sequence[TypePlanned]) -> str:
    """Return how many machines run: `1 to 3 c7g.large and 2 c7i.xlarge`; of many types the most
    used."""
    used = [
        (hours, f"{count_text(least, most)} {one.name}")
        for hours, least, most, one in zip(
            policy.machine_hours, policy.least_machines, policy.most_machines, types, strict=True
        )
        if most
    ]
    if len(used) <= MOST_LISTED:
        return " and ".join(text for _, text in used)
    first = sorted(used, key=lambda one: -one[0])[:MOST_LISTED]
    return f"{', '.join(text for _, text in first)} and {len(used) - MOST_LISTED} more types"


def count_text(least: int, most: int) -> str:
    """Return `2`, or `1 to 3`."""
    return f"{least}" if least == most else f"{least} to {most}"


def moment_text(plan: Plan, at_s: float) -> str:
    """Return when a moment of the trace is: `11-02 03:10` (UTC), or how far into it."""
    if plan.trace.began is None:
        return format_duration(at_s) if at_s else "0 s"
    return f"{_began(plan.trace.began) + timedelta(seconds=at_s):%m-%d %H:%M}"


def moment_iso(plan: Plan, at_s: float) -> str | None:
    """Return it as ISO 8601 in UTC without an offset; None: the trace has no dates."""
    if plan.trace.began is None:
        return None
    return (_began(plan.trace.began) + timedelta(seconds=at_s)).replace(tzinfo=None).isoformat()


def hour_of_day(plan: Plan, at_s: float) -> int | None:
    """Return the hour in UTC; None: the trace has no dates."""
    if plan.trace.began is None:
        return None
    return (_began(plan.trace.began) + timedelta(seconds=at_s)).hour


def used_types(plan: Plan, policy: PolicyPlanned) -> list[TypePlanned]:
    """Return the machine types of which a policy runs any."""
    return [one for one, most in zip(plan.types, policy.most_machines, strict=True) if most]


def _began(text: str) -> datetime:
    return datetime.fromisoformat(text)
