from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from autotune.engine.source import Tensors
from autotune.errors import ModelError, UsageError
from autotune.models.inspect_model import inspect_model
from autotune.models.onnx_model import session_options
from autotune.models.sample_inputs import make_request_mix, make_samples, settle_shapes
from autotune.records import InputInfo
from autotune.spec import ModelSpec, RequestKind, ServingConfig


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


def test_a_models_own_request_settles_what_is_open_unless_a_shape_is_given() -> None:
    inputs = [
        InputInfo(name="ids", dtype="tensor(int64)", shape=["n", "seq"]),
        InputInfo(name="x", dtype="tensor(float)", shape=["n", "?"]),
    ]
    own: Tensors = {
        "ids": np.ones((2, 7), np.int64),
        "x": np.arange(10, dtype=np.float32).reshape(2, 5),
    }
    assert settle_shapes(inputs, {}, own=own) == {"ids": (2, 7), "x": (2, 5)}
    assert settle_shapes(inputs, {"ids": [2, 9]}, own=own) == {"ids": (2, 9), "x": (2, 5)}
    samples = make_samples(inputs, ModelSpec(path="any"), own)
    assert samples[0] is own
    for other in samples[1:]:
        assert (other["ids"] == own["ids"]).all()
        assert sorted(other["x"].ravel()) == sorted(own["x"].ravel())
        assert (other["x"] != own["x"]).any()


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


def sizes(*pixels: int) -> list[RequestKind]:
    return [
        RequestKind(
            weight=1 / len(pixels), shapes={"x": [1, 3, size, size]}, origin=f"line {size}:"
        )
        for size in pixels
    ]


def test_a_mix_holds_samples_of_every_kind_and_their_weights(tmp_path: Path) -> None:
    inputs = [InputInfo(name="x", dtype="tensor(float)", shape=["n", 3, "h", "w"])]
    np.savez(tmp_path / "a.npz", x=np.ones((1, 3, 5, 5), np.float32))
    file = RequestKind(weight=1 / 3, input_file=str(tmp_path / "a.npz"), origin="line 9:")
    spec = ModelSpec(path="any", requests=[*sizes(8, 16, 32)[:2], file])
    mix = make_request_mix(inputs, spec)
    assert mix.weights == [1 / 3, 1 / 3, 1 / 3]
    for kind, size in enumerate((8, 16, 5)):
        assert {one["x"].shape for one in mix.of_kind(kind)} == {(1, 3, size, size)}
    assert len(mix.samples) == len(mix.kinds) == 4 + 4 + 1
    assert len(make_samples(inputs, spec)) == 9


def test_a_mix_is_run_kind_by_kind_and_named_in_words(images: Path) -> None:
    requests = sizes(9, 20)
    info = inspect_model(ModelSpec(path=str(images), requests=requests))
    assert info.batchable
    assert info.sample_shapes == {"x": [1, 3, 9, 9]}
    assert info.sample_source == "50 % x 1x3x9x9; 50 % x 1x3x20x20; generated, seed 0"


def test_a_kind_that_cannot_be_run_is_named_by_its_line(
    images: Path, mlp: Path, tmp_path: Path
) -> None:
    wrong = RequestKind(weight=0.5, shapes={"x": [1, 4, 8, 8]}, origin="mix.csv: line 3:")
    with pytest.raises(UsageError, match=r"^mix.csv: line 3: x=1x4x8x8: the model wants"):
        inspect_model(ModelSpec(path=str(images), requests=[*sizes(8), wrong]))
    other = RequestKind(weight=0.5, shapes={"y": [1]}, origin="mix.csv: line 3:")
    with pytest.raises(UsageError, match=r"^mix.csv: line 3: y=...: the model has no input 'y'"):
        inspect_model(ModelSpec(path=str(images), requests=[*sizes(8), other]))
    part = RequestKind(weight=0.5, shapes={}, origin="mix.csv: line 3:")
    with pytest.raises(ModelError, match=r"^mix.csv: line 3: the model leaves .* x=1x3x224x224$"):
        inspect_model(ModelSpec(path=str(images), requests=[*sizes(8), part]))
    np.savez(tmp_path / "a.npz", x=np.ones((1, 256)))
    file = RequestKind(weight=1, input_file=str(tmp_path / "a.npz"), origin="mix.csv: line 2:")
    with pytest.raises(UsageError, match=r"^mix.csv: line 2: .*a.npz: 'x' is float64"):
        inspect_model(ModelSpec(path=str(mlp), requests=[file]))


def test_a_kind_on_which_the_model_fails_is_named_by_its_line(folder: Path) -> None:
    two_rows = numpy_helper.from_array(np.ones((2, 4), np.float32), "two_rows")
    node = helper.make_node("Add", ["x", "two_rows"], ["y"])
    narrow = _saved(folder / "narrow.onnx", node, constants=[two_rows])
    kinds = [
        RequestKind(weight=0.5, shapes={"x": [n, 4]}, origin=f"mix.csv: line {n}:") for n in (2, 3)
    ]
    with pytest.raises(ModelError, match=r"^mix.csv: line 3: .*narrow.onnx: fails on its sample"):
        inspect_model(ModelSpec(path=str(narrow), requests=kinds))


def test_an_input_file_with_code_in_it_is_refused(mlp: Path, tmp_path: Path) -> None:
    path = tmp_path / "pickled.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UsageError, match="plain arrays"):
        inspect_model(ModelSpec(path=str(mlp), input_file=str(path)))


def _saved(
    path: Path,
    node: onnx.NodeProto,
    opset: int = 17,
    constants: Sequence[onnx.TensorProto] = (),
) -> Path:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph([node], "g", [x], [y], initializer=list(constants))
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
