import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import run_of
from scipy.stats import wilcoxon

from autotune.outcome import Measured, Samples
from autotune.stats.paired import (
    MIN_BEYOND,
    comparable_quantile,
    compare_cpu,
    compare_latency,
    compare_rounds,
)


def queue_latency_s(gap_s: Samples, service_s: Samples) -> Samples:
    """Sojourn times of one server, by Lindley's recursion."""
    latency_s, wait_s = np.empty(len(gap_s)), 0.0
    for i, (gap, service) in enumerate(zip(gap_s, service_s, strict=True)):
        wait_s = max(0.0, wait_s - gap) if i else 0.0
        latency_s[i] = wait_s + service
        wait_s = latency_s[i]
    return latency_s


def noisy_copy(seed: int, copy: int, slowdown: float = 1.0, rounds: int = 6) -> list[Measured]:
    """A queue at 60 % load; the arrivals come from the seed, the noise from the copy as well."""
    runs = []
    for number in range(rounds):
        gap_s = np.random.default_rng((seed, number)).exponential(1 / 0.6, 100)
        noise = np.random.default_rng((seed, number, copy)).lognormal(0.0, 0.15, len(gap_s))
        runs.append(run_of(queue_latency_s(gap_s, slowdown * noise)))
    return runs


def with_neighbour(seed: int) -> tuple[list[Measured], list[Measured]]:
    """The same configuration twice, in windows of which a neighbour slows some, for a while."""
    rng = np.random.default_rng((seed, 1))
    sides: tuple[list[Measured], list[Measured]] = ([], [])
    there = False
    for number in range(6):
        gap_s = np.random.default_rng((seed, number)).exponential(1 / 0.6, 100)
        for side in rng.permutation(2):
            there ^= bool(rng.random() < 0.3)
            slow = rng.lognormal(0.0, 0.15, len(gap_s)) * (1.6 if there else 1.0)
            sides[side].append(run_of(queue_latency_s(gap_s, slow)))
    return sides


def test_the_same_configuration_twice_is_called_different_at_most_as_often_as_stated() -> None:
    called = 0
    for seed in range(200):
        found = compare_latency(noisy_copy(seed, 1), noisy_copy(seed, 2), 0.95)
        called += found.differs
        if found.low is not None and found.high is not None:
            assert found.differs == (not found.low <= 1 <= found.high)
    assert called <= 17  # 5 % of 200, plus what chance exceeds it by in one of a hundred studies


def test_nor_is_it_beside_a_neighbour_that_comes_and_goes() -> None:
    called = sum(
        compare_latency(*with_neighbour(seed), quantile=0.9).differs for seed in range(200)
    )
    assert called <= 17


def test_nor_does_its_cpu_time() -> None:
    called = 0
    for seed in range(200):
        noise = np.random.default_rng(seed).lognormal(0.0, 0.2, (2, 6))
        left, right = ([run_of([0.01], used=(cpu_s, 1)) for cpu_s in row] for row in noise)
        called += compare_cpu(left, right).differs
    assert called <= 17


def test_a_true_slowdown_is_found() -> None:
    found = 0
    for seed in range(40):
        slow, plain = noisy_copy(seed, 1, slowdown=1.5), noisy_copy(seed, 2)
        result = compare_latency(slow, plain, 0.9)
        found += result.differs and result.low is not None and result.low > 1
    assert found >= 38


def test_the_interval_holds_the_true_ratio_about_as_often_as_stated() -> None:
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        left, right = ([run_of(f * rng.lognormal(0, 0.3, 60)) for _ in range(8)] for f in (1.2, 1))
        found = compare_latency(left, right, 0.9)
        held += (found.low or 0.0) <= 1.2 <= (found.high or math.inf)
    assert held >= 89  # 95 less 2.5 standard deviations


def test_what_both_sides_share_cancels() -> None:
    plain = noisy_copy(1, 1)
    slower = [run_of(1.25 * run.latency_s) for run in plain]
    found = compare_latency(slower, plain, 0.95)
    assert (found.ratio, found.low, found.high) == pytest.approx((1.25, 1.25, 1.25))
    assert found.differs


def test_swapping_the_sides_inverts_the_ratio() -> None:
    one, other = noisy_copy(3, 1, slowdown=1.2), noisy_copy(3, 2)
    there, back = compare_latency(one, other, 0.9), compare_latency(other, one, 0.9)
    assert there.ratio is not None
    assert there.low is not None
    assert there.high is not None
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert back.low == pytest.approx(1 / there.high, rel=0.02)
    assert back.high == pytest.approx(1 / there.low, rel=0.02)
    assert back.p_value == there.p_value


@given(
    st.lists(
        st.floats(-3, 3).filter(lambda x: abs(x) > 1e-9), min_size=6, max_size=20, unique_by=abs
    )
)
def test_the_p_value_is_that_of_the_signed_rank_test(log_ratios: list[float]) -> None:
    found = compare_rounds(np.array(log_ratios))
    assert found.p_value == pytest.approx(wilcoxon(log_ratios, method="exact").pvalue)
    assert found.low is not None
    assert found.high is not None
    assert found.differs == (not found.low <= 1 <= found.high)


def test_a_disturbed_round_does_not_outweigh_the_others() -> None:
    calm = [0.10, 0.12, 0.08, 0.11, 0.09, 0.10, 0.13, 0.10]
    found = compare_rounds(np.array([*calm[:-1], 3.0]))
    assert found.ratio == pytest.approx(math.exp(0.10), rel=0.05)
    assert found.differs


def test_too_few_rounds_prove_nothing_however_large_the_difference() -> None:
    one, other = noisy_copy(5, 1, slowdown=9.0, rounds=5), noisy_copy(5, 2, rounds=5)
    found = compare_latency(one, other, 0.9)
    assert not found.differs
    assert (found.low, found.high) == (None, None)


def test_a_side_that_loses_more_than_the_percentile_allows_has_no_ratio() -> None:
    latency_s = np.linspace(1.0, 2.0, 200)
    whole = [run_of(latency_s)] * 6
    broken = [run_of(latency_s[:100], lost=100)] * 6
    found = compare_latency(broken, whole, 0.9)
    assert (found.ratio, found.low, found.high) == (None, None, None)
    assert found.differs
    assert compare_latency(broken, broken, 0.9) == (None, None, None, 1.0)


def test_a_few_lost_requests_below_the_percentile_leave_the_ratio_finite() -> None:
    latency_s = np.ones(400)
    left, right = [run_of(latency_s[:399], lost=1)] * 6, [run_of(latency_s)] * 6
    assert compare_latency(left, right, 0.5).ratio == 1.0


def test_rounds_must_pair_up() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compare_latency(noisy_copy(0, 1), noisy_copy(0, 2)[:1], 0.9)


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
