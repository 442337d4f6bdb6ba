"""Hours of the day in which every day of a trace needed more machines than the least."""

from typing import NamedTuple

from autotune.planning.records import Plan, PolicyPlanned
from autotune.planning.words import hour_of_day
from autotune.units import DAY_S

HOURS = 24
LEAST_DAYS = 2
"""One day says nothing of the next."""


class Floor(NamedTuple):
    """So many machines at least in some hours of each day, in UTC."""

    from_hour: int
    to_hour: int
    """Not included; before `from_hour` where it is of the next day."""
    machines: int
    days: int
    """Of the trace, on each of which so many were needed."""


def daily_floors(plan: Plan, policy: PolicyPlanned, place: int) -> list[Floor]:
    """Return the hours in which every day needed the same number of machines of a type, or more.

    Empty where the trace has no dates or fewer than two days, where an hour was never seen, or
    where all hours need the same.

    Args:
        plan: whose trace it is.
        policy: whose machines are counted.
        place: of the machine type.
    """
    days = int(plan.trace.seconds // DAY_S)
    if days < LEAST_DAYS or plan.trace.began is None:
        return []
    needed: dict[tuple[int, int], int] = {}
    for moment in policy.series:
        hour = hour_of_day(plan, moment.at_s)
        assert hour is not None
        day = int(moment.at_s // DAY_S)
        if day < days:
            needed[hour, day] = max(needed.get((hour, day), 0), moment.machines[place])
    by_hour = [[needed.get((hour, day)) for day in range(days)] for hour in range(HOURS)]
    floors = [min(one for one in each if one is not None) for each in by_hour if None not in each]
    if len(floors) < HOURS or len(set(floors)) == 1:
        return []
    return _blocks(floors, days)


def _blocks(floors: list[int], days: int) -> list[Floor]:
    """Join neighbouring hours of the same floor, around midnight as well."""
    starts = [hour for hour in range(HOURS) if floors[hour] != floors[hour - 1]]
    ends = [*starts[1:], starts[0]]
    return [Floor(start, end, floors[start], days) for start, end in zip(starts, ends, strict=True)]
