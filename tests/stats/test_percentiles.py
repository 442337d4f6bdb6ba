import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from autotune.outcome import Samples
from autotune.stats.percentiles import (
    MIN_BEYOND,
    effective_count,
    percentile,
    percentile_interval,
)

latencies = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=200)
quantiles = st.floats(0.01, 0.999)


def mm1_sojourn_s(rho: float, count: int, seed: int) -> Samples:
    """Sojourn times of a queue with unit service rate, by Lindley's recursion in closed form."""
    rng = np.random.default_rng(seed)
    service_s, gap_s = rng.exponential(1.0, count), rng.exponential(1 / rho, count)
    walk = np.cumsum(service_s - gap_s)
    before = np.concatenate([[0.0], walk[:-1]])
    return np.asarray(before - np.minimum.accumulate(before) + service_s)


@given(latencies, st.integers(0, 50), quantiles)
def test_percentile_is_the_smallest_value_that_enough_samples_do_not_exceed(
    values: list[float], lost: int, quantile: float
) -> None:
    everything = [*values, *[math.inf] * lost]
    enough = quantile * len(everything) - 1e-6
    smallest = min(v for v in everything if sum(x <= v for x in everything) >= enough)
    assert percentile(np.array(values), lost, quantile) == smallest


@pytest.mark.parametrize(
    ("served", "lost", "value"),
    [(100, 0, 99.0), (99, 1, 99.0), (98, 2, math.inf), (0, 3, math.inf)],
)
def test_lost_requests_count_as_infinitely_late(served: int, lost: int, value: float) -> None:
    assert percentile(np.arange(1.0, served + 1), lost, 0.99) == value


def test_independent_samples_are_worth_about_their_count() -> None:
    samples = np.random.default_rng(0).uniform(size=(50, 2500))
    worth = [effective_count(row, None, 0.9, 0.9) for row in samples]
    assert np.median(worth) > 0.7 * 2500
    assert max(worth) <= 2500


def test_requests_that_queue_together_are_worth_far_less_than_their_count() -> None:
    for seed in range(5):
        sojourn_s = mm1_sojourn_s(0.9, 10_000, seed)
        level_s = float(np.quantile(sojourn_s, 0.9))
        assert effective_count(sojourn_s, None, level_s, 0.9) < 0.15 * 10_000


@pytest.mark.parametrize("series", [np.zeros(500), np.ones(500), np.array([1.0, 0.0])])
def test_a_series_that_shows_no_correlation_is_worth_its_count(series: Samples) -> None:
    assert effective_count(series, None, 0.5, 0.9) == len(series)


@given(latencies, st.integers(0, 20), quantiles)
def test_an_interval_holds_its_estimate_and_lies_among_the_samples(
    values: list[float], lost: int, quantile: float
) -> None:
    value, low, high = percentile_interval(np.array(values), lost, quantile)
    assert value == percentile(np.array(values), lost, quantile)
    assert low is None or min(values) <= low <= value
    assert high is None or value <= high <= max(values)


@given(latencies, quantiles, st.floats(0.001, 1000))
def test_an_interval_does_not_depend_on_the_unit(
    values: list[float], quantile: float, factor: float
) -> None:
    plain = percentile_interval(np.array(values), 0, quantile)
    scaled = percentile_interval(np.array(values) * factor, 0, quantile)
    assert scaled == pytest.approx([None if x is None else x * factor for x in plain])


def test_queueing_requests_give_a_wider_interval_than_the_same_in_random_order() -> None:
    sojourn_s = mm1_sojourn_s(0.8, 5000, 3)
    shuffled = np.random.default_rng(0).permutation(sojourn_s)
    widths = []
    for samples in (sojourn_s, shuffled):
        _, low, high = percentile_interval(samples, 0, 0.9)
        assert low is not None
        assert high is not None
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1]


def test_a_percentile_among_the_lost_is_unbounded_above() -> None:
    value, _, high = percentile_interval(np.linspace(1, 2, 970), 30, 0.99)
    assert value == math.inf
    assert high is None


def test_no_samples_say_nothing() -> None:
    assert percentile_interval(np.zeros(0), 0, 0.5) == (math.inf, None, None)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
def test_the_bounds_of_independent_samples_are_those_of_the_binomial(quantile: float) -> None:
    count = 1500
    ranks = np.argsort(np.random.default_rng(0).permutation(count))
    samples = 1.0 + ranks.astype(np.float64)
    worth = effective_count(samples, None, percentile(samples, 0, quantile), quantile)
    _, low, high = percentile_interval(samples, 0, quantile)
    assert low is not None
    assert high is not None
    stretch = math.sqrt(count / worth)
    assert binom.cdf(low - 1, count, quantile) == pytest.approx(0.025, abs=0.015 * stretch)
    assert binom.sf(high - 1, count, quantile) == pytest.approx(0.025, abs=0.015 * stretch)


@pytest.mark.parametrize(("count", "bounded"), [(300, False), (990, False), (2500, True)])
def test_a_p99_has_an_upper_bound_where_ten_requests_lie_beyond_it(
    count: int, bounded: bool
) -> None:
    samples = np.linspace(1.0, 2.0, count)[np.random.default_rng(0).permutation(count)]
    fresh = np.ones(count, dtype=np.bool_)
    _, low, high = percentile_interval(samples, 0, 0.99, fresh=fresh)
    assert low is not None
    worth = effective_count(samples, fresh, percentile(samples, 0, 0.99), 0.99)
    assert (high is not None) == (0.01 * worth >= MIN_BEYOND)
    assert (high is not None) == bounded
