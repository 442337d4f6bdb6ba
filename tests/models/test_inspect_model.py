from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from autotune.errors import ModelError, UsageError
from autotune.models.inspect_model import inspect_model
from autotune.models.onnx_model import session_options
from autotune.models.sample_inputs import settle_shapes
from autotune.outcome import InputInfo
from autotune.spec import ModelSpec, ServingConfig


def test_a_dynamic_first_dimension_is_proved_to_be_a_batch(mlp: Path) -> None:
    info = inspect_model(ModelSpec(path=str(mlp)))
    assert info.batchable
    assert info.sample_shapes == {"x": [1, 256]}
    assert info.default_threads >= 1
    assert info.engine_batch_s + info.engine_request_s > 0


def test_answers_that_depend_on_their_neighbours_forbid_batching(leaky: Path) -> None:
    info = inspect_model(ModelSpec(path=str(leaky)))
    assert not info.batchable
    assert "in a batch of 2, output 'y' differs by" in info.batch_reason


def test_scalars_and_state_run_without_batching(stateful: Path) -> None:
    info = inspect_model(ModelSpec(path=str(stateful)))
    assert not info.batchable
    assert info.sample_shapes["s"] == []


def test_open_dimensions_are_asked_for_with_an_example(images: Path) -> None:
    with pytest.raises(ModelError, match=r"--shape x=1x3x224x224"):
        inspect_model(ModelSpec(path=str(images)))
    info = inspect_model(ModelSpec(path=str(images), shapes={"x": [1, 3, 20, 30]}))
    assert info.batchable


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"y": [1]}, "no input 'y'"),
        ({"x": [1, 3, 8]}, "wants 4 dimensions"),
        ({"x": [1, 4, 8, 8]}, "wants batchx3xheightxwidth"),
    ],
)
def test_a_wrong_shape_is_named(images: Path, shape: dict[str, list[int]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        inspect_model(ModelSpec(path=str(images), shapes=shape))


def test_a_known_dimension_settles_others_of_its_name() -> None:
    inputs = [
        InputInfo(name="ids", dtype="tensor(int64)", shape=["n", "seq"]),
        InputInfo(name="mask", dtype="tensor(int64)", shape=["n", "seq"]),
    ]
    assert settle_shapes(inputs, {"ids": [1, 7]}) == {"ids": (1, 7), "mask": (1, 7)}


def test_unnamed_dimensions_are_not_taken_for_each_other() -> None:
    inputs = [
        InputInfo(name="a", dtype="tensor(float)", shape=["?", "?"]),
        InputInfo(name="b", dtype="tensor(float)", shape=["?", "?"]),
    ]
    with pytest.raises(ModelError, match="b 1x"):
        settle_shapes(inputs, {"a": [1, 7]})


def test_inputs_from_a_file_are_used_and_checked(mlp: Path, tmp_path: Path) -> None:
    good, wrong, other = (tmp_path / name for name in ("good.npz", "wrong.npz", "other.npz"))
    np.savez(good, x=np.ones((2, 256), np.float32))
    np.savez(wrong, x=np.ones((2, 256)))
    np.savez(other, z=np.ones((2, 256), np.float32))
    assert inspect_model(ModelSpec(path=str(mlp), input_file=str(good))).sample_shapes["x"][0] == 2
    with pytest.raises(UsageError, match="float64"):
        inspect_model(ModelSpec(path=str(mlp), input_file=str(wrong)))
    with pytest.raises(UsageError, match="lacks input 'x'"):
        inspect_model(ModelSpec(path=str(mlp), input_file=str(other)))


def test_an_input_file_with_code_in_it_is_refused(mlp: Path, tmp_path: Path) -> None:
    path = tmp_path / "pickled.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UsageError, match="plain arrays"):
        inspect_model(ModelSpec(path=str(mlp), input_file=str(path)))


def _saved(path: Path, node: onnx.NodeProto, opset: int = 17) -> Path:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph([node], "g", [x], [y])
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("my.ops", 1)]
    model = helper.make_model(graph, opset_imports=domains)
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return path


def test_each_way_of_being_unloadable_is_said_in_one_line(mlp: Path, tmp_path: Path) -> None:
    relu = helper.make_node("Relu", ["x"], ["y"])
    truncated = tmp_path / "truncated.onnx"
    truncated.write_bytes(mlp.read_bytes()[:5000])
    cases = {
        truncated: "truncated",
        _saved(tmp_path / "opset.onnx", relu, opset=999): "opset 999 is newer",
        _saved(tmp_path / "op.onnx", helper.make_node("Frob", ["x"], ["y"])): "no operator Frob",
        _saved(
            tmp_path / "custom.onnx", helper.make_node("Frob", ["x"], ["y"], domain="my.ops")
        ): "no operator my.ops:Frob",
    }
    for path, message in cases.items():
        with pytest.raises(ModelError, match=message) as raised:
            inspect_model(ModelSpec(path=str(path)))
        assert "\n" not in str(raised.value)


def test_session_options_carry_the_configuration() -> None:
    config = ServingConfig(
        replicas=2,
        intra_op_threads=3,
        inter_op_threads=2,
        execution_mode="parallel",
        spinning=False,
    )
    options = session_options(config.session_shape)
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 2
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.inter_op.allow_spinning") == "0"
