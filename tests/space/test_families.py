"""Spaces beyond ONNX Runtime on a CPU: forms, processes, providers, GPUs."""

import numpy as np
import pytest

from autotune.outcome import Abilities
from autotune.space.axes import GPU_REPLICAS, MAX_GPU_BATCH_SIZE, make_axes
from autotune.space.lattice import Lattice, make_lattice
from autotune.spec import Family, ServingConfig

TORCH = Abilities(
    inter_op=False,
    replicas_as=("threads", "processes"),
    forms=("as_given", "compiled", "exported"),
)
ON_GPUS = Abilities(inter_op=False, providers=("cuda",), devices=2, overlap=True, cuda_graphs=True)


def lattice_of(abilities: Abilities, cores: int = 4) -> Lattice:
    return make_lattice(make_axes(cores, True, 50, abilities), cores, 1, None)


def families(lattice: Lattice) -> set[Family]:
    return {config.family for config in lattice.configs}


@pytest.mark.parametrize(
    "abilities",
    [TORCH, ON_GPUS, Abilities(providers=("cpu", "openvino"), inter_op=False, spinning=False)],
)
def test_points_are_distinct_and_lie_in_different_places(abilities: Abilities) -> None:
    lattice = lattice_of(abilities)
    assert lattice.configs[0].is_default
    assert len(set(lattice.configs)) == len(lattice.configs)
    assert len(np.unique(lattice.coordinates, axis=0)) == len(lattice.configs)
    assert np.ptp(lattice.coordinates[:, 4 : lattice.session_axes], axis=0).min() > 0


def test_only_several_replicas_are_processes() -> None:
    configs = lattice_of(TORCH).configs
    processes = [config for config in configs if config.replicas_as == "processes"]
    assert {config.form for config in processes} == {"as_given", "compiled", "exported"}
    assert min(config.replicas for config in processes) == 2
    assert not any(config.execution_mode == "parallel" for config in configs)


def test_another_provider_has_neither_modes_nor_spinning_to_choose() -> None:
    configs = lattice_of(Abilities(providers=("cpu", "openvino"))).configs
    other = [config for config in configs if config.provider == "openvino"]
    assert {config.execution_mode for config in other} == {"sequential"}
    assert {config.spinning for config in other if config.intra_op_threads > 1} == {True}
    assert any(config.execution_mode == "parallel" for config in configs)


def test_replicas_on_gpus_are_spread_and_host_threads_are_no_knob() -> None:
    lattice = lattice_of(ON_GPUS)
    assert lattice.configs[0] == ServingConfig(provider="cuda")
    assert {config.intra_op_threads for config in lattice.configs} == {0}
    assert max(config.replicas for config in lattice.configs) == 2 * GPU_REPLICAS
    assert all(
        config.devices <= config.replicas <= GPU_REPLICAS * config.devices
        for config in lattice.configs
    )
    assert max(config.max_batch_size for config in lattice.configs) == MAX_GPU_BATCH_SIZE
    assert {(f.overlap, f.cuda_graphs) for f in families(lattice)} == {
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    }


def test_what_could_not_be_had_is_left_out_with_the_reason() -> None:
    lattice = lattice_of(TORCH)
    lost = Family(form="compiled")
    left = lattice.without({lost: "no compiler"})
    assert families(left) == families(lattice) - {lost}
    assert len(left.coordinates) == len(left.configs)
    assert {reason for _, reason in left.excluded} == {"no compiler"}
    shapes = {c.session_shape for c in lattice.configs if c.family == lost}
    assert len(left.excluded) == len(shapes)
