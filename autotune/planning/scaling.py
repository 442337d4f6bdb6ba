"""Ways to scale, played through on a trace: what each costs, and how many it serves in time.

Each policy has settings that a person would have to choose. They are swept here, on the trace
itself, and the cheapest that meets the SLO stands for the policy, or the one that comes nearest:
so no policy loses by an unlucky setting, and every one is as good as hindsight makes its settings.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from autotune.planning.attained import Scene, flow_through
from autotune.planning.forecasts import forecast_loads
from autotune.planning.ledger import Cost, cost_of
from autotune.planning.machines import MachineType
from autotune.planning.mixes import Mixes
from autotune.planning.oracle import foresee
from autotune.planning.outcomes import Attained, attained, moments_of
from autotune.planning.policies import as_hpa, as_ray, ongoing_at, scalable
from autotune.planning.predictive import functions_only, predictive, spilling
from autotune.planning.provision import Counts, Fleet, lead_s, machines_for, provision
from autotune.planning.records import ForecastError, Kind, Moment
from autotune.planning.spill_over import SpillOver
from autotune.planning.tries import Tried, best_of, fixed_fleet, judge, level_of, types_in
from autotune.units import HOUR_S

TARGETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
"""Of a reactive policy: utilisation, of the capacity within the SLO."""
MOST_LEVELS = 4000
"""Of a fleet of one type."""


class Played(NamedTuple):
    """A policy, and what came of it."""

    kind: Kind
    settings: dict[str, float]
    """Its own numbers; `machine_types`: how many may be mixed."""
    fleet: Fleet
    cost: Cost
    attained: Attained
    series: list[Moment]

    def meets(self, quantile: float) -> bool:
        """Whether as many are answered in time as the SLO asks for."""
        return self.attained.attainment >= quantile


def play_all(
    scene: Scene, mixes: Mixes, function: SpillOver | None
) -> tuple[list[Played], ForecastError | None]:
    """Return every policy on the trace, in the order of `Kind`, and how the forecast did.

    Fleets are mixed as `mixes` says, or of one type only, the one that costs least for its
    capacity (and may be had as often as needed); a policy takes what is cheaper for it. Reactive
    policies scale that one type, as the autoscalers that they are after do. Without machines that
    meet the SLO there is only the function, and without a function nothing.

    Args:
        scene: trace, types and SLO.
        mixes: the cheapest machines by load, to above the busiest window.
        function: the function to spill over to; None: there is none.
    """
    if not mixes.counts.any():
        if function is None:
            return [], None
        return [_play(scene, "spill_over", [functions_only(scene, function)])], None
    used, narrow, ladder = _narrowed(scene, mixes)
    single = _single(narrow.types, float(ladder.loads_rps[-1]))
    ladders = [ladder]
    if np.count_nonzero(ladder.counts.any(axis=0)) > 1:
        ladders.append(single)
    windows = scene.windows
    longest_s = max(lead_s(narrow.types, one, windows.step_s) for one in ladders)
    forecasts = forecast_loads(windows.step_loads_rps, windows.step_s, longest_s)
    ways: list[tuple[Kind, Iterable[Tried]]] = [
        ("peak", _peak(narrow, ladders)),
        ("static", _static(narrow, ladders)),
        ("reactive_hpa", _reactive(narrow, single, "hpa")),
        ("reactive_ray", _reactive(narrow, single, "ray")),
        ("predictive", predictive(narrow, ladders, forecasts)),
    ]
    if function is not None:
        ways.append(("spill_over", spilling(narrow, ladders, forecasts, function)))
    played = [_play(narrow, kind, tried) for kind, tried in ways]
    played.append(_oracle(narrow, ladders, function))
    return [_widened(one, used, len(scene.types)) for one in played], forecasts.error


def _narrowed(scene: Scene, mixes: Mixes) -> tuple[Counts, Scene, Mixes]:
    """Return the places of types that may take part, and scene and mixes of these alone."""
    needed = np.flatnonzero(mixes.counts.sum(axis=0))
    used = np.union1d(needed, [_cheapest(scene.types, float(mixes.loads_rps[-1]))])
    types = [scene.types[place] for place in used]
    return used, scene._replace(types=types), mixes._replace(counts=mixes.counts[:, used])


def _widened(played: Played, used: Counts, types: int) -> Played:
    """Return the same with a place for every type."""
    ready = np.zeros((len(played.fleet.ready), types), dtype=np.int64)
    ready[:, used] = played.fleet.ready
    billed_s, machines = np.zeros(types), np.zeros(types)
    billed_s[used], machines[used] = played.fleet.billed_s, played.cost.machines
    series = []
    for moment in played.series:
        counts = np.zeros(types, dtype=np.int64)
        counts[used] = moment.machines
        series.append(msgspec.structs.replace(moment, machines=counts.tolist()))
    return played._replace(
        fleet=Fleet(ready, billed_s, played.fleet.starts),
        cost=Cost(machines, played.cost.function),
        series=series,
    )


def _cheapest(types: Sequence[MachineType], highest_rps: float) -> int:
    """Return the type that costs least for its capacity among those that serve the load alone."""

    def order(place: int) -> tuple[float, float]:
        one = types[place]
        if one.capacity_rps <= 0:
            return np.inf, np.inf
        reach_rps = np.inf if one.price.most is None else one.price.most * one.capacity_rps
        return max(0.0, highest_rps - reach_rps), one.price.per_hour / one.capacity_rps

    return min(range(len(types)), key=order)


def _single(types: Sequence[MachineType], highest_rps: float) -> Mixes:
    """Return the machines of the cheapest type for as much of each load as it can take."""
    place = _cheapest(types, highest_rps)
    one = types[place]
    most = int(np.ceil(highest_rps / one.capacity_rps))
    if one.price.most is not None:
        most = min(most, one.price.most)
    numbers = np.unique(np.linspace(1, most, min(most, MOST_LEVELS)).astype(np.int64))
    counts = np.zeros((len(numbers), len(types)), dtype=np.int64)
    counts[:, place] = numbers
    each = numbers.astype(np.float64)
    return Mixes(each * one.capacity_rps, counts, each * one.price.per_hour / HOUR_S)


def _play(scene: Scene, kind: Kind, tries: Iterable[Tried]) -> Played:
    """Return the cheapest settings that meet the SLO, or those that come nearest."""
    best = best_of(scene, tries)
    flow = flow_through(scene, best.fleet.ready, best.function, fill=best.fill)
    per_request = 0.0 if best.function is None else best.function.cost_per_request
    return Played(
        kind=kind,
        settings=best.settings,
        fleet=best.fleet,
        cost=cost_of(best.fleet, scene.types, flow.to_function, per_request),
        attained=attained(scene, flow, best.function),
        series=moments_of(scene, flow),
    )


def _peak(scene: Scene, ladders: Sequence[Mixes]) -> Iterator[Tried]:
    busiest_rps = float(scene.windows.step_loads_rps.max())
    machines = machines_for(np.array([busiest_rps]), ladders[0])[0]
    settings = {"peak_rps": busiest_rps, "machine_types": types_in(ladders[0])}
    yield Tried(settings, fixed_fleet(scene, machines))


def _static(scene: Scene, ladders: Sequence[Mixes]) -> Iterator[Tried]:
    """Yield the least fixed fleet of each ladder that meets the SLO, or else the largest.

    Bisected: more machines never serve fewer in time, but for the grain of the tables.
    """
    for mixes in ladders:
        low, high = -1, len(mixes.loads_rps) - 1
        while high - low > 1:
            middle = (low + high) // 2
            tried = level_of(scene, mixes, middle)
            if judge(scene, tried).share >= scene.slo.quantile:
                high = middle
            else:
                low = middle
        yield level_of(scene, mixes, high)


def _reactive(scene: Scene, single: Mixes, like: str) -> Iterator[Tried]:
    """Yield the fleets of an autoscaler of one type by its target."""
    step_s, loads_rps = scene.windows.step_s, scene.windows.step_loads_rps
    place = int(np.flatnonzero(single.counts.any(axis=0))[0])
    for target in TARGETS:
        # As a person would bound it: enough for the busiest step.
        most = max(1, int(np.ceil(loads_rps.max() / target / scene.types[place].capacity_rps)))
        one = scalable(scene.types[place], most, step_s, scene.windows.dispersion)
        settings = {"target_utilisation": target}
        if like == "hpa":
            wanted = as_hpa(loads_rps, step_s, one, target)
        else:
            ongoing = ongoing_at(one, target)
            settings["target_ongoing_requests"] = ongoing
            wanted = as_ray(loads_rps, step_s, one, ongoing)
        machines = np.zeros((len(wanted), len(scene.types)), dtype=np.int64)
        machines[:, place] = wanted
        yield Tried(settings, provision(machines, scene.types, step_s))


def _oracle(scene: Scene, ladders: Sequence[Mixes], function: SpillOver | None) -> Played:
    found = foresee(scene, list(ladders), function)
    per_request = 0.0 if function is None else function.cost_per_request
    warm = None if function is None else function._replace(cold_start_s=0.0)
    return Played(
        kind="oracle",
        settings={"price_of_a_late_request": found.missed_price, "duality_gap": found.gap},
        fleet=found.fleet,
        cost=cost_of(found.fleet, scene.types, found.spilled, per_request),
        attained=attained(scene, found.flow, warm),
        series=moments_of(scene, found.flow),
    )
