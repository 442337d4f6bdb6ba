import numpy as np
import pytest
from fleet_scenes import FUNCTION

from autotune.outcome import Samples
from autotune.planning.load_windows import Windows
from autotune.planning.prices import FunctionPrice
from autotune.planning.records import FunctionPlanned
from autotune.planning.spill_over import Spilled, SpillOver, function_shares, spill, spill_over_to


def spilled(overflow_rps: list[float], function: SpillOver, slo_s: float = 0.05) -> Spilled:
    windows = Windows(1.0, 1, np.zeros(len(overflow_rps), dtype=np.int64), 1.0)
    return spill(np.array(overflow_rps)[:, None], windows, function, slo_s)


INSTANT = FUNCTION._replace(execution_s=0.1, mean_batch=2.0, tail_s=0.04, cold_start_s=2.0)
"""An instance takes 20 requests a second."""


def test_nothing_spilled_costs_nothing() -> None:
    found = spilled([0.0, 0.0], INSTANT)
    for each in (found.counts, found.cold, found.within, found.lost):
        assert not each.any()


def test_the_first_requests_are_cold_until_instances_have_started() -> None:
    found = spilled([40.0] * 6, INSTANT)
    assert found.cold.ravel().tolist() == [40.0, 40.0, 0.0, 0.0, 0.0, 0.0]
    assert found.within.ravel()[:2].tolist() == [0.0, 0.0]
    assert found.within.ravel()[2:].tolist() == pytest.approx([0.99 * 40] * 4)


def test_of_more_than_are_warm_only_the_rest_is_cold() -> None:
    found = spilled([20.0] * 4 + [80.0] * 2, INSTANT)
    assert found.cold.ravel()[4:].tolist() == pytest.approx([60.0, 60.0])


def test_instances_stay_warm_for_so_long_and_no_longer() -> None:
    brief = INSTANT._replace(keep_alive_s=5.0)
    load = [20.0] * 3 + [0.0] * 4
    assert spilled([*load, 20.0], brief).cold.ravel()[-1] == 0.0
    assert spilled([*load, 0.0, 0.0, 20.0], brief).cold.ravel()[-1] == 20.0


def test_a_cold_start_that_fits_in_the_slo_is_in_time() -> None:
    quick = INSTANT._replace(cold_start_s=0.01, execution_s=0.02)
    assert spilled([40.0] * 3, quick).within.sum() == pytest.approx(0.99 * 120)


def test_beyond_the_most_instances_requests_are_lost() -> None:
    found = spilled([100.0] * 5, INSTANT._replace(most=2))
    assert found.counts.ravel().tolist() == [40.0] * 5
    assert found.lost.ravel().tolist() == [60.0] * 5


def test_a_function_that_misses_the_slo_answers_none_in_time() -> None:
    assert spilled([10.0] * 5, INSTANT._replace(tail_s=0.2)).within.sum() == 0.0


def test_the_distribution_goes_through_what_is_known() -> None:
    grid_s: Samples = np.linspace(0.0, 0.3, 3001)
    shares = function_shares(INSTANT._replace(execution_s=0.02, tail_s=0.06), grid_s)
    assert np.all(np.diff(shares) >= 0)
    assert shares[grid_s <= 0.02].max() == 0.0
    assert np.interp(0.06, grid_s, shares) == pytest.approx(0.99)
    assert shares[-1] > 0.9999


def test_a_chosen_function_is_taken_by_the_worse_of_its_two_tails() -> None:
    planned = FunctionPlanned(
        name="f",
        memory_mib=1769,
        max_batch_size=4,
        batch_timeout_ms=5.0,
        cost_per_million=0.8,
        mean_batch_size=2.5,
        execution_ms=20.0,
        percentile=99.25,
        analytic_ms=41.0,
        simulated_ms=43.0,
        cold_start_s=1.5,
    )
    price = FunctionPrice(
        name="f", per_request=2e-7, per_gb_s=1.7e-5, memory_mib=[1769], cold_start_s=1.5, most=9
    )
    assert spill_over_to(planned, price) == SpillOver(
        cost_per_request=0.8 / 1e6,
        mean_batch=2.5,
        execution_s=0.02,
        tail_s=0.043,
        quantile=0.9925,
        cold_start_s=1.5,
        keep_alive_s=600.0,
        most=9,
    )
