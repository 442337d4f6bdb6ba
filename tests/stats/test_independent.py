"""Independent estimates: intervals that cover, chances that keep their word."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.stats.independent import (
    NOTHING,
    Estimate,
    chance,
    holm,
    of_rounds,
    of_share,
    subtract,
)

finite = st.floats(-5, 5)
positive = st.floats(0.01, 3)
estimates = st.builds(
    lambda value, below, above: Estimate(value, value - below, value + above),
    finite,
    positive,
    positive,
)


def test_symmetric_intervals_add_like_standard_errors() -> None:
    found = subtract(Estimate(2.0, 1.7, 2.3), Estimate(1.0, 0.6, 1.4))
    assert found == pytest.approx((1.0, 0.5, 1.5))


def test_a_lopsided_side_matters_on_its_own_side_only() -> None:
    found = subtract(Estimate(2.0, 1.7, 3.0), Estimate(1.0, 0.9, 1.4))
    assert found.low == pytest.approx(1 - math.hypot(0.3, 0.4))
    assert found.high == pytest.approx(1 + math.hypot(1.0, 0.1))


def test_an_unknown_bound_leaves_that_side_unknown() -> None:
    found = subtract(Estimate(2.0, 1.7, None), Estimate(1.0, 0.9, 1.1))
    assert found.high is None
    assert found.low is not None
    assert chance(found) is not None
    assert chance(subtract(Estimate(1.0, 0.9, 1.1), Estimate(2.0, 1.7, None))) is not None
    assert chance(subtract(Estimate(0.0, -0.1, None), Estimate(2.0, 1.7, 2.2))) is None


@given(estimates, estimates, st.floats(0, 1))
def test_swapping_sides_turns_the_difference_round(
    left: Estimate, right: Estimate, margin: float
) -> None:
    there, back = subtract(left, right), subtract(right, left)
    assert back.value == -there.value
    assert back.low is not None
    assert there.high is not None
    assert back.low == pytest.approx(-there.high)
    assert chance(there, margin) == chance(back, margin)


@given(estimates)
def test_nothing_differs_from_itself(one: Estimate) -> None:
    assert chance(subtract(one, one)) == 1.0
    assert chance(subtract(NOTHING, NOTHING)) == 1.0


def test_an_interval_that_ends_at_nothing_has_a_chance_of_5_percent() -> None:
    assert chance(Estimate(1.0, 0.0, 2.0)) == pytest.approx(0.05, abs=1e-6)
    assert chance(Estimate(1.5, 0.5, 9.0), margin=0.5) == pytest.approx(0.05, abs=1e-6)
    assert chance(Estimate(0.4, 0.3, 0.5), margin=0.5) == 1.0


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_makes_a_chance_smaller_or_reorders(chances: list[float]) -> None:
    adjusted = holm(chances)
    assert all(mine >= raw for mine, raw in zip(adjusted, chances, strict=True))
    order = sorted(range(len(chances)), key=chances.__getitem__)
    assert [adjusted[place] for place in order] == sorted(adjusted)


def test_intervals_of_rounds_cover_as_often_as_stated() -> None:
    rng = np.random.default_rng(1)
    found = [of_rounds(rng.normal(0.0, 0.2, 6)) for _ in range(2000)]
    covered = np.mean([one.low is not None and one.low <= 0 <= (one.high or 0) for one in found])
    assert covered == pytest.approx(0.95, abs=0.015)


def test_rounds_that_look_steady_are_not_taken_for_certain() -> None:
    found = of_rounds(np.zeros(6))
    assert found.high == pytest.approx(0.0105, abs=1e-3)
    with pytest.raises(ValueError, match="one round"):
        of_rounds(np.zeros(1))


def test_a_share_of_all_or_none_stays_within_0_and_1() -> None:
    everything = of_share(np.array([50.0, 50.0]), np.array([50.0, 50.0]))
    assert everything.value == everything.high == 1.0
    assert everything.low == pytest.approx(100 / (100 + 1.96**2), abs=1e-4)
    nothing = of_share(np.zeros(2), np.array([50.0, 50.0]))
    assert (nothing.value, nothing.low) == (0.0, 0.0)


@pytest.mark.parametrize("clustered", [False, True])
def test_intervals_of_shares_cover_where_requests_cluster_too(clustered: bool) -> None:
    rng = np.random.default_rng(2)
    counts, covered = np.full(6, 100.0), []
    for _ in range(1000):
        truth = rng.beta(9, 1, 6) if clustered else np.full(6, 0.9)
        found = of_share(rng.binomial(100, truth).astype(float), counts)
        covered.append((found.low or 0) <= 0.9 <= (found.high or 0))
    assert np.mean(covered) >= 0.92
