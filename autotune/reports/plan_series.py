"""What a plan's pictures draw, as rows: plain numbers by policy, moment and machine type."""

from collections.abc import Iterator, Sequence

from autotune.planning.records import Kind, Moment, Plan, PolicyPlanned
from autotune.planning.words import NAMES, moment_iso, used_types
from autotune.reports.series import Row
from autotune.tabular import printable

MOST_MOMENTS = 400
"""Of a line: more cannot be told apart, and a page shall stay small."""
MOST_TYPES = 5
"""Of machines, by colour; the others are one."""
OTHERS = "other types"
LONGEST_LABEL = 40


def drawn(plan: Plan) -> list[PolicyPlanned]:
    """Return the policies that have a course over time."""
    return [one for one in plan.policies if one.series]


def first_shown(plan: Plan) -> Kind | None:
    """Return the policy to show first: the chosen one, or the first there is; None: none."""
    kinds = [one.kind for one in drawn(plan)]
    if plan.chosen in kinds:
        return plan.chosen
    return kinds[0] if kinds else None


def thinned(series: Sequence[Moment], most: int = MOST_MOMENTS) -> list[Sequence[Moment]]:
    """Return the moments in at most so many stretches, as even as can be."""
    count = min(most, len(series))
    return [
        series[place * len(series) // count : (place + 1) * len(series) // count]
        for place in range(count)
    ]


def load_rows(plan: Plan) -> list[Row]:
    """Return load, capacity and share within the SLO; of a stretch the highest load, the lowest
    capacity and the mean share."""
    return [
        {
            "policy": policy.kind,
            "name": NAMES[policy.kind],
            **_at(plan, stretch),
            "load_rps": max(one.load_rps for one in stretch),
            "capacity_rps": min(one.capacity_rps for one in stretch),
            "share": _mean(stretch, [one.within for one in stretch]),
            "spilled": _mean(stretch, [one.spilled for one in stretch]),
        }
        for policy in drawn(plan)
        for stretch in thinned(policy.series)
    ]


def machine_rows(plan: Plan) -> list[Row]:
    """Return machines by type; of a stretch the most."""
    return [row for policy in drawn(plan) for row in _machine_rows(plan, policy)]


def _machine_rows(plan: Plan, policy: PolicyPlanned) -> Iterator[Row]:
    names = type_names(plan)
    for stretch in thinned(policy.series):
        totals: dict[str, int] = {}
        for place, one in enumerate(plan.types):
            if policy.most_machines[place]:
                label = label_of(one.name, place)
                name = label if label in names else OTHERS
                most = max(moment.machines[place] for moment in stretch)
                totals[name] = totals.get(name, 0) + most
        for name, machines in totals.items():
            row = {"policy": policy.kind, **_at(plan, stretch), "type": name}
            yield {**row, "order": names.index(name), "machines": machines}


def type_names(plan: Plan) -> list[str]:
    """Return the machine types that any policy runs, the most used first, the rest as one."""
    hours: dict[str, float] = {}
    for policy in drawn(plan):
        for one in used_types(plan, policy):
            place = plan.types.index(one)
            label = label_of(one.name, place)
            hours[label] = hours.get(label, 0.0) + policy.machine_hours[place]
    names = sorted(hours, key=lambda name: -hours[name])
    return names if len(names) <= MOST_TYPES else [*names[: MOST_TYPES - 1], OTHERS]


def label_of(name: str, place: int) -> str:
    """Return a machine type's name as a legend has room for it, unlike that of any other place."""
    label = printable(name)
    return label if len(label) <= LONGEST_LABEL else f"{label[:LONGEST_LABEL]}... {place + 1}"


def cost_rows(plan: Plan) -> list[Row]:
    """Return what each policy costs a million requests, and whether it meets the SLO."""
    return [
        {
            "policy": one.kind,
            "name": NAMES[one.kind],
            "cost": one.cost_per_million,
            "times_peak": one.to_peak,
            "times_oracle": one.to_oracle,
            "percent": 100 * one.attainment,
            "objective_ms": one.objective_ms,
            "meets": _meets(plan, one),
        }
        for one in plan.policies
    ]


def _meets(plan: Plan, one: PolicyPlanned) -> str:
    if one.kind == plan.chosen:
        return CHOSEN
    if one.kind == "oracle":
        return BOUND
    return MET if one.meets_slo else MISSED


CHOSEN, MET, MISSED, BOUND = "chosen", "meets the SLO", "misses the SLO", "a bound"


def function_rows(plan: Plan) -> list[Row]:
    """Return the function's latency at its percentile, by model and by simulation."""
    one = plan.function
    if one is None:
        return []
    return [
        {"by": "analytic model", "ms": one.analytic_ms},
        {"by": "simulation", "ms": one.simulated_ms},
    ]


def _at(plan: Plan, stretch: Sequence[Moment]) -> Row:
    at_s = stretch[0].at_s
    return {"at": moment_iso(plan, at_s), "hours": at_s / 3600}


def _mean(stretch: Sequence[Moment], values: Sequence[float]) -> float:
    """Return the mean over requests."""
    requests = sum(one.load_rps for one in stretch)
    if not requests:
        return values[0]
    weighted = zip(values, stretch, strict=True)
    return sum(value * one.load_rps for value, one in weighted) / requests
