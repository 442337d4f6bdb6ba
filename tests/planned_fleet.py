"""A plan as `autotune plan` would write it, made without planning: two days, two machine types."""

import math

from msgspec.structs import replace

from autotune.planning.records import (
    AggregationError,
    ForecastError,
    FunctionPlanned,
    Kind,
    Moment,
    Plan,
    PolicyPlanned,
    ServesUpTo,
    TraceSeen,
    TypePlanned,
)
from autotune.spec import ServingConfig, Slo

DAY_S = 86_400.0
STEP_S = 900.0
STEPS = 192
CAPACITY_RPS = (90.0, 160.0)
"""Of the types: small and large."""
SPIKE = 130
"""The step in which four times the usual arrives."""
SETTINGS: dict[Kind, dict[str, float]] = {
    "reactive_hpa": {"target_utilisation": 0.6},
    "reactive_ray": {"target_ongoing_requests": 2.5},
    "predictive": {"lead_s": 90.0, "margin": 0.15},
    "spill_over": {"lead_s": 90.0, "margin": 0.05},
}
COSTS: dict[Kind, tuple[float, float]] = {
    "peak": (28.3, 1.0),
    "static": (14.1, 0.995),
    "reactive_hpa": (9.2, 0.982),
    "reactive_ray": (9.9, 0.986),
    "predictive": (8.4, 0.9915),
    "spill_over": (7.1, 0.9962),
    "oracle": (6.8, 0.999),
}
"""Cost of the trace and attainment."""


def load_rps(step: int) -> float:
    """Of a step: a day's wave, and one spike."""
    wave = 300.0 - 220.0 * math.cos(2 * math.pi * step * STEP_S / DAY_S)
    return wave * (4.0 if step == SPIKE else 1.0)


def machines_for(wanted_rps: float) -> list[int]:
    """Large ones first, small ones for the rest."""
    large, rest_rps = divmod(wanted_rps, CAPACITY_RPS[1])
    return [math.ceil(rest_rps / CAPACITY_RPS[0]), int(large)]


def moment(kind: Kind, step: int) -> Moment:
    """Of a policy."""
    seen_rps = {
        "peak": load_rps(SPIKE),
        "static": 700.0,
        "reactive_hpa": load_rps(max(0, step - 1)) / 0.6,
        "reactive_ray": load_rps(max(0, step - 1)) / 0.6,
        "predictive": 1.15 * min(load_rps(step), 520.0),
        "spill_over": 1.05 * min(load_rps(step), 520.0),
        "oracle": load_rps(step),
    }[kind]
    machines = machines_for(seen_rps)
    capacity_rps = sum(n * rps for n, rps in zip(machines, CAPACITY_RPS, strict=True))
    above = max(0.0, 1.0 - capacity_rps / load_rps(step))
    spilled = above if kind == "spill_over" else 0.0
    return Moment(
        at_s=step * STEP_S,
        load_rps=load_rps(step),
        capacity_rps=capacity_rps,
        machines=machines,
        within=max(0.0, 0.9985 - (0.1 if spilled else 1.0) * above),
        spilled=spilled,
    )


def policy(kind: Kind) -> PolicyPlanned:
    """One way to scale."""
    series = [moment(kind, step) for step in range(STEPS)]
    cost, attainment = COSTS[kind]
    counts = [[one.machines[place] for one in series] for place in range(2)]
    return PolicyPlanned(
        kind=kind,
        settings=SETTINGS.get(kind, {}),
        cost=cost,
        cost_per_million=cost / 52.2,
        to_peak=cost / COSTS["peak"][0],
        to_oracle=cost / COSTS["oracle"][0],
        attainment=attainment,
        meets_slo=attainment >= 0.99,
        p50_ms=11.2,
        p95_ms=28.4,
        p99_ms=None if attainment < 0.985 else 44.0 / attainment,
        objective_ms=None if attainment < 0.985 else 44.0 / attainment,
        lost_share=0.004 if attainment < 0.985 else 0.0,
        spilled_share=0.012 if kind == "spill_over" else 0.0,
        cold_share=0.0003 if kind == "spill_over" else 0.0,
        machine_hours=[sum(one) * STEP_S / 3600 for one in counts],
        most_machines=[max(one) for one in counts],
        least_machines=[min(one) for one in counts],
        cpu_s_per_request=0.011,
        starts=0 if kind in ("peak", "static") else 61,
        series=series,
    )


def _type(name: str, price: float, capacity_rps: float, cores: int) -> TypePlanned:
    one = ServingConfig(replicas=cores, intra_op_threads=1, spinning=False)
    batched = replace(one, max_batch_size=4, batch_timeout_ms=5.0)
    return TypePlanned(
        name=name,
        file=f"{name}.autotune.json",
        price_per_hour=price,
        start_s=60.0,
        capacity_rps=capacity_rps,
        cost_per_million=1e6 * price / 3600 / capacity_rps,
        nearest_ms=17.5,
        correction=1.08,
        serves=[
            ServesUpTo(rate_rps=0.6 * capacity_rps, config=one, latency_ms=31.0),
            ServesUpTo(rate_rps=capacity_rps, config=batched, latency_ms=49.2),
        ],
        notes=[],
    )


FUNCTION = FunctionPlanned(
    name="lambda-arm64",
    memory_mib=1769,
    max_batch_size=4,
    batch_timeout_ms=10.0,
    cost_per_million=2.41,
    mean_batch_size=1.8,
    execution_ms=21.3,
    percentile=99.25,
    analytic_ms=43.1,
    simulated_ms=44.0,
    cold_start_s=2.0,
)
PLAN = Plan(
    format="autotune-plan",
    schema_version=1,
    answer="met",
    summary=(
        "Run 1 to 2 c7g.large and 0 to 3 c7i.xlarge, scaled to a forecast, and let lambda-arm64 "
        "take what they cannot: 0.136 USD a million requests."
    ),
    chosen="spill_over",
    nearest=None,
    slo=Slo(latency_ms=50.0, percentile=99.0),
    model="magika:",
    currency="USD",
    prices_as_of="2026-09-16",
    prices_source="https://aws.amazon.com/ec2/pricing/on-demand/",
    trace=TraceSeen(
        source="requests.csv",
        requests=52_200_000,
        seconds=STEPS * STEP_S,
        began="2026-11-02T00:00:00+00:00",
        mean_rps=302.1,
        peak_rps=load_rps(SPIKE),
        step_s=STEP_S,
        bin_s=0.1,
        dispersion=2.4,
        phase_rps=(210.0, 610.0),
        phase_s=(240.0, 90.0),
        notes=["No request for 12 min from 2026-11-02T03:10:00+00:00 on."],
    ),
    types=[
        _type("c7g.large", 0.0725, CAPACITY_RPS[0], 2),
        _type("c7i.xlarge", 0.1785, CAPACITY_RPS[1], 4),
    ],
    function=FUNCTION,
    policies=[policy(kind) for kind in COSTS],
    forecast=ForecastError(
        model="exponential smoothing, damped trend, daily season",
        lead_s=90.0,
        error=0.061,
        naive_error=0.094,
        bias=0.004,
        under_share=0.47,
    ),
    aggregation=AggregationError(
        requests=400_000,
        attainment=0.9958,
        exact_attainment=0.9951,
        p99_ms=44.2,
        exact_p99_ms=45.6,
    ),
    notes=["The price list has no tuned file for m7g.large: left out."],
    autotune="0.1.0",
)
"""It meets the SLO."""
UNMET = replace(
    PLAN,
    answer="not_met",
    summary="Nothing meets p99 <= 10 ms.",
    chosen=None,
    nearest=(
        "Nearest is peak, with 88.0 % within 10 ms: one c7g.large that is nearly idle needs "
        "17.5 ms: allow that, or add a faster machine type."
    ),
    slo=Slo(latency_ms=10.0, percentile=99.0),
    function=None,
    forecast=None,
    types=[replace(one, capacity_rps=0.0, cost_per_million=None, serves=[]) for one in PLAN.types],
    policies=[
        replace(policy("peak"), attainment=0.88, meets_slo=False, p99_ms=None, objective_ms=None)
    ],
)
"""It does not."""
