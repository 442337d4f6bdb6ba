"""READ FIRST of plans: from tuned files, a trace and prices to the cheapest fleet, on one screen.

windows     the trace as loads in short windows, and how requests cluster within them
types       what one machine of each type answers in time at each rate
mixes       the cheapest machines for each load
function    the cheapest batches and memory on a function platform
played      each way to scale, on the trace
told        what was found, as records
"""

from importlib.metadata import version

from msgspec import structs

from autotune.planning.arriving import Arriving
from autotune.planning.attained import Scene
from autotune.planning.exact import aggregation_error
from autotune.planning.functions import best_function
from autotune.planning.load_windows import Windows, windows_of
from autotune.planning.machines import MachineType, make_types
from autotune.planning.measured_tails import service_of
from autotune.planning.mixes import Mixes, cheapest_mixes, no_mixes
from autotune.planning.mmpp import Mmpp
from autotune.planning.mmpp_fit import fit_mmpp
from autotune.planning.prices import FunctionPrice
from autotune.planning.question import PlanQuestion
from autotune.planning.records import AggregationError, FunctionPlanned, Plan
from autotune.planning.scaling import Played, play_all
from autotune.planning.spill_over import spill_over_to
from autotune.planning.telling import (
    chosen_of,
    nearest_text,
    notes_on_plan,
    policy_planned,
    summary_text,
    trace_seen,
    type_planned,
)

ROOM = 0.75
"""Of the requests that may be late, those that a warm function may answer late; the rest is for
cold starts."""
PAST_PEAK = 1.3
"""Of the busiest window's load: for as much machines are mixed."""


def make_plan(question: PlanQuestion) -> Plan:
    """Play every way to scale through on the trace, and choose the cheapest that meets the SLO.

    Raises:
        UsageError: the files cannot be planned with together, or lack a price.
    """
    slo, arriving = question.slo, question.arriving
    windows = windows_of(arriving, slo.latency_ms / 1000, question.step_s)
    types = make_types(question.files, question.prices, slo, windows.dispersion)
    mixes = _mixes(types, windows, question)
    arrivals = fit_mmpp(arriving)
    function, notes = _function(question, types, arrivals)
    spill_over = None
    if function is not None:
        price = question.prices.functions[function.name]
        spill_over = spill_over_to(function, price)
    scene = Scene(windows, types, slo)
    played, forecast = play_all(scene, mixes, spill_over)
    chosen = chosen_of(played, slo)
    policies = [policy_planned(one, played, scene) for one in played]
    planned = [type_planned(one, question, windows) for one in types]
    told = None if chosen is None else policies[played.index(chosen)]
    return Plan(
        format="autotune-plan",
        schema_version=1,
        answer="not_met" if told is None else "met",
        summary=summary_text(told, planned, function, question),
        chosen=None if told is None else told.kind,
        nearest=None if told is not None else nearest_text(policies, planned, slo),
        slo=slo,
        model=next(iter(question.files.values())).model.name,
        currency=question.prices.currency,
        prices_as_of=question.prices.as_of,
        prices_source=question.prices.source,
        trace=trace_seen(arriving, windows, arrivals),
        types=planned,
        function=function,
        policies=policies,
        forecast=forecast,
        aggregation=_aggregation(arriving, played, scene, question.seed),
        notes=[*question.notes, *notes, *notes_on_plan(policies, function, question)],
        autotune=version("autotune"),
    )


def _mixes(types: list[MachineType], windows: Windows, question: PlanQuestion) -> Mixes:
    if not any(one.capacity_rps > 0 for one in types):
        return no_mixes(len(types))
    return cheapest_mixes(types, PAST_PEAK * windows.peak_rps, question.slo)


def _function(
    question: PlanQuestion, types: list[MachineType], arrivals: Mmpp
) -> tuple[FunctionPlanned | None, list[str]]:
    """Return the cheapest function that meets the SLO, and why others are left out."""
    alike = {one.name: one for one in types}
    found: list[FunctionPlanned] = []
    notes = []
    for price in question.prices.functions.values():
        like = price.like or next(iter(question.files))
        if like not in question.files:
            notes.append(
                f"{price.name}: is like {like}, of which there is no tuned file: left out."
            )
            continue
        choice = _choice(price, alike[like], question, arrivals)
        if isinstance(choice, str):
            notes.append(choice)
        else:
            found.append(choice)
    return min(found, key=lambda one: one.cost_per_million, default=None), notes


def _choice(
    price: FunctionPrice, like: MachineType, question: PlanQuestion, arrivals: Mmpp
) -> FunctionPlanned | str:
    """Return the best function of a platform, or why there is none."""
    model = service_of(like.file)
    if not model.alone:
        return f"{price.name}: is like {like.name}, which executes on a GPU: left out."
    # Latency that was measured to be longer than simulated would be so there, too.
    alone = [
        structs.replace(one, batch_s=[like.correction * time_s for time_s in one.batch_s])
        for one in model.alone
    ]
    model = structs.replace(model, alone=alone)
    slo = structs.replace(question.slo, percentile=100 - ROOM * (100 - question.slo.percentile))
    choice = best_function(price, model, arrivals, slo, question.seed)
    if choice.best is not None:
        return choice.best
    near = choice.nearest
    return (
        f"{price.name}: none of its sizes meets the SLO: nearest is {near.memory_mib:,} MiB, with "
        f"p{slo.percentile:g} {max(near.analytic_ms, near.simulated_ms):.3g} ms."
    )


def _aggregation(
    arriving: Arriving, played: list[Played], scene: Scene, seed: int
) -> AggregationError | None:
    """Return what the reckoning is off by for machines alone that just keep the SLO, or nearly.

    None where there are no machines, or too few requests.
    """
    order = {"static": 0, "peak": 1}
    fixed = sorted((one for one in played if one.kind in order), key=lambda one: order[one.kind])
    if not fixed or not fixed[0].fleet.ready.any():
        return None
    return aggregation_error(arriving, fixed[0].fleet.ready, scene, seed)
