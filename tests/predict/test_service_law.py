import math
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.outcome import Samples
from autotune.predict.service_law import (
    Corner,
    ServiceLaw,
    fit_law,
    is_crowded,
    mode_of,
    take_corners,
)
from autotune.spec import RUNTIME_DEFAULT, ServingConfig, SessionShape

SPREAD = np.array([0.8, 1.0, 1.0, 1.0, 1.4])
ALPHA, GAMMA, FIXED, BASE_S = 0.5, 1.75, 0.25, 0.02


def true_s(shape: SessionShape, cores: int, batch_size: int = 1) -> float:
    """Equation (1) of the module, written for the corners of the plan: all replicas busy."""
    threads = shape.intra_op_threads
    seconds = BASE_S * math.pow(threads, -0.7 if shape.spinning else -0.5)
    seconds *= 1.2 if shape.execution_mode == "parallel" else 1.0
    own = threads * (shape.inter_op_threads if shape.execution_mode == "parallel" else 1)
    demand = shape.replicas * own
    if own < cores:
        seconds *= 1 + ALPHA * (min(demand, cores) - own) / (cores - own)
    seconds *= math.pow(max(1.0, demand / cores), GAMMA if shape.spinning else 1.0)
    return seconds * (FIXED + (1 - FIXED) * batch_size)


def profile(
    cores: int,
    largest_batch: int = 32,
    longest_s: float = 1.0,
    true: Callable[[SessionShape, int, int], float] = true_s,
) -> list[Corner]:
    def measure(shape: SessionShape, busy: int, size: int) -> Corner | None:
        assert busy == shape.replicas
        seconds = true(shape, cores, size) * SPREAD
        return Corner(shape=shape, busy=busy, batch_size=size, seconds=seconds, cpu_s=0.01)

    return take_corners(cores, largest_batch, longest_s, measure)


def predicted_s(law: ServiceLaw, config: ServingConfig, busy: int, default_threads: int) -> float:
    (alone_s,) = law.batch_s(config, default_threads, np.array([config.max_batch_size]))
    crowding: Samples = law.crowding(config, default_threads, busy)
    return float(alone_s * crowding[busy])


def one_s(law: ServiceLaw, config: ServingConfig) -> float:
    return predicted_s(law, msgspec.structs.replace(config, max_batch_size=1), 1, 4)


def config_of(shape: SessionShape, batch_size: int = 1) -> ServingConfig:
    return ServingConfig(
        replicas=shape.replicas,
        intra_op_threads=shape.intra_op_threads,
        inter_op_threads=shape.inter_op_threads,
        execution_mode=shape.execution_mode,
        spinning=shape.spinning,
        max_batch_size=batch_size,
    )


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 8, 12, 16])
@pytest.mark.parametrize("largest_batch", [1, 2, 32])
def test_the_law_gives_back_every_corner_that_it_was_fitted_to(
    cores: int, largest_batch: int
) -> None:
    corners = profile(cores, largest_batch)
    law = fit_law(corners, cores)
    for corner in corners:
        config = config_of(corner.shape, corner.batch_size)
        assert predicted_s(law, config, corner.busy, cores) == pytest.approx(corner.median_s)


def saturating_s(shape: SessionShape, cores: int, batch_size: int) -> float:
    """As of an accelerator: a batch of 64 takes little longer than one of 1; more wait in line."""
    return BASE_S * max(1 + 0.01 * batch_size, batch_size / 64)


def test_batches_are_measured_ever_larger_while_that_saves_time_per_request() -> None:
    corners = profile(4, 512, longest_s=1.0, true=saturating_s)
    alone = [corner.batch_size for corner in corners if corner.shape.threads_per_replica == 1]
    assert alone == [1, 4, 16, 64, 256, 512, 1]
    law = fit_law(corners, 4)
    for size in (1, 4, 16, 64, 256):
        config = ServingConfig(intra_op_threads=1, spinning=False, max_batch_size=size)
        expected = saturating_s(config.session_shape, 4, size)
        assert predicted_s(law, config, 1, 4) == pytest.approx(expected, rel=0.02)


def test_no_batch_is_measured_that_takes_longer_than_is_of_interest() -> None:
    corners = profile(4, 512, longest_s=0.9 * BASE_S, true=saturating_s)
    assert {corner.batch_size for corner in corners} == {1}


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_batches_that_profit_from_threads_are_known_to(threads: int) -> None:
    """One thread gains nothing by a batch; four share it out, so that it grows by less."""

    def true(shape: SessionShape, cores: int, batch_size: int) -> float:
        return BASE_S * math.pow(batch_size, 1 - math.log2(shape.intra_op_threads) / 4)

    law = fit_law(profile(4, 32, 10.0, true), 4)
    config = ServingConfig(intra_op_threads=threads, max_batch_size=4)
    expected = true(config.session_shape, 4, 4)
    assert predicted_s(law, config, 1, 4) == pytest.approx(expected)


@pytest.mark.parametrize("batch_size", [1, 2, 16, 32])
def test_batches_grow_by_the_part_that_is_not_fixed(batch_size: int) -> None:
    law = fit_law(profile(4), 4)
    config = ServingConfig(intra_op_threads=2, spinning=False, max_batch_size=batch_size)
    expected = true_s(config.session_shape, 4, batch_size)
    assert predicted_s(law, config, 1, 4) == pytest.approx(expected)


@pytest.mark.parametrize("threads", [2, 3, 6])
@pytest.mark.parametrize("spinning", [True, False])
def test_thread_counts_between_the_corners_follow_a_power_law(threads: int, spinning: bool) -> None:
    law = fit_law(profile(8), 8)
    config = ServingConfig(intra_op_threads=threads, spinning=spinning)
    assert predicted_s(law, config, 1, 8) == pytest.approx(true_s(config.session_shape, 8))


def test_time_sharing_is_fair_without_spinning_and_worse_with_it() -> None:
    law = fit_law(profile(4), 4)
    for spinning, gamma in ((True, GAMMA), (False, 1.0)):
        config = ServingConfig(replicas=8, intra_op_threads=4, spinning=spinning)
        crowding = law.crowding(config, 4, 8)
        np.testing.assert_allclose(crowding[[1, 2, 8]], [1, 2**gamma, 8**gamma])


@settings(deadline=None)
@given(st.integers(1, 16), st.integers(0, 16), st.booleans())
def test_more_busy_replicas_never_speed_a_batch_up_and_a_lone_one_runs_at_its_own_speed(
    cores: int, threads: int, spinning: bool
) -> None:
    law = fit_law(profile(cores), cores)
    config = ServingConfig(replicas=9, intra_op_threads=threads, spinning=spinning)
    crowding = law.crowding(config, cores, 9)
    assert crowding.shape == (10,)
    assert crowding[0] == pytest.approx(1)
    assert crowding[1] == pytest.approx(1)
    assert (np.diff(crowding) >= -1e-12).all()


def test_the_default_is_predicted_as_its_explicit_twin() -> None:
    law, twin = fit_law(profile(8), 8), ServingConfig(intra_op_threads=4)
    sizes = np.array([1.0, 5.0, 32.0])
    np.testing.assert_array_equal(
        law.batch_s(RUNTIME_DEFAULT, 4, sizes), law.batch_s(twin, 4, sizes)
    )
    np.testing.assert_array_equal(law.crowding(RUNTIME_DEFAULT, 4, 3), law.crowding(twin, 4, 3))


def test_what_was_not_measured_is_neutral() -> None:
    law = fit_law(profile(4)[:1], 4)
    for threads in (1, 2, 4):
        config = ServingConfig(replicas=2, intra_op_threads=threads, spinning=False)
        assert one_s(law, config) == pytest.approx(BASE_S)
    lone = ServingConfig(replicas=4, intra_op_threads=1, spinning=False)
    np.testing.assert_allclose(law.crowding(lone, 4, 8), [1, 1, 1, 1, 1, 5 / 4, 6 / 4, 7 / 4, 2])


def test_a_failed_corner_of_many_threads_promises_no_gain() -> None:
    without = [c for c in profile(4) if c.shape.intra_op_threads == 1]
    law = fit_law(without, 4)
    assert one_s(law, ServingConfig(intra_op_threads=4)) == pytest.approx(BASE_S)


def test_a_profile_without_its_first_corner_is_refused() -> None:
    with pytest.raises(ValueError, match="one thread alone"):
        fit_law(profile(4)[1:], 4)


def test_jitter_is_relative_to_each_corners_median_and_sorted() -> None:
    law = fit_law(profile(4), 4)
    crowded = [is_crowded(corner.shape, 4) for corner in profile(4)]
    assert 0 < sum(crowded) < len(crowded)
    np.testing.assert_allclose(law.jitter, np.sort(np.tile(SPREAD, crowded.count(False))))
    np.testing.assert_allclose(law.crowded_jitter, np.sort(np.tile(SPREAD, sum(crowded))))


def test_executions_are_as_erratic_as_those_seen_with_as_many_threads_to_a_core() -> None:
    corners = profile(4)
    wild = [
        msgspec.structs.replace(one, seconds=one.median_s * np.array([0.2, 1.0, 5.0]))
        if is_crowded(one.shape, 4)
        else one
        for one in corners
    ]
    law = fit_law(wild, 4)
    assert law.jitter.max() == pytest.approx(SPREAD.max())
    assert law.crowded_jitter.max() == pytest.approx(5.0)


def test_replicas_are_calm_while_every_thread_that_spins_has_a_core() -> None:
    law = fit_law(profile(4), 4)
    for config, busy in (
        (ServingConfig(replicas=8, intra_op_threads=1), 8),
        (ServingConfig(replicas=8, intra_op_threads=4, spinning=False), 8),
        (ServingConfig(replicas=2, intra_op_threads=2), 2),
        (ServingConfig(replicas=2, intra_op_threads=3), 1),
        (ServingConfig(intra_op_threads=2, inter_op_threads=4, execution_mode="parallel"), 0),
    ):
        assert law.calm_busy(config, 4) == busy


@pytest.mark.parametrize("cores", range(1, 33))
def test_the_plan_starts_with_one_thread_alone_and_repeats_nothing(cores: int) -> None:
    plan = [(one.shape, one.busy, one.batch_size) for one in profile(cores)]
    (shape, busy, size), *_ = plan
    assert (shape.replicas, shape.intra_op_threads, busy, size) == (1, 1, 1, 1)
    assert len(set(plan)) == len(plan)
    assert all(one.batch_size == 1 for one in profile(cores, largest_batch=1))


def test_modes_tell_whether_threads_spin_and_operators_run_side_by_side() -> None:
    parallel = ServingConfig(intra_op_threads=1, execution_mode="parallel", spinning=False)
    assert mode_of(RUNTIME_DEFAULT.session_shape) == "spin"
    assert mode_of(ServingConfig(intra_op_threads=1).session_shape) == "no_spin"
    assert mode_of(ServingConfig(intra_op_threads=2, spinning=False).session_shape) == "no_spin"
    assert mode_of(parallel.session_shape) == "parallel_no_spin"
    assert math.isclose(one_s(fit_law(profile(4), 4), parallel), 1.2 * BASE_S)
