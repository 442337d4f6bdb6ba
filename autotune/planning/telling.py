"""What was found, as the records of a plan, and in sentences."""

import math
from collections.abc import Sequence

import numpy as np

from autotune.planning.arriving import Arriving
from autotune.planning.attained import Scene
from autotune.planning.load_windows import Windows
from autotune.planning.machines import MachineType
from autotune.planning.measured_tails import service_of
from autotune.planning.mmpp import Mmpp
from autotune.planning.question import PlanQuestion
from autotune.planning.records import (
    FunctionPlanned,
    PolicyPlanned,
    ServesUpTo,
    TraceSeen,
    TypePlanned,
)
from autotune.planning.scaling import Played
from autotune.planning.served import quantile_s
from autotune.planning.words import NAMES, machines_text, money
from autotune.spec import Slo
from autotune.units import HOUR_S, format_ms, format_percent, format_rps

MEMORYLESS = ("peak", "static")
"""Whose settings are no more than the machines themselves."""


def chosen_of(played: Sequence[Played], slo: Slo) -> Played | None:
    """Return the cheapest that meets the SLO and can be deployed; of equals the simplest."""
    meeting = [one for one in played if one.kind != "oracle" and one.meets(slo.quantile)]
    return min(meeting, key=lambda one: one.cost.total, default=None)


def trace_seen(arriving: Arriving, windows: Windows, arrivals: Mmpp) -> TraceSeen:
    """Return the trace as it was planned for."""
    return TraceSeen(
        source=arriving.source,
        requests=arriving.requests,
        seconds=arriving.seconds,
        began=arriving.began,
        mean_rps=arriving.mean_rps,
        peak_rps=float(windows.step_loads_rps.max()),
        step_s=windows.step_s,
        bin_s=windows.window_s,
        dispersion=windows.dispersion,
        phase_rps=arrivals.rates_rps,
        phase_s=arrivals.phase_s,
        notes=list(arriving.notes),
    )


def type_planned(one: MachineType, question: PlanQuestion, windows: Windows) -> TypePlanned:
    """Return a machine type in the traffic that a single machine would see."""
    million = None
    if one.capacity_rps > 0:
        million = 1e6 * one.price.per_hour / HOUR_S / one.capacity_rps
    lowest_rps = float(one.served.rates_rps[0])
    nearest_s = quantile_s(one.served, question.slo.quantile, lowest_rps, windows.dispersion)
    return TypePlanned(
        name=one.name,
        file=question.names[one.name],
        price_per_hour=one.price.per_hour,
        start_s=one.price.start_s,
        capacity_rps=one.capacity_rps,
        cost_per_million=million,
        nearest_ms=1e3 * min(nearest_s, float(one.served.latency_s[-1])),
        correction=one.correction,
        serves=_serves(one, question.slo, windows.dispersion),
        notes=list(one.notes),
    )


def _serves(one: MachineType, slo: Slo, dispersion: float) -> list[ServesUpTo]:
    """Return what runs up to which rate, to where the SLO is met."""
    served, configs = one.served, service_of(one.file).configs
    rates_rps = [*served.rates_rps[served.rates_rps < one.capacity_rps], one.capacity_rps]
    found: list[ServesUpTo] = []
    for row, rate_rps in enumerate(rates_rps if one.capacity_rps > 0 else []):
        config = configs[int(served.config_of[min(row, len(served.rates_rps) - 1), -1])].config
        if found and found[-1].config == config:
            found.pop()
        latency_s = quantile_s(served, slo.quantile, float(rate_rps), dispersion)
        latency_ms = 1e3 * min(latency_s, float(served.latency_s[-1]))
        found.append(ServesUpTo(rate_rps=float(rate_rps), config=config, latency_ms=latency_ms))
    return found


def policy_planned(one: Played, played: Sequence[Played], scene: Scene) -> PolicyPlanned:
    """Return how one way to scale did, beside the peak's fleet and the oracle's."""
    ready, found, total = one.fleet.ready, one.attained, one.cost.total
    costs = {other.kind: other.cost.total for other in played}
    return PolicyPlanned(
        kind=one.kind,
        settings=one.settings,
        cost=total,
        cost_per_million=one.cost.per_million(scene.windows.requests),
        to_peak=_ratio(total, costs.get("peak")),
        to_oracle=_ratio(total, costs.get("oracle")),
        attainment=found.attainment,
        meets_slo=one.meets(scene.slo.quantile),
        p50_ms=_ms(found.p50_s),
        p95_ms=_ms(found.p95_s),
        p99_ms=_ms(found.p99_s),
        objective_ms=_ms(found.objective_s),
        lost_share=found.lost_share,
        spilled_share=found.spilled_share,
        cold_share=found.cold_share,
        machine_hours=[float(hours) for hours in one.fleet.billed_s / HOUR_S],
        most_machines=[int(count) for count in np.max(ready, axis=0)],
        least_machines=[int(count) for count in np.min(ready, axis=0)],
        cpu_s_per_request=found.cpu_s,
        starts=int(np.sum(one.fleet.starts)),
        series=one.series,
    )


def _ratio(cost: float, other: float | None) -> float | None:
    return cost / other if other else None


def _ms(seconds: float) -> float | None:
    return 1e3 * seconds if math.isfinite(seconds) else None


def summary_text(
    chosen: PolicyPlanned | None,
    types: Sequence[TypePlanned],
    function: FunctionPlanned | None,
    question: PlanQuestion,
) -> str:
    """Return what to run and what it costs, or that nothing meets the SLO."""
    if chosen is None:
        return f"Nothing that was tried meets {question.slo} on this trace."
    machines = machines_text(chosen, types)
    runs = f"Run {machines}, {NAMES[chosen.kind]}" if machines else "Run no machines"
    if chosen.spilled_share and function is not None:
        runs += f"; {function.name} takes {format_percent(chosen.spilled_share)} % of the requests"
    cost = money(chosen.cost_per_million, question.prices.currency)
    return f"{runs}: {cost} a million requests."


def nearest_text(policies: Sequence[PolicyPlanned], types: Sequence[TypePlanned], slo: Slo) -> str:
    """Return what comes nearest where nothing meets the SLO, and what would have to change."""
    able = [one for one in types if one.capacity_rps > 0]
    tried = [one for one in policies if one.kind != "oracle"]
    if able and tried:
        best = max(tried, key=lambda one: one.attainment)
        return (
            f"Nearest is the fleet {NAMES[best.kind]}, with {format_percent(best.attainment)} % "
            f"within {slo.latency_ms:g} ms: allow more machines in the price list, machines that "
            "start sooner, or a lower percentile."
        )
    near = min(types, key=lambda one: one.nearest_ms)
    return (
        f"Nearest is {near.name}, whose p{slo.percentile:g} is {format_ms(near.nearest_ms)} ms "
        "when nearly idle in this traffic: allow that, or add a faster machine type."
    )


def notes_on_plan(
    policies: Sequence[PolicyPlanned],
    function: FunctionPlanned | None,
    question: PlanQuestion,
) -> list[str]:
    """Return what the numbers do not say by themselves."""
    notes = []
    if any(one.kind not in (*MEMORYLESS, "oracle") for one in policies):
        notes.append(
            "Settings of each policy are the best for this very trace: on another day the same "
            "settings may do worse."
        )
    if function is not None and function.mean_batch_size > 1.05:
        notes.append(
            f"{function.name}: a request costs what it would if all came to the function, in "
            f"batches of {function.mean_batch_size:.2g}; what spills over may come in smaller ones."
        )
    peak = next((one for one in policies if one.kind == "peak"), None)
    if peak is not None and not peak.meets_slo:
        notes.append(
            f"A fleet for the busiest step, of {format_rps(peak.settings['peak_rps'])}/s, misses "
            f"the SLO: within steps of {question.step_s:g} s more comes at times."
        )
    return notes
