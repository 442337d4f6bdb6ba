import numpy as np
import pytest
from fleet_scenes import FUNCTION, MADE
from hypothesis import given
from hypothesis import strategies as st
from planned_types import SLO, types_of

from autotune.planning.attained import QUEUE_BOUND, Scene, flow_through
from autotune.planning.load_windows import Windows
from autotune.planning.machines import share_within, shares_at
from autotune.planning.outcomes import MOMENTS, attained, moments_of

TYPES = types_of(*MADE[:2], dispersion=4.0)
SMALL, LARGE = TYPES


def scene(loads_rps: list[float], step_windows: int = 1, dispersion: float = 1.0) -> Scene:
    counts = np.rint(np.array(loads_rps) * 0.5).astype(np.int64)
    return Scene(Windows(0.5, step_windows, counts, dispersion), TYPES, SLO)


def fleet(*counts: list[int]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.array(counts)


def test_one_machine_answers_as_its_table_says() -> None:
    here = scene([100.0] * 4)
    flow = flow_through(here, fleet(*[[1, 0]] * 4))
    expected = float(share_within(SMALL.served, np.array([100.0]), np.array([1.0]))[0])
    assert flow.attained == pytest.approx(expected, abs=2e-3)
    found = attained(here, flow)
    row = shares_at(SMALL.served, np.array([100.0]), np.array([1.0]))[0]
    median_s = float(np.interp(0.5, row, SMALL.served.latency_s))
    assert found.p50_s == pytest.approx(median_s, rel=0.02)
    assert found.objective_s == found.p99_s
    assert found.cpu_s == pytest.approx(SMALL.served.cpu_s[0, 0])
    assert (found.lost_share, found.spilled_share, found.cold_share) == (0, 0, 0)


def test_a_mixed_fleet_is_a_mixture_by_capacity() -> None:
    here = scene([500.0] * 2)
    flow = flow_through(here, fleet([1, 1], [1, 1]))
    total_rps = SMALL.capacity_rps + LARGE.capacity_rps
    expected = 0.0
    for one in TYPES:
        part = one.capacity_rps / total_rps
        within = share_within(one.served, np.array([500.0 * part]), np.array([1.0]))
        expected += part * float(within[0])
    assert flow.attained == pytest.approx(expected, abs=2e-3)


def test_many_machines_see_less_of_the_clustering_than_one() -> None:
    one = flow_through(scene([90.0] * 2, dispersion=4.0), fleet([1, 0], [1, 0]))
    many = flow_through(scene([900.0] * 2, dispersion=4.0), fleet([10, 0], [10, 0]))
    plain = flow_through(scene([900.0] * 2), fleet([10, 0], [10, 0]))
    assert one.attained < many.attained < plain.attained


@given(st.lists(st.floats(0, 3000), min_size=2, max_size=24), st.integers(1, 6))
def test_requests_are_in_time_late_or_lost_and_more_machines_never_serve_fewer(
    loads_rps: list[float], machines: int
) -> None:
    here = scene([*loads_rps, 10.0])
    steps = here.windows.steps
    few, more = (
        flow_through(here, fleet(*[[count, 0]] * steps)) for count in (machines, machines + 1)
    )
    assert 0 <= few.attained <= more.attained + 1e-3
    assert np.all(few.within <= few.offered + 1e-9)
    assert np.all(few.within >= 0)
    found = attained(here, few)
    assert found.p50_s <= found.p95_s <= found.p99_s
    assert 0 <= found.lost_share <= 1 - few.attained + 1e-9


def test_what_is_too_much_waits_and_delays_who_comes_later() -> None:
    saturation_rps = SMALL.served.saturation_rps
    loads = [50.0] * 4 + [2 * saturation_rps] * 2 + [50.0] * 10
    here = scene(loads)
    flow = flow_through(here, fleet(*[[1, 0]] * len(loads)))
    # A second of twice what can be served: a second's work is left, which drains at the rest.
    drained = int(np.ceil(saturation_rps / (saturation_rps - 50.0) / 0.5))
    late = flow.overloaded[:, 0]
    assert np.flatnonzero(late).tolist() == list(range(4, 6 + drained))
    assert flow.delays_s.max() == pytest.approx(1.0, rel=0.15)
    assert flow.within[6, 0] == 0.0
    assert flow.within[-1, 0] > 24.0
    assert attained(here, flow).p99_s > 0.8


def test_a_full_queue_turns_away_and_what_it_holds_is_late() -> None:
    here = scene([5000.0] * 20)
    flow = flow_through(here, fleet(*[[1, 0]] * 20))
    served = SMALL.served.saturation_rps * 10.0
    assert flow.lost.sum() == pytest.approx(50_000 - served - QUEUE_BOUND, rel=1e-6)
    found = attained(here, flow)
    assert found.p99_s == np.inf
    assert found.lost_share > 0.9


def test_without_machines_everything_is_lost_or_goes_to_the_function() -> None:
    here = scene([100.0] * 10)
    none = fleet(*[[0, 0]] * 10)
    assert attained(here, flow_through(here, none)).lost_share == 1.0
    flow = flow_through(here, none, FUNCTION)
    found = attained(here, flow, FUNCTION)
    assert found.spilled_share == 1.0
    # Two seconds of five are cold.
    assert found.cold_share == pytest.approx(0.4)
    assert found.attainment == pytest.approx(0.6 * 0.99)
    assert found.p99_s > FUNCTION.cold_start_s


def test_machines_take_what_they_can_and_the_function_the_rest() -> None:
    here = scene([50.0] * 4 + [400.0] * 8)
    ready = fleet(*[[1, 0]] * 12)
    flow = flow_through(here, ready, FUNCTION)
    assert flow.to_function == pytest.approx(8 * 0.5 * (400 - SMALL.capacity_rps))
    fuller = flow_through(here, ready, FUNCTION, fill=1.2)
    assert fuller.to_function == pytest.approx(8 * 0.5 * (400 - 1.2 * SMALL.capacity_rps))
    never = flow_through(here, ready, FUNCTION, fill=np.full(12, np.inf))
    assert never.to_function == 0.0


def test_a_series_holds_means_and_all_requests() -> None:
    rng = np.random.default_rng(1)
    here = scene(rng.uniform(10, 300, 3000).tolist(), step_windows=2)
    flow = flow_through(here, np.repeat(fleet([2, 0], [1, 1]), 750, axis=0), FUNCTION)
    series = moments_of(here, flow)
    assert len(series) == MOMENTS
    assert [series[0].machines, series[-1].machines] == [[2, 0], [1, 1]]
    starts_s = np.array([one.at_s for one in series])
    lasts_s = np.diff(np.append(starts_s, 1500.0))
    loads_rps = np.array([one.load_rps for one in series])
    assert loads_rps @ lasts_s == pytest.approx(here.windows.requests)
    within = np.array([one.within for one in series])
    assert (within * loads_rps) @ lasts_s / here.windows.requests == pytest.approx(flow.attained)
    spilled = np.array([one.spilled for one in series])
    assert (spilled * loads_rps) @ lasts_s == pytest.approx(flow.to_function)


def test_many_different_fleets_are_told_apart_well_enough() -> None:
    loads = np.linspace(100.0, 20_000.0, 300)
    here = scene(loads.tolist(), dispersion=4.0)
    counts = np.ceil(loads / (0.9 * SMALL.capacity_rps)).astype(np.int64)
    flow = flow_through(here, np.column_stack([counts, np.zeros_like(counts)]))
    part = 1 / counts
    rates_rps = here.windows.loads_rps[:, 0] * part
    exact = share_within(SMALL.served, rates_rps, 1 + 3 * part)
    share = flow.within[:, 0] / flow.offered[:, 0]
    np.testing.assert_allclose(share, exact, atol=3e-3)
