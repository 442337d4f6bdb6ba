import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queueing import mdc_quantile_s
from scipy.stats import poisson as poisson_law
from tails import MANY, Served, analyse, bursty, draw_ways, errors, linear_s, simulate_all

from autotune.outcome import Samples
from autotune.planning.batching import Batching, tail_replicas, tail_unlimited
from autotune.planning.counting import counts_at, durations
from autotune.planning.forming import form
from autotune.planning.mmpp import Mmpp, draw_mmpp, poisson

processes = st.builds(
    Mmpp,
    rates_rps=st.tuples(st.floats(0.5, 50.0), st.floats(0.5, 50.0)),
    switching_per_s=st.tuples(st.floats(0.05, 20.0), st.floats(0.05, 20.0)),
)
batchings = st.builds(Batching, st.integers(1, 9), st.floats(0.0, 0.3))


@given(processes, st.floats(0.0, 0.5))
@settings(max_examples=15, deadline=None)
def test_counts_are_a_law_that_solves_its_equation(arrivals: Mmpp, time_s: float) -> None:
    most = 120
    counts = counts_at(arrivals, np.array([time_s]), most)
    np.testing.assert_allclose(counts.sum(axis=(1, 3)), 1.0, rtol=1e-9)
    mean = float(arrivals.stationary @ (counts[0].sum(axis=2).T @ np.arange(most)))
    assert mean == pytest.approx(arrivals.mean_rps * time_s, rel=1e-6, abs=1e-9)
    spent_s = durations(arrivals, counts).sum(axis=1)
    np.testing.assert_allclose(spent_s.sum(axis=2), time_s, rtol=1e-6, atol=1e-9)


def test_counts_of_equal_phases_are_poisson() -> None:
    counts = counts_at(poisson(30.0), np.array([0.0, 0.4, 2.0]), 20).sum(axis=3)[:, :, 0]
    expected = poisson_law.pmf(np.arange(20), 30.0 * np.array([[0.0], [0.4], [2.0]]))
    np.testing.assert_allclose(counts, expected, atol=1e-12)


@given(processes, batchings)
@settings(max_examples=15, deadline=None)
def test_every_request_of_a_batch_is_counted_once(arrivals: Mmpp, batching: Batching) -> None:
    (formed,) = form(arrivals, [batching.max_batch], batching.timeout_s)
    assert formed.size_share.sum() == pytest.approx(1.0)
    by_size = np.bincount(formed.size, weights=formed.requests, minlength=batching.max_batch + 1)
    sizes = np.arange(1, batching.max_batch + 1)
    np.testing.assert_allclose(by_size[1:], sizes * formed.size_share, rtol=1e-5, atol=1e-7)


@given(processes, batchings, st.floats(0.001, 0.1))
@settings(max_examples=15, deadline=None)
def test_a_tail_is_a_distribution_between_what_is_possible(
    arrivals: Mmpp, batching: Batching, each_s: float
) -> None:
    batch_s = linear_s(batching.max_batch, 0.01, each_s)
    tail = tail_unlimited(arrivals, batching, batch_s)
    assert (np.diff(tail.latency_s) >= 0).all()
    assert (np.diff(tail.share) >= -1e-12).all()
    assert tail.share[-1] == pytest.approx(1.0)
    assert batch_s[0] <= tail.latency_s[0] * (1 + 1e-9)
    assert tail.latency_s[-1] <= batching.timeout_s + batch_s[-1] + 1e-9
    assert tail.share_within(tail.quantile_s(0.9)) >= 0.9 - 1e-6


def test_pairs_of_a_poisson_process_have_the_law_that_is_known() -> None:
    """The first of two waits for the second or T; the second for none: by hand."""
    rate_rps, timeout_s, batch_s = 20.0, 0.05, np.array([0.01, 0.02])
    alone = math.exp(-rate_rps * timeout_s)
    tail = tail_unlimited(poisson(rate_rps), Batching(2, timeout_s), batch_s)
    assert tail.mean_batch == pytest.approx(2 - alone)
    for lag_s in (0.01, 0.025, 0.035):
        expected = (1 - alone + 1 - math.exp(-rate_rps * lag_s)) / (2 - alone)
        assert tail.share_within(lag_s + 0.02) == pytest.approx(expected, abs=0.002)


def test_jitter_spreads_a_tail_that_has_one_value() -> None:
    tail = tail_unlimited(poisson(5.0), Batching(1, 0.0), np.array([0.1]), [0.5, 1.0, 1.5, 2.0])
    assert [tail.quantile_s(at) for at in (0.25, 0.5, 0.75, 1.0)] == pytest.approx(
        [0.05, 0.1, 0.15, 0.2]
    )


@pytest.mark.parametrize("arrivals", [poisson(1.0), bursty(2.0, 20.0), bursty(4.0, 5.0)], ids=str)
def test_unlimited_replicas_agree_with_simulation(arrivals: Mmpp) -> None:
    ways = [way._replace(replicas=MANY) for way in draw_ways(8, 3, replicas=(1, 2))]
    times_s = draw_mmpp(arrivals, 25_000, np.random.default_rng(3))
    off = errors(ways, arrivals, simulate_all(ways, times_s))
    assert np.median(np.abs(off)) < 0.01
    assert np.abs(off).max() < 0.05


@pytest.mark.parametrize(("load", "quantile"), [(0.3, 0.95), (0.6, 0.99), (0.85, 0.95)])
def test_one_replica_agrees_with_franx(load: float, quantile: float) -> None:
    tail = tail_replicas(poisson(load), Batching(1, 0.0), np.ones(1), 1)
    exact_s = mdc_quantile_s(load, 1.0, 1, quantile)
    assert tail.quantile_s(quantile) == pytest.approx(exact_s, rel=0.01)


@pytest.mark.parametrize("replicas", [2, 4, 8])
def test_several_replicas_wait_less_long_than_franx_says_but_hardly(replicas: int) -> None:
    """The wait is that of one fast replica: too short where few requests wait, never too long."""
    for load in (0.5, 0.7, 0.85):
        tail = tail_replicas(poisson(load * replicas), Batching(1, 0.0), np.ones(1), replicas)
        exact_s = mdc_quantile_s(load * replicas, 1.0, replicas, 0.99)
        assert -0.15 < tail.quantile_s(0.99) / exact_s - 1 < 0.03


def test_bursts_before_one_replica_agree_with_lindley() -> None:
    """A long run by Lindley's recursion: latency is what the bursts have left to do."""
    arrivals, service_s = bursty(3.0, 20.0), 0.5
    tail = tail_replicas(arrivals, Batching(1, 0.0), np.array([service_s]), 1)
    times_s = draw_mmpp(arrivals, 2_000_000, np.random.default_rng(0))
    number = np.arange(len(times_s))
    begun_s = service_s * number + np.maximum.accumulate(times_s - service_s * number)
    latency_s = begun_s + service_s - times_s
    for quantile in (0.8, 0.95, 0.99):
        exact_s = float(np.quantile(latency_s, quantile))
        assert tail.quantile_s(quantile) == pytest.approx(exact_s, rel=0.04)


def pooled_errors(ways: list[Served], duration_s: float) -> Samples:
    found = []
    for seed, arrivals in enumerate([poisson(1.0), bursty(2.0, 8.0)]):
        times_s = draw_mmpp(arrivals, duration_s, np.random.default_rng(seed))
        found.append(errors(ways, arrivals, simulate_all(ways, times_s)))
    return np.concatenate(found)


def test_replicas_agree_with_simulation_in_the_median() -> None:
    off = pooled_errors(draw_ways(14, 5), 30_000)
    assert (np.median(np.abs(off), axis=0) < 0.05).all()
    assert (np.abs(np.median(off, axis=0)) < 0.03).all()


def test_replicas_that_never_wait_for_company_are_the_weak_spot() -> None:
    """Batches as large as what waits, of several replicas: too long rather than too short."""
    ways = [
        way._replace(batching=Batching(len(way.batch_s), 0.0))
        for way in draw_ways(12, 6, replicas=(2, 4, 8))
        if len(way.batch_s) > 1
    ]
    off = pooled_errors(ways, 12_000)
    assert (np.median(np.abs(off), axis=0) < 0.15).all()
    assert (np.median(off, axis=0) > -0.05).all()


def test_many_replicas_are_as_good_as_unlimited_ones() -> None:
    arrivals, batching, batch_s = bursty(2.0, 10.0), Batching(4, 0.8), linear_s(4, 0.5, 0.1)
    many = tail_replicas(arrivals, batching, batch_s, 200)
    unlimited = tail_unlimited(arrivals, batching, batch_s)
    for quantile in (0.5, 0.95, 0.99):
        assert many.quantile_s(quantile) == pytest.approx(unlimited.quantile_s(quantile), rel=0.02)
    assert many.mean_batch == pytest.approx(unlimited.mean_batch, rel=0.01)


def test_what_cannot_be_served_has_no_tail() -> None:
    tail = tail_replicas(poisson(21.0), Batching(2, 0.01), np.array([0.08, 0.1]), 1)
    assert tail.quantile_s(0.5) == math.inf
    assert tail.share_within(1e9) == 0.0


@given(st.floats(0.05, 0.6), st.floats(0.0, 1.5), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=8, deadline=None)
def test_a_tail_of_replicas_is_a_distribution(
    load: float, wait: float, most: int, replicas: int
) -> None:
    batch_s = linear_s(most, 0.05, 0.02)
    rate_rps = load * replicas * most / batch_s[-1]
    served = Served(Batching(most, wait * batch_s[-1]), batch_s, replicas)
    for arrivals in (
        poisson(rate_rps),
        Mmpp(rates_rps=(0.0, 1.5 * rate_rps), switching_per_s=(3.0, 6.0)),
    ):
        tail = analyse(arrivals, served)
        assert (np.diff(tail.latency_s) >= 0).all()
        assert (np.diff(tail.share) >= -1e-12).all()
        assert tail.share[-1] == pytest.approx(1.0)
        assert tail.latency_s[0] >= batch_s[0] * 0.999
        assert 1 <= tail.mean_batch <= most
