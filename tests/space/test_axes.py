from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.space.axes import MAX_BATCH_SIZE, OVERSUBSCRIPTION, make_axes


@given(st.integers(1, 256), st.booleans(), st.floats(0.1, 10_000))
def test_every_axis_ascends_without_repeats(cores: int, batchable: bool, slo_ms: float) -> None:
    axes = make_axes(cores, batchable, slo_ms)
    for values in (
        axes.replicas,
        axes.intra_op_threads,
        axes.inter_op_threads,
        axes.max_batch_sizes,
        axes.batch_timeouts_ms,
    ):
        assert list(values) == sorted(set(values))


@given(st.integers(1, 256))
def test_threads_and_replicas_reach_from_one_to_what_the_cores_bear(cores: int) -> None:
    axes = make_axes(cores, True, 50)
    assert (axes.intra_op_threads[0], axes.intra_op_threads[-1]) == (1, cores)
    assert (axes.replicas[0], axes.replicas[-1]) == (1, OVERSUBSCRIPTION * cores)
    assert cores in axes.replicas


@given(st.integers(1, 256))
def test_no_step_is_more_than_a_doubling(cores: int) -> None:
    axes = make_axes(cores, True, 50)
    for values in (axes.replicas, axes.intra_op_threads, axes.max_batch_sizes):
        assert all(b <= 2 * a for a, b in pairwise(values))


def test_a_core_count_that_is_no_power_of_two_is_on_the_axes() -> None:
    axes = make_axes(6, True, 50)
    assert axes.intra_op_threads == [1, 2, 4, 6]
    assert axes.replicas == [1, 2, 4, 6, 12]


def test_one_core_leaves_no_parallel_mode() -> None:
    assert make_axes(1, True, 50).inter_op_threads == []
    assert make_axes(4, True, 50).inter_op_threads[0] == 2


def test_a_model_without_a_batch_axis_gets_no_batches() -> None:
    assert make_axes(4, False, 50).max_batch_sizes == [1]
    sizes = make_axes(4, True, 50).max_batch_sizes
    assert (sizes[0], sizes[-1]) == (1, MAX_BATCH_SIZE)


@pytest.mark.parametrize(("slo_ms", "longest_ms"), [(0.5, 0), (10, 5), (39, 10), (1000, 100)])
def test_a_batch_waits_for_at_most_half_of_the_slo(slo_ms: float, longest_ms: float) -> None:
    timeouts_ms = make_axes(4, True, slo_ms).batch_timeouts_ms
    assert timeouts_ms[0] == 0
    assert timeouts_ms[-1] == longest_ms
