import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.outcome import Measured, Samples
from autotune.stats.paired import MIN_BEYOND, comparable_quantile, percentile_ratio


def run_of(latency_s: Samples, lost: int = 0) -> Measured:
    scheduled_s = np.arange(len(latency_s), dtype=np.float64)
    return Measured(
        scheduled_s=scheduled_s,
        claimed_s=scheduled_s,
        started_s=scheduled_s,
        finished_s=scheduled_s + latency_s,
        batch_size=np.ones(len(latency_s)),
        lost=lost,
        diverged=lost > 0,
        duration_s=float(len(latency_s)),
        cpu_s=1.0,
        peak_memory_bytes=1,
    )


def queue_latency_s(gap_s: Samples, service_s: Samples) -> Samples:
    """Sojourn times of one server, by Lindley's recursion."""
    latency_s, wait_s = np.empty(len(gap_s)), 0.0
    for i, (gap, service) in enumerate(zip(gap_s, service_s, strict=True)):
        wait_s = max(0.0, wait_s - gap) if i else 0.0
        latency_s[i] = wait_s + service
        wait_s = latency_s[i]
    return latency_s


def noisy_copy(seed: int, copy: int, slowdown: float = 1.0, rounds: int = 2) -> list[Measured]:
    """A queue at 60 % load; the arrivals come from the seed, the noise from the copy as well."""
    runs = []
    for number in range(rounds):
        gap_s = np.random.default_rng((seed, number)).exponential(1 / 0.6, 400 // rounds)
        noise = np.random.default_rng((seed, number, copy)).lognormal(0.0, 0.15, len(gap_s))
        runs.append(run_of(queue_latency_s(gap_s, slowdown * noise)))
    return runs


def test_the_same_configuration_twice_is_seldom_called_different() -> None:
    called = 0
    for seed in range(200):
        ratio = percentile_ratio(noisy_copy(seed, 1), noisy_copy(seed, 2), 0.95, seed)
        assert ratio.low is not None
        assert ratio.high is not None
        called += not ratio.low <= 1 <= ratio.high
    assert called <= 0.08 * 200


def test_a_true_slowdown_is_found() -> None:
    found = 0
    for seed in range(40):
        slow, plain = noisy_copy(seed, 1, slowdown=1.5), noisy_copy(seed, 2)
        low = percentile_ratio(slow, plain, 0.95, seed).low
        found += low is not None and low > 1
    assert found >= 38


def test_what_both_sides_share_cancels() -> None:
    (plain,) = noisy_copy(1, 1, rounds=1)
    slower = run_of(1.25 * plain.latency_s)
    ratio = percentile_ratio([slower], [plain], 0.95, 0)
    assert ratio == pytest.approx((1.25, 1.25, 1.25))


def test_swapping_the_sides_inverts_the_ratio() -> None:
    one, other = noisy_copy(3, 1, slowdown=1.2), noisy_copy(3, 2)
    value, low, high = percentile_ratio(one, other, 0.9, 0)
    swapped = percentile_ratio(other, one, 0.9, 0)
    assert low is not None
    assert high is not None
    assert swapped.value == pytest.approx(1 / value)
    assert swapped.low == pytest.approx(1 / high, rel=0.05)
    assert swapped.high == pytest.approx(1 / low, rel=0.05)


def test_the_same_seed_gives_the_same_interval() -> None:
    one, other = noisy_copy(5, 1), noisy_copy(5, 2)
    assert percentile_ratio(one, other, 0.9, 7) == percentile_ratio(one, other, 0.9, 7)


def test_a_side_that_loses_more_than_the_percentile_allows_has_no_finite_bound() -> None:
    latency_s = np.linspace(1.0, 2.0, 200)
    whole, broken = run_of(latency_s), run_of(latency_s[:100], lost=100)
    worse = percentile_ratio([broken], [whole], 0.9, 0)
    assert (worse.value, worse.high) == (math.inf, None)
    both = percentile_ratio([broken], [broken], 0.9, 0)
    assert math.isnan(both.value)
    assert (both.low, both.high) == (None, None)


def test_a_few_lost_requests_below_the_percentile_leave_the_ratio_finite() -> None:
    latency_s = np.ones(400)
    ratio = percentile_ratio([run_of(latency_s[:399], lost=1)], [run_of(latency_s)], 0.5, 0)
    assert ratio == (1.0, 1.0, 1.0)


def test_rounds_must_pair_up() -> None:
    with pytest.raises(ValueError, match="shorter"):
        percentile_ratio(noisy_copy(0, 1), noisy_copy(0, 2)[:1], 0.9, 0)


@given(st.integers(0, 100_000), st.floats(0.5, 0.9999))
def test_enough_requests_lie_beyond_the_quantile_that_is_compared(
    requests: int, wanted: float
) -> None:
    quantile = comparable_quantile(requests, wanted)
    assert 0.5 <= quantile <= wanted
    if quantile > 0.5:
        assert (1 - quantile) * requests >= MIN_BEYOND * (1 - 1e-6)
    if (1 - wanted) * requests >= MIN_BEYOND:
        assert quantile == pytest.approx(wanted)
