"""The estimate of the load, against arrivals of known load."""

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.engine.load_estimate import MOST_DISPERSION, LoadEstimate

TICK_S = 0.1


def after(counts: list[int], tick_s: float = TICK_S, window_s: float = 1.0) -> LoadEstimate:
    return reduce(lambda one, count: one.after(count, tick_s), counts, LoadEstimate(window_s))


@given(st.integers(0, 1000), st.lists(st.floats(0.01, 60.0), min_size=1, max_size=20))
def test_a_steady_load_is_known_from_the_first_look_on(rate: int, ticks_s: list[float]) -> None:
    estimate = LoadEstimate(1.0)
    for tick_s in ticks_s:
        # Looks differ in length by whole multiples, so that counts are whole numbers.
        estimate = estimate.after(rate * round(100 * tick_s), round(100 * tick_s) / 100)
        assert math.isclose(estimate.rps, 100 * rate, rel_tol=1e-9)


def test_before_anything_was_seen_nothing_is_known() -> None:
    assert LoadEstimate(1.0).rps == LoadEstimate(1.0).error_rps == 0.0
    assert after([0, 0]).rps == after([0, 0]).error_rps == 0.0


def test_after_a_step_it_goes_63_percent_of_the_way_in_a_window() -> None:
    before = after([10] * 200)
    later = reduce(lambda one, count: one.after(count, TICK_S), [30] * 10, before)
    assert later.rps == pytest.approx(100 + 200 * (1 - math.exp(-1)), rel=1e-6)


def test_two_looks_at_one_moment_lose_no_request() -> None:
    steady = after([10] * 100)
    assert steady.after(5, 0.0).after(5, TICK_S).rps == pytest.approx(steady.rps, rel=0.06)


@pytest.mark.parametrize("ticks", [1, 3, 10, 100])
@pytest.mark.parametrize("clump", [1, 3])
def test_it_is_unbiased_and_knows_its_error(ticks: int, clump: int) -> None:
    rng = np.random.default_rng(ticks)
    load_rps = 60.0
    found = [
        after((clump * rng.poisson(load_rps * TICK_S / clump, ticks)).tolist()) for _ in range(800)
    ]
    off = np.array([one.rps - load_rps for one in found])
    assert abs(off.mean()) < 4 * off.std() / math.sqrt(len(off))
    if ticks == 100:  # by then, clumps are known as such
        error_rps = np.mean([one.error_rps for one in found])
        assert error_rps == pytest.approx(off.std(), rel=0.15)
    if clump == 1:
        assert np.mean([one.error_rps for one in found]) == pytest.approx(off.std(), rel=0.15)


def test_a_step_is_not_taken_for_clumps_without_end() -> None:
    assert after([0] * 100 + [100] * 3).dispersion == MOST_DISPERSION
    assert after([10] * 600).dispersion == 1.0
