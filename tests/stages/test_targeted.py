"""What of the space a server can express, and how the file tells how far off the engine was."""

import pytest
from msgspec.structs import replace
from promised import TUNED

from autotune.errors import UsageError
from autotune.exports.exporters import EXPORTERS
from autotune.outcome import Abilities
from autotune.records import Percentile
from autotune.space.axes import make_axes
from autotune.space.lattice import Lattice, make_lattice
from autotune.spec import RUNTIME_DEFAULT, ServingConfig
from autotune.stages.question import Target
from autotune.stages.targeted import expressible, nearest, target_sentence
from autotune.target_info import ANY_SERVER, TargetInfo, TargetLoad

CORES = 4


def lattice(abilities: Abilities | None = None) -> Lattice:
    return make_lattice(make_axes(CORES, True, 50.0, abilities or Abilities()), CORES, 1, None)


def through(server: str) -> Target:
    return Target(server=server, python="python")


def kept(server: str, torch: bool = False, whole: Lattice | None = None) -> Lattice:
    return expressible(whole or lattice(), through(server), torch, CORES)


def test_a_server_that_carries_every_knob_keeps_the_lattice() -> None:
    whole = lattice()
    for server in ("litserve", "triton-python", ANY_SERVER):
        found = kept(server)
        assert found.configs == whole.configs, server
        assert (found.coordinates == whole.coordinates).all()
        assert found.excluded == ()


def test_what_a_server_cannot_express_leaves_the_lattice_with_a_reason() -> None:
    whole, found = lattice(), kept("onnxruntime")
    assert {config.max_batch_size for config in found.configs} == {1}
    assert set(found.configs) == {one for one in whole.configs if one.max_batch_size == 1}
    ((example, reason),) = found.excluded
    assert example.max_batch_size > 1
    assert "max_batch_size: a session does not batch" in reason
    assert f"(and {len(whole.configs) - len(found.configs) - 1} more)" in reason
    assert found.coordinates.shape == (len(found.configs), whole.coordinates.shape[1])


def test_knobs_without_a_meaning_there_stay_as_the_runtime_has_them() -> None:
    found = kept("openvino")
    assert {config.execution_mode for config in found.configs} == {"sequential"}
    # A lone thread does not spin whatever it is told.
    assert all(config.spinning or not config.threads_exist for config in found.configs)
    assert any(config.intra_op_threads == 1 for config in found.configs)


@pytest.mark.parametrize("server", [*EXPORTERS, ANY_SERVER])
def test_the_default_is_expressible_and_first_everywhere(server: str) -> None:
    found = kept(server)
    assert found.configs[0] == RUNTIME_DEFAULT
    assert (found.coordinates[0] == lattice().coordinates[0]).all()


def test_replicas_that_are_processes_there_are_not_tried_twice() -> None:
    abilities = Abilities(inter_op=False, replicas_as=("threads", "processes"))
    whole = lattice(abilities)
    assert {one.replicas_as for one in whole.configs if one.replicas > 1} == {
        "threads",
        "processes",
    }
    there = kept("litserve", torch=True, whole=whole)
    assert {one.replicas_as for one in there.configs if one.replicas > 1} == {"processes"}
    two = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
    assert nearest(two, there, through("litserve"), True) == replace(two, replicas_as="processes")


def test_a_model_that_a_server_cannot_run_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--target openvino cannot run .*: OpenVINO cannot"):
        kept("openvino", torch=True)


def test_the_nearest_to_what_the_engine_chose_is_what_the_server_makes_of_it() -> None:
    there = kept("onnxruntime")
    config = ServingConfig(intra_op_threads=2, max_batch_size=8, batch_timeout_ms=2.0)
    assert nearest(config, there, through("onnxruntime"), False) == ServingConfig(
        intra_op_threads=2
    )
    assert nearest(RUNTIME_DEFAULT, there, through("onnxruntime"), False) == RUNTIME_DEFAULT
    odd = ServingConfig(replicas=7, intra_op_threads=3)
    assert nearest(odd, there, through("onnxruntime"), False) == RUNTIME_DEFAULT


def load(load_rps: float, engine_ms: float | None, server_ms: float | None) -> TargetLoad:
    def known(value_ms: float | None) -> Percentile | None:
        return (
            None if value_ms is None else Percentile(value_ms=value_ms, low_ms=None, high_ms=None)
        )

    return TargetLoad(
        load_rps=load_rps,
        config=RUNTIME_DEFAULT,
        engine=known(engine_ms),
        server=known(server_ms),
        best=known(server_ms),
    )


def sentence(*loads: TargetLoad) -> str:
    info = TargetInfo(server="litserve", version="1.0", url=None, not_carried=[], loads=list(loads))
    chosen = [ServingConfig(replicas=2), RUNTIME_DEFAULT]
    entries = [replace(TUNED.policy[0], config=config) for config in chosen]
    return target_sentence(info, entries[: len(loads)], 99.0)


def test_the_sentence_says_how_far_the_engine_was_off() -> None:
    assert sentence(load(30.0, 10.0, 18.0), load(80.0, 10.0, 25.0)) == (
        "litserve answers in 1.8 x (30/s), 2.5 x (80/s) the engine's p99 with the same "
        "configuration; what the engine chose was kept at 1 of 2 loads."
    )
    assert "answers as fast as the engine" in sentence(load(30.0, 10.0, 10.2))
    unknown = sentence(load(30.0, None, 18.0), load(80.0, 10.0, None))
    assert unknown == "Measured through litserve 1.0; how far the engine is off is not known."
