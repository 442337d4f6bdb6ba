from itertools import product

import numpy as np
import pytest
from fleet_scenes import FUNCTION, MADE, made_mixes
from planned_types import SLO, types_of

from autotune.planning.attained import Scene, flow_through
from autotune.planning.ledger import cost_of
from autotune.planning.load_windows import Windows
from autotune.planning.mixes import Mixes
from autotune.planning.oracle import foresee
from autotune.planning.provision import fixed

TYPES = types_of(*MADE[:2])


def scene(loads_rps: list[float]) -> Scene:
    counts = np.rint(np.repeat(loads_rps, 2) * 30.0).astype(np.int64)
    return Scene(Windows(30.0, 2, counts, 1.0), TYPES, SLO)


def mixes(scene: Scene) -> Mixes:
    return made_mixes(TYPES, 2 * scene.windows.peak_rps, levels=60)


def test_it_follows_the_load_at_less_than_any_fixed_fleet_costs() -> None:
    here = scene([100.0, 900.0, 300.0, 2000.0, 50.0, 50.0])
    found = foresee(here, [mixes(here)], None)
    assert found.flow.attained >= SLO.quantile - 1e-4
    cost = cost_of(found.fleet, TYPES).total
    assert len(np.unique(found.fleet.ready, axis=0)) > 3
    for machines in mixes(here).counts:
        same = fixed(machines, TYPES, 6, 60.0)
        if flow_through(here, same.ready).attained >= SLO.quantile:
            assert cost < cost_of(same, TYPES).total


def test_no_choice_of_machines_by_step_is_cheaper() -> None:
    here = scene([40.0, 150.0, 320.0])
    count = np.arange(1, 6)
    each = count.astype(np.float64)
    small = Mixes(100.0 * each, np.column_stack([count, np.zeros_like(count)]), each)
    found = foresee(here, [small, mixes(here)], None)
    cost = cost_of(found.fleet, TYPES).total
    fleets = [np.array([number, 0]) for number in range(6)] + [np.array([0, 1])]
    cheapest = min(
        60 / 3600 * sum(float(one @ [0.085, 0.34]) for one in choice)
        for choice in product(fleets, repeat=3)
        if flow_through(here, np.array(choice), carry=False).attained >= SLO.quantile
    )
    assert cost == pytest.approx(cheapest, rel=0.01)


def test_the_gap_bounds_what_is_left() -> None:
    here = scene(np.random.default_rng(1).uniform(100, 2000, 300).tolist())
    found = foresee(here, [mixes(here)], None)
    assert 0 <= found.gap < 0.01
    assert SLO.quantile <= found.flow.attained < SLO.quantile + 5e-4
    assert found.missed_price > 0


def test_a_function_that_costs_less_takes_everything_and_one_that_costs_more_nothing() -> None:
    here = scene([100.0, 900.0, 300.0])
    cheap = foresee(here, [mixes(here)], FUNCTION._replace(cost_per_request=1e-9))
    assert cheap.fleet.ready.sum() == 0
    assert cheap.spilled == here.windows.requests
    dear = foresee(here, [mixes(here)], FUNCTION._replace(cost_per_request=1.0))
    assert dear.spilled == 0.0


def test_what_cannot_be_met_is_missed_as_little_as_can_be() -> None:
    here = scene([100.0, 640.0])
    few = Mixes(np.array([100.0, 500.0]), np.array([[1, 0], [0, 1]]), np.array([1.0, 4.0]))
    found = foresee(here, [few], None)
    assert found.flow.attained < SLO.quantile
    assert found.fleet.ready[1].tolist() == [0, 1]
