"""What a policy promises between its loads, and how far its noise may reach."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from promised import TUNED

from autotune.config_file import PolicyEntry, TunedFile
from autotune.drift.promised import bounds, lower_ms, upper_ms
from autotune.records import Percentile
from autotune.spec import ServingConfig

ONE, TWO = ServingConfig(), ServingConfig(replicas=2)
BATCHED = ServingConfig(max_batch_size=4, batch_timeout_ms=5.0)


def entry(load_rps: float, p50_ms: float, config: ServingConfig = ONE) -> PolicyEntry:
    base = TUNED.policy[0]
    assert base.measured is not None
    p50 = Percentile(value_ms=p50_ms, low_ms=p50_ms / 1.2, high_ms=1.2 * p50_ms)
    p99 = Percentile(value_ms=9 * p50_ms, low_ms=8 * p50_ms, high_ms=None)
    measured = replace(base.measured, p50=p50, p95=p50, p99=p99)
    return replace(base, load_rps=load_rps, config=config, measured=measured)


def policy(*entries: PolicyEntry) -> TunedFile:
    return replace(TUNED, policy=list(entries))


@given(alpha=st.floats(1e-6, 0.04), tolerance=st.floats(0.0, 1.0))
def test_bounds_reach_further_the_surer_they_must_be(alpha: float, tolerance: float) -> None:
    found = bounds(policy(entry(50, 10.0)), alpha, tolerance)
    assert found.upper_ms[0, 0] > 12.0 * (1 + tolerance)
    assert found.lower_ms[0, 0] < 10.0 / 1.2 / (1 + tolerance)
    assert math.isnan(found.upper_ms[2, 0])  # nobody bounded it
    assert found.upper_ms[0, 0] >= bounds(policy(entry(50, 10.0)), 0.04, tolerance).upper_ms[0, 0]


@given(at_rps=st.floats(1.0, 100.0))
def test_between_loads_of_one_configuration_the_promise_is_the_line(at_rps: float) -> None:
    tuned = policy(entry(50, 10.0), entry(100, 20.0))
    found = bounds(tuned, 0.005, 0.1)
    (value,) = upper_ms(tuned, found, 0, np.array([at_rps]))
    low, high = found.upper_ms[0]
    expected = low + max(0.0, at_rps - 50) / 50 * (high - low)
    assert value == pytest.approx(expected)


def test_of_another_configuration_it_is_the_upper_entry() -> None:
    tuned = policy(entry(50, 10.0, ONE), entry(100, 20.0, TWO))
    found = bounds(tuned, 0.005, 0.1)
    values = upper_ms(tuned, found, 0, np.array([30.0, 60.0, 100.0]))
    assert values.tolist() == [found.upper_ms[0, 0], found.upper_ms[0, 1], found.upper_ms[0, 1]]


def test_batches_that_fill_slowly_may_wait() -> None:
    tuned = policy(entry(100, 20.0, BATCHED))
    found = bounds(tuned, 0.005, 0.1)
    values = upper_ms(tuned, found, 0, np.array([20.0, 99.0]))
    assert (values - found.upper_ms[0, 0]).tolist() == [5.0, 0.0]
    assert np.isnan(lower_ms(tuned, found, 0, np.array([100.0]))).all()


def test_the_least_is_that_of_the_load_below_with_the_same_configuration() -> None:
    tuned = policy(entry(50, 10.0), entry(100, 20.0), entry(150, 30.0, TWO))
    found = bounds(tuned, 0.005, 0.1)
    low, high = found.lower_ms[0, :2]
    values = lower_ms(tuned, found, 1, np.array([20.0, 70.0, 100.0]))
    assert math.isnan(values[0])
    assert values[1:].tolist() == [low, high]
    assert np.isnan(lower_ms(tuned, found, 2, np.array([120.0]))).all()
