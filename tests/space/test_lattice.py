import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.space.axes import OVERSUBSCRIPTION, make_axes
from autotune.space.lattice import AXIS_NAMES, Lattice, coordinates, make_lattice
from autotune.spec import RUNTIME_DEFAULT, ServingConfig

MIB = 2**20
several_cores = st.integers(2, 24)


def lattice_of(
    cores: int, batchable: bool = True, default_threads: int | None = None, left: int | None = None
) -> Lattice:
    return make_lattice(make_axes(cores, batchable, 50), default_threads or cores, 10 * MIB, left)


@settings(deadline=None, max_examples=25)
@given(several_cores, st.booleans(), st.integers(2, 24))
def test_points_are_distinct_and_the_first_is_the_default(
    cores: int, batchable: bool, default_threads: int
) -> None:
    lattice = lattice_of(cores, batchable, default_threads)
    assert lattice.configs[0] == RUNTIME_DEFAULT
    assert len(set(lattice.configs)) == len(lattice.configs)
    assert not lattice.excluded


@settings(deadline=None, max_examples=25)
@given(several_cores, st.integers(2, 24))
def test_no_two_points_stand_in_the_same_place(cores: int, default_threads: int) -> None:
    lattice = lattice_of(cores, True, default_threads)
    assert lattice.coordinates.shape == (len(lattice.configs), len(AXIS_NAMES))
    assert np.isfinite(lattice.coordinates).all()
    assert len(np.unique(lattice.coordinates, axis=0)) == len(lattice.configs)


@pytest.mark.parametrize("default_threads", [2, 4, 8])
def test_only_the_explicit_twin_of_the_default_is_left_out(default_threads: int) -> None:
    lattice = lattice_of(8, True, default_threads)
    twin = ServingConfig(intra_op_threads=default_threads)
    assert twin not in lattice.configs
    for change in ({"spinning": False}, {"max_batch_size": 4}, {"replicas": 2}):
        assert msgspec.structs.replace(twin, **change) in lattice.configs


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 24))
def test_threads_never_outnumber_the_cores_beyond_the_bound_and_reach_it(cores: int) -> None:
    threads = [
        c.replicas * c.session_shape.threads_per_replica for c in lattice_of(cores).configs[1:]
    ]
    assert max(threads) == OVERSUBSCRIPTION * cores


def test_a_lone_thread_never_spins() -> None:
    for config in lattice_of(8).configs:
        if config.intra_op_threads == 1 and config.execution_mode == "sequential":
            assert not config.spinning


def test_spinning_is_tried_both_ways_wherever_there_are_pool_threads() -> None:
    configs = set(lattice_of(4).configs)
    twin = ServingConfig(intra_op_threads=4)
    for config in configs - {RUNTIME_DEFAULT}:
        if config.threads_exist:
            other = msgspec.structs.replace(config, spinning=not config.spinning)
            assert other in configs or other == twin


def test_a_batch_of_one_never_waits() -> None:
    for config in lattice_of(8).configs:
        assert config.max_batch_size > 1 or config.batch_timeout_ms == 0


def test_a_model_without_a_batch_axis_has_no_batching_points() -> None:
    plain = lattice_of(8, batchable=False)
    assert {c.max_batch_size for c in plain.configs} == {1}
    assert {c.session_shape for c in plain.configs} == {
        c.session_shape for c in lattice_of(8).configs
    } - {ServingConfig(intra_op_threads=8).session_shape}


def test_shapes_beyond_memory_are_named_once_with_the_reason_and_nothing_is_forgotten() -> None:
    everything, bounded = lattice_of(4), lattice_of(4, left=25 * MIB)
    assert {c.replicas for c in bounded.configs} == {1, 2}
    excluded = [config for config, _ in bounded.excluded]
    shapes = {config.session_shape for config in excluded}
    assert len(shapes) == len(excluded)
    assert {s.replicas for s in shapes} == {4, 8}
    assert shapes | {c.session_shape for c in bounded.configs} == {
        c.session_shape for c in everything.configs
    }
    assert all("more than the 25 MiB left" in reason for _, reason in bounded.excluded)


def test_the_default_is_a_point_even_where_nothing_fits() -> None:
    lattice = lattice_of(4, left=MIB)
    assert lattice.configs == (RUNTIME_DEFAULT,)
    assert lattice.coordinates.shape == (1, len(AXIS_NAMES))


@pytest.mark.parametrize(
    ("knob", "value", "axis"),
    [("replicas", 2, 0), ("intra_op_threads", 4, 1), ("max_batch_size", 2, 4)],
)
def test_a_doubling_is_one_step_along_its_own_axis(knob: str, value: int, axis: int) -> None:
    base = ServingConfig(intra_op_threads=2, spinning=False)
    moved = msgspec.structs.replace(base, **{knob: value})
    gap = np.array(coordinates(moved, 8)) - coordinates(base, 8)
    assert gap.tolist() == [float(i == axis) for i in range(len(AXIS_NAMES))]


def test_switches_are_one_step_and_a_spin_without_threads_is_none() -> None:
    assert coordinates(ServingConfig(intra_op_threads=2), 8)[3] == 1
    assert coordinates(ServingConfig(intra_op_threads=2, spinning=False), 8)[3] == 0
    assert coordinates(ServingConfig(intra_op_threads=1, spinning=True), 8)[3] == 0


def test_the_default_stands_where_its_threads_do() -> None:
    explicit = ServingConfig(intra_op_threads=8)
    assert coordinates(RUNTIME_DEFAULT, 8) == coordinates(explicit, 8)
    assert coordinates(RUNTIME_DEFAULT, 8)[1] == math.log2(8)


def test_a_single_core_has_no_twin_of_the_default() -> None:
    lattice = make_lattice(make_axes(1, True, 50), 1, 1, None)
    assert len(np.unique(lattice.coordinates, axis=0)) == len(lattice.configs)
