"""Traits of ONNX models of many kinds, found while they are inspected."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from conftest import save, value, weights
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from autotune.models import onnx_graph, onnx_work
from autotune.models.inspect_model import inspect_model
from autotune.models.loading import open_replica
from autotune.models.onnx_work import flops_of, work_of
from autotune.models.sample_inputs import make_samples
from autotune.models.traits import Effort, model_traits
from autotune.spec import ModelSpec, runtime_default
from autotune.traits import ModelTraits

CHEAP = Effort(load_s=0.01, run_s=0.001, footprint_bytes=1 << 20)


def inspected(path: Path, **shapes: list[int]) -> ModelTraits:
    return inspect_model(ModelSpec(path=str(path), shapes=shapes)).traits


def traits_of(path: Path, effort: Effort = CHEAP, **shapes: list[int]) -> ModelTraits:
    """Likewise, without what inspecting finds beside."""
    spec, shape = ModelSpec(path=str(path), shapes=shapes), runtime_default("cpu").session_shape
    loaded = open_replica(spec, shape)
    request = make_samples(loaded.inputs, spec, None)[0]
    return model_traits(spec, loaded, shape, request, effort)


def test_a_perceptron(mlp: Path) -> None:
    found = inspected(mlp)
    assert found.operators == {"MatMul": 2, "Relu": 1}
    assert found.work == {"MatMul": 2 * 2 * 256 * 4096, "Relu": 4096}
    assert found.flops == sum(found.work.values())
    assert found.weight_bytes == 4 * 2 * 256 * 4096
    assert found.activation_bytes == 4 * (4096 + 4096 + 256)
    assert (found.nodes, found.depth, found.dtype) == (3, 3, "float32")
    assert (found.batch_axes, found.open_axes) == (1, 0)


def test_images_of_open_size(images: Path) -> None:
    small = inspected(images, x=[1, 3, 20, 30])
    assert small.work == {"Conv": 2 * 8 * 20 * 30 * 27, "GlobalAveragePool": 8 * 20 * 30}
    assert (small.batch_axes, small.open_axes) == (1, 2)
    large = inspected(images, x=[1, 3, 40, 30])
    assert large.work["Conv"] == 2 * small.work["Conv"]
    assert large.graph_sha256 == small.graph_sha256


def test_a_state_and_a_scalar(stateful: Path) -> None:
    found = inspected(stateful)
    assert found.operators == {"Add": 1, "MatMul": 1, "Mul": 1, "Tanh": 1}
    # What the runtime fuses is one node to it.
    assert found.flops >= 2 * 64 * 64
    assert (found.depth, found.batch_axes, found.open_axes) == (4, 0, 0)


def layer(
    path: Path, node: onnx.NodeProto, sizes: Mapping[str, tuple[Sequence[Any], int]],
    tensors: Sequence[Any] = (), opset: int = 17,
) -> Path:  # fmt: skip
    inputs = [value(name, shape, kind) for name, (shape, kind) in sizes.items()]
    output = onnx.helper.make_empty_tensor_value_info(node.output[0])
    return save(path, [node], inputs, [output], tensors, opset)


FLOAT = TensorProto.FLOAT


@pytest.mark.parametrize(
    ("name", "directions", "gates"), [("LSTM", 1, 4), ("GRU", 2, 3), ("RNN", 1, 1)]
)
def test_recurrent_layers(tmp_path: Path, name: str, directions: int, gates: int) -> None:
    node = helper.make_node(
        name,
        ["x", "w", "r"],
        ["y"],
        hidden_size=6,
        direction="bidirectional" if directions == 2 else "forward",
    )
    path = layer(
        tmp_path / "m.onnx",
        node,
        {"x": (["steps", "batch", 5], FLOAT)},
        [weights("w", directions, gates * 6, 5), weights("r", directions, gates * 6, 6)],
    )
    found = traits_of(path, x=[7, 1, 5])
    assert found.work == {name: 2 * 7 * directions * gates * 6 * (5 + 6)}
    assert (found.batch_axes, found.open_axes) == (1, 1)


def test_convolutions_of_all_sorts(tmp_path: Path) -> None:
    back = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    image = {"x": (["n", 4, 5, 5], FLOAT)}
    path = layer(tmp_path / "back.onnx", back, image, [weights("w", 4, 3, 2, 2)])
    assert traits_of(path).work == {"ConvTranspose": 2 * 4 * 5 * 5 * 3 * 2 * 2}
    grouped = helper.make_node("Conv", ["x", "w"], ["y"], group=4, pads=[1, 1, 1, 1])
    path = layer(tmp_path / "grouped.onnx", grouped, image, [weights("w", 8, 1, 3, 3)])
    assert traits_of(path).work == {"Conv": 2 * 8 * 5 * 5 * 9}
    old = layer(tmp_path / "old.onnx", grouped, image, [weights("w", 8, 1, 3, 3)], opset=7)
    assert traits_of(old).work == traits_of(path).work
    assert traits_of(old).graph_sha256 != traits_of(path).graph_sha256


def test_transposed_factors(tmp_path: Path) -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], transA=1, transB=1)
    path = layer(tmp_path / "m.onnx", node, {"x": ([6, 3], FLOAT)}, [weights("w", 5, 6)])
    assert traits_of(path).work == {"Gemm": 2 * 3 * 5 * 6}


def test_attention(tmp_path: Path) -> None:
    node = helper.make_node("Attention", ["q", "k", "v"], ["y"])
    sizes = {
        "q": (["n", 2, 5, 8], FLOAT),
        "k": (["n", 2, 7, 8], FLOAT),
        "v": (["n", 2, 7, 8], FLOAT),
    }
    found = traits_of(layer(tmp_path / "m.onnx", node, sizes, opset=23))
    assert found.flops >= 4 * 2 * 5 * 7 * 8


def test_quantised_products(tmp_path: Path) -> None:
    scale = numpy_helper.from_array(np.array(0.1, np.float32), "s")
    zero = numpy_helper.from_array(np.array(0, np.uint8), "z")
    factor = numpy_helper.from_array(np.ones((6, 4), np.uint8), "w")
    node = helper.make_node("QLinearMatMul", ["x", "s", "z", "w", "s", "z", "s", "z"], ["y"])
    sizes = {"x": (["n", 6], TensorProto.UINT8)}
    found = traits_of(layer(tmp_path / "m.onnx", node, sizes, [scale, zero, factor]))
    assert found.work == {"QLinearMatMul": 2 * 6 * 4}
    assert found.dtype == "uint8"
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    assert traits_of(layer(tmp_path / "i.onnx", node, sizes, [factor])).work == {
        "MatMulInteger": 2 * 6 * 4
    }


def test_half_precision(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    sizes = {"x": (["n", 6], TensorProto.FLOAT16)}
    half = weights("w", 6, 4, dtype=np.float16)
    found = inspected(layer(tmp_path / "m.onnx", node, sizes, [half]))
    assert found.work["MatMul"] == 2 * 6 * 4
    assert (found.weight_bytes, found.dtype) == (2 * 6 * 4, "float16")


def looped(path: Path) -> Path:
    """`y` = tanh, five times, of `x`."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["more"]),
            helper.make_node("Tanh", ["before"], ["after"]),
        ],
        "body",
        [
            value("i", [], TensorProto.INT64),
            value("on", [], TensorProto.BOOL),
            value("before", ["n", 3]),
        ],
        [value("more", [], TensorProto.BOOL), value("after", ["n", 3])],
    )
    return save(
        path,
        [helper.make_node("Loop", ["times", "", "x"], ["y"], body=body)],
        [value("x", ["n", 3])],
        [value("y", ["n", 3])],
        [numpy_helper.from_array(np.array(5), "times")],
    )


def test_a_loop_works_as_often_as_it_runs(tmp_path: Path) -> None:
    path = looped(tmp_path / "m.onnx")
    found = inspected(path)
    assert found.operators == {"Identity": 1, "Loop": 1, "Tanh": 1}
    assert found.work["Tanh"] == 5 * 3
    assert "Loop" not in found.work
    slow = traits_of(path, CHEAP._replace(run_s=1.0))
    assert (slow.work, slow.depth) == ({}, found.depth)


def test_tensors_in_another_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    layer(path, node, {"x": (["n", 60], FLOAT)}, [weights("w", 60, 40)])
    inside = traits_of(path)
    onnx.save(onnx.load(path), path, save_as_external_data=True, size_threshold=0, location="w")
    assert (tmp_path / "w").stat().st_size >= 4 * 60 * 40
    assert traits_of(path) == inside


def test_a_model_of_the_runtimes_own_has_no_hash(tmp_path: Path, images: Path) -> None:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "m.ort")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    ort.InferenceSession(str(images), options, providers=["CPUExecutionProvider"])
    found = inspected(tmp_path / "m.ort", x=[1, 3, 8, 8])
    assert (found.graph_sha256, found.weight_bytes, found.depth) == (None, None, 0)
    assert found.operators == {"Conv": 1, "GlobalAveragePool": 1}
    assert found.work["Conv"] == 2 * 8 * 8 * 8 * 27


@pytest.mark.parametrize(
    "effort",
    [
        CHEAP._replace(load_s=6.0),
        CHEAP._replace(run_s=6.0),
        CHEAP._replace(footprint_bytes=1 << 60),
    ],
)
def test_a_model_that_is_a_burden_is_not_loaded_again(mlp: Path, effort: Effort) -> None:
    found, whole = traits_of(mlp, effort), traits_of(mlp)
    assert (found.work, found.activation_bytes) == ({}, None)
    assert (found.operators, found.depth) == (whole.operators, whole.depth)
    assert found.graph_sha256 == whole.graph_sha256


@pytest.mark.parametrize("name", ['a "name" \\ of \n some', "\u202e\x1b[31m"])
def test_names_that_break_out_do_no_harm(tmp_path: Path, name: str) -> None:
    node = helper.make_node("Relu", ["x"], ["y"], name=name)
    found = inspected(layer(tmp_path / "m.onnx", node, {"x": (["n", 6], FLOAT)}))
    assert (found.operators, found.depth, found.work) == ({"Relu": 1}, 1, {"Relu": 6})


def test_what_fails_leaves_out_what_it_would_have_told(
    mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = inspected(mlp)

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(onnx_work, "measure_work", fail)
    without = inspected(mlp)
    assert (without.work, without.graph_sha256) == ({}, whole.graph_sha256)
    monkeypatch.setattr(onnx_graph, "read_graph", fail)
    assert inspected(mlp) == ModelTraits(batch_axes=1)


SIZES = st.lists(st.integers(1, 6), min_size=4, max_size=4)


@given(SIZES)
def test_an_einsum_is_the_product_that_it_spells(sizes: list[int]) -> None:
    batch, rows, inner, columns = sizes
    left, right = [batch, 2, rows, inner], [batch, 2, inner, columns]
    output = [batch, 2, rows, columns]
    product = flops_of("MatMul", [left, right], [output])
    assert product == 2 * batch * 2 * rows * inner * columns
    # bhij,bhjk->bhik; alike sizes beyond the batch's are taken for more of it.
    if len({rows, inner, columns}) == 3:
        assert flops_of("Einsum", [left, right], [output]) == pytest.approx(product)


@given(st.sampled_from(["MatMul", "Conv", "LSTM", "Attention", "QLinearConv", "Any", "ReduceSum"]),
       st.lists(st.lists(st.integers(0, 4), max_size=4), max_size=4),
       st.lists(st.lists(st.integers(0, 4), max_size=4), max_size=2))  # fmt: skip
def test_any_shapes_have_a_count(
    name: str, inputs: list[list[int]], outputs: list[list[int]]
) -> None:
    assert flops_of(name, inputs, outputs) >= 0


@pytest.mark.parametrize(
    "events", [{"a": 1}, [[1]], [{"cat": "Node", "name": "x_kernel_time", "args": {}}], 3]
)
def test_what_is_no_profile_is_told(events: Any) -> None:
    with pytest.raises(ValueError, match="no profile"):
        work_of(events)
