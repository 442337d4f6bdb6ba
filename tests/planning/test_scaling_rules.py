import numpy as np
import pytest
from fleet_scenes import MADE
from hypothesis import given
from hypothesis import strategies as st
from planned_types import types_of

from autotune.outcome import Samples
from autotune.planning.forecasts import Forecasts
from autotune.planning.policies import (
    Scalable,
    ahead,
    as_hpa,
    as_ray,
    ongoing_at,
    ratios_by,
    scalable,
    trailing_max,
    trailing_mean,
)

ONE = Scalable(
    capacity_rps=100.0,
    most=50,
    start=2,
    ongoing=np.linspace(0.0, 12.0, 121),
    saturation_rps=120.0,
)
"""A request takes 100 ms."""


def steps(*stretches: tuple[float, int]) -> Samples:
    return np.concatenate([np.full(count, load_rps) for load_rps, count in stretches])


def test_hpa_keeps_utilisation_near_its_target() -> None:
    assert set(as_hpa(steps((380.0, 40)), 15.0, ONE, 0.5)) == {8}


def test_hpa_leaves_a_tenth_more_or_less_alone() -> None:
    wanted = as_hpa(steps((400.0, 10), (430.0, 10), (500.0, 10)), 15.0, ONE, 0.5)
    assert wanted[19] == 8
    assert wanted[-1] == 10


def test_hpa_at_most_doubles_or_adds_four_in_a_sync() -> None:
    wanted = as_hpa(steps((50.0, 10), (2500.0, 10)), 15.0, ONE, 0.5)
    # The jump is seen a step late.
    assert wanted[10:17].tolist() == [1, 5, 10, 20, 40, 50, 50]


def test_hpa_goes_down_to_the_most_of_five_minutes() -> None:
    wanted = as_hpa(steps((400.0, 40), (100.0, 40)), 15.0, ONE, 0.5)
    assert np.flatnonzero(wanted < 8)[0] == 40 + 20
    assert wanted[-1] == 2


def test_hpa_syncs_every_fifteen_seconds_where_steps_are_shorter() -> None:
    wanted = as_hpa(steps((100.0, 6), (1000.0, 24)), 5.0, ONE, 0.5)
    assert np.all(np.flatnonzero(np.diff(wanted)) % 3 == 2)


def test_ray_waits_before_it_scales_up_and_longer_before_it_scales_down() -> None:
    wanted = as_ray(steps((400.0, 30), (800.0, 60), (400.0, 90)), 10.0, ONE, 5.0)
    assert wanted[29] == 8
    up = np.flatnonzero(wanted > 8)
    assert 30 + 3 <= up[0] <= 30 + 6
    assert wanted[89] >= 16
    assert wanted[90 + 55] == wanted[89]
    assert wanted[-1] == 8


def test_ray_sees_what_waits() -> None:
    overload = as_ray(steps((100.0, 10), (500.0, 30)), 10.0, ONE._replace(start=20), 5.0)
    # Beyond the ten that 500 rps need: the backlog grows while they start.
    assert overload.max() > 12
    assert overload.max() <= 50


def test_what_is_ongoing_is_the_rate_times_the_latency() -> None:
    one = types_of(MADE[0])[0]
    found = scalable(one, 9, 10.0, 1.0)
    assert (found.most, found.start, found.capacity_rps) == (9, 6, one.capacity_rps)
    low = ongoing_at(found, 0.1)
    assert low == pytest.approx(0.1 * one.capacity_rps * MADE[0].service_s, rel=0.06)
    assert ongoing_at(found, 1.0) > 10 * low


def test_a_price_list_may_bound_machines_further() -> None:
    one = types_of(MADE[0])[0]
    few = one._replace(price=type(one.price)(name="small", per_hour=1.0, most=3))
    assert scalable(few, 9, 10.0, 1.0).most == 3


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.integers(1, 40))
def test_trailing_numbers_are_of_the_steps_before(loads: list[float], width: int) -> None:
    loads_rps = np.array(loads)
    padded = np.concatenate([np.full(width, loads[0]), loads_rps])
    means = [padded[step : step + width].mean() for step in range(len(loads))]
    np.testing.assert_allclose(trailing_mean(loads_rps, width), means, atol=1e-9)
    most = [loads_rps[max(0, step - width) : step + 1].max() for step in range(len(loads))]
    assert trailing_max(loads_rps, width).tolist() == most


def test_the_margin_goes_by_errors_that_are_known() -> None:
    loads_rps = np.full(1000, 10.0)
    forecasts = Forecasts(np.full(1000, 8.0), loads_rps, 5, None)
    ratios = ratios_by(forecasts, loads_rps, np.array([0.5, 0.9]))
    assert ratios.shape == (1000, 2)
    assert np.all(ratios[:25] == 1.0)
    assert np.all(ratios[40:] == 1.25)
    changed = ratios_by(forecasts, np.append(loads_rps[:500], np.full(500, 80.0)), np.array([0.9]))
    assert np.all(changed[40:500, 0] == 1.25)
    assert changed[-1, 0] == 10.0


def test_what_is_provided_for_is_held_for_a_while() -> None:
    forecasts = Forecasts(steps((5.0, 3), (20.0, 1), (5.0, 6)), np.zeros(10), 1, None)
    wanted_rps = ahead(forecasts, np.full(10, 2.0), 10.0, 20.0)
    assert wanted_rps.tolist() == [10.0] * 3 + [40.0] * 3 + [10.0] * 4
