import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from autotune.outcome import Samples
from autotune.stats.percentiles import (
    effective_count,
    percentile,
    percentile_interval,
    share_within_bounds,
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
    exceeds = np.random.default_rng(0).uniform(size=(50, 2500)) > 0.9
    worth = [effective_count(row.astype(np.float64)) for row in exceeds]
    assert np.median(worth) > 0.8 * 2500
    assert max(worth) <= 2500


def test_requests_that_queue_together_are_worth_far_less_than_their_count() -> None:
    for seed in range(5):
        sojourn_s = mm1_sojourn_s(0.9, 10_000, seed)
        worth = effective_count((sojourn_s > np.quantile(sojourn_s, 0.9)).astype(np.float64))
        assert worth < 0.15 * 10_000


@pytest.mark.parametrize("series", [np.zeros(500), np.ones(500), np.array([1.0, 0.0]), np.zeros(0)])
def test_a_series_that_shows_no_correlation_is_worth_its_count(series: Samples) -> None:
    assert effective_count(series) == len(series)


@given(latencies, st.integers(0, 20), quantiles)
def test_an_interval_holds_its_estimate_and_is_made_of_samples(
    values: list[float], lost: int, quantile: float
) -> None:
    value, low, high = percentile_interval(np.array(values), lost, quantile)
    assert value == percentile(np.array(values), lost, quantile)
    assert low is None or (low in values and low <= value)
    assert high is None or (high in values and high >= value)


@given(latencies, quantiles, st.floats(0.001, 1000))
def test_an_interval_does_not_depend_on_the_unit(
    values: list[float], quantile: float, factor: float
) -> None:
    plain = percentile_interval(np.array(values), 0, quantile)
    scaled = percentile_interval(np.array(values) * factor, 0, quantile)
    assert scaled == pytest.approx([None if x is None else x * factor for x in plain])


@pytest.mark.parametrize("quantile", [0.5, 0.95])
def test_the_interval_of_independent_samples_covers_the_truth_as_often_as_it_says(
    quantile: float,
) -> None:
    truth = -math.log(1 - quantile)
    hits = 0
    for seed in range(400):
        _, low, high = percentile_interval(
            np.random.default_rng(seed).exponential(size=400), 0, quantile
        )
        assert low is not None
        assert high is not None
        hits += low <= truth <= high
    assert 0.93 <= hits / 400 <= 0.99


def test_the_interval_of_queueing_requests_covers_the_truth_nearly_as_often() -> None:
    truth_s = -math.log(0.05) / (1 - 0.5)  # M/M/1 sojourn times are exponential
    hits = 0
    for seed in range(200):
        _, low, high = percentile_interval(mm1_sojourn_s(0.5, 4000, seed)[1000:], 0, 0.95)
        hits += low is not None and high is not None and low <= truth_s <= high
    assert hits / 200 >= 0.88


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
    assert share_within_bounds(np.zeros(0)) == (0.0, None, None)


@settings(deadline=None)
@given(st.integers(1, 400), st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_share_bounds_are_exact_binomial_bounds(count: int, share: float) -> None:
    hits = math.floor(share * count + 1e-9)
    within = np.diff(np.floor(np.arange(count + 1) * hits / count + 1e-9))  # evenly spread
    value, low, high = share_within_bounds(within)
    assert value == pytest.approx(hits / count)
    below = binomtest(hits, count, alternative="greater").proportion_ci(0.95, method="exact")
    above = binomtest(hits, count, alternative="less").proportion_ci(0.95, method="exact")
    assert low == pytest.approx(below.low)
    assert high == pytest.approx(above.high)


def test_share_bounds_of_queueing_requests_are_wider_than_of_independent_ones() -> None:
    late = mm1_sojourn_s(0.9, 5000, 1)
    within = (late <= np.quantile(late, 0.95)).astype(np.float64)
    _, low, high = share_within_bounds(within)
    _, low_iid, high_iid = share_within_bounds(np.random.default_rng(0).permutation(within))
    assert low is not None
    assert high is not None
    assert low_iid is not None
    assert high_iid is not None
    assert high - low > 2 * (high_iid - low_iid)


def evenly_spread(share: float, count: int) -> Samples:
    """Samples of which the largest stand at equal distances: no correlation to be found."""
    step = round(1 / (1 - share))
    samples = np.linspace(1.0, 2.0, count)[np.random.default_rng(0).permutation(count)]
    top = np.arange(step // 2, count, step)
    samples[top] += 2.0
    return samples


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.95, 0.99])
@given(data=st.data())
def test_bounds_are_missed_no_more_often_than_allowed_on_either_side(
    quantile: float, data: st.DataObject
) -> None:
    count = data.draw(st.integers(20, 1500))
    samples = np.arange(1.0, count + 1)
    samples = samples[np.argsort(np.random.default_rng(0).permutation(count))]
    if effective_count((samples > percentile(samples, 0, quantile)).astype(np.float64)) < count:
        return
    _, low, high = percentile_interval(samples, 0, quantile)
    # sample values are ranks: P(truth < X_(low)) and P(truth > X_(high))
    if low is not None:
        assert binom.cdf(low - 1, count, quantile) <= 0.025 + 1e-9
    if high is not None:
        assert binom.sf(high - 1, count, quantile) <= 0.025 + 1e-9


@pytest.mark.parametrize(("count", "bounded"), [(300, False), (367, False), (368, True)])
def test_a_p99_has_an_upper_bound_from_368_independent_samples_on(
    count: int, bounded: bool
) -> None:
    samples = evenly_spread(0.99, count)
    assert effective_count((samples > percentile(samples, 0, 0.99)).astype(np.float64)) == count
    _, low, high = percentile_interval(samples, 0, 0.99)
    assert low is not None
    assert (high == samples.max()) if bounded else (high is None)
