"""The graph's hash, and what else is read without loading a model."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import save, value, weights
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from autotune.models import onnx_graph
from autotune.models.onnx_graph import Graph, read_graph
from autotune.models.onnx_wire import DamagedError, TooIntricateError

Change = Callable[[ModelProto], None]


def graph_of(model: ModelProto, path: Path) -> Graph:
    path.write_bytes(model.SerializeToString())
    found = read_graph(path)
    assert found is not None
    return found


def small() -> ModelProto:
    """A reshape, a product, an activation with an attribute, a constant."""
    nodes = [
        helper.make_node("Reshape", ["x", "to"], ["flat"], name="one"),
        helper.make_node("MatMul", ["flat", "w"], ["h"], name="two"),
        helper.make_node("LeakyRelu", ["h"], ["r"], alpha=0.1),
        helper.make_node("Constant", [], ["c"], value=weights("c", 4)),
        helper.make_node("Add", ["r", "c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", ["n", 2, 4])],
        [value("y", ["n", 4])],
        [weights("w", 8, 4), numpy_helper.from_array(np.array([-1, 8]), "to")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def new_weights(model: ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(weights("w", 8, 4))
    model.graph.node[3].attribute[0].t.CopyFrom(weights("c", 4))


def weights_as_numbers(model: ModelProto) -> None:
    values = np.arange(32, dtype=np.float32)
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [8, 4], values)
    model.graph.initializer[0].CopyFrom(tensor)


def shape_as_numbers(model: ModelProto) -> None:
    tensor = helper.make_tensor("to", TensorProto.INT64, [2], [-1, 8])
    model.graph.initializer[1].CopyFrom(tensor)


def kept_elsewhere(model: ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")


def exported_anew(model: ModelProto) -> None:
    model.producer_name, model.producer_version = "another", "9.9"
    model.model_version, model.domain, model.doc_string = 7, "org", "text"
    model.metadata_props.add(key="date", value="today")
    model.graph.name, model.graph.doc_string = "f3a1c2", "text"
    model.graph.node[0].name, model.graph.node[0].doc_string = "label", "text"
    model.graph.input[0].doc_string = "text"


def other_order(model: ModelProto) -> None:
    tensors = [copy.deepcopy(tensor) for tensor in model.graph.initializer]
    del model.graph.initializer[:]
    model.graph.initializer.extend(reversed(tensors))


def shapes_inferred(model: ModelProto) -> None:
    model.graph.CopyFrom(onnx.shape_inference.infer_shapes(model).graph)
    assert model.graph.value_info


@pytest.mark.parametrize(
    "change",
    [
        new_weights,
        weights_as_numbers,
        shape_as_numbers,
        kept_elsewhere,
        exported_anew,
        other_order,
        shapes_inferred,
    ],
)
def test_a_new_version_has_the_same_graph(tmp_path: Path, change: Change) -> None:
    before = graph_of(small(), tmp_path / "a.onnx")
    model = small()
    change(model)
    assert graph_of(model, tmp_path / "b.onnx") == before


def other_operator(model: ModelProto) -> None:
    model.graph.node[4].op_type = "Sub"


def other_domain(model: ModelProto) -> None:
    model.graph.node[4].domain = "com.example"


def other_attribute(model: ModelProto) -> None:
    model.graph.node[2].attribute[0].f = 0.2


def other_wiring(model: ModelProto) -> None:
    model.graph.node[4].input[1] = "h"


def other_size(model: ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(weights("w", 4, 8))


def other_type(model: ModelProto) -> None:
    model.graph.initializer[0].CopyFrom(weights("w", 8, 4, dtype=np.float16))


def other_target(model: ModelProto) -> None:
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.array([-1, 4]), "to"))


def negative_target(model: ModelProto) -> None:
    tensor = helper.make_tensor("to", TensorProto.INT64, [2], [8, -1])
    model.graph.initializer[1].CopyFrom(tensor)


def other_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 18


def other_input(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3


def one_more(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Relu", ["y"], ["z"]))


@pytest.mark.parametrize(
    "change",
    [
        other_operator,
        other_domain,
        other_attribute,
        other_wiring,
        other_size,
        other_type,
        other_target,
        negative_target,
        other_opset,
        other_input,
        one_more,
    ],
)
def test_another_model_has_another_graph(tmp_path: Path, change: Change) -> None:
    model = small()
    change(model)
    other = graph_of(model, tmp_path / "b.onnx").sha256
    assert other != graph_of(small(), tmp_path / "a.onnx").sha256


def test_operators_weights_and_depth(tmp_path: Path) -> None:
    found = graph_of(small(), tmp_path / "m.onnx")
    assert found.operators == {"Add": 1, "LeakyRelu": 1, "MatMul": 1, "Reshape": 1}
    assert found.depth == 4
    assert (found.weight_bytes, found.dtype) == (4 * (8 * 4 + 4), "float32")


def trees(values: Sequence[float], children: Sequence[int]) -> ModelProto:
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        nodes_values=values,
        nodes_truenodeids=children,
    )
    graph = helper.make_graph([node], "g", [value("x", ["n", 2])], [value("y", ["n", 1])])
    return helper.make_model(graph)


def test_trees_keep_their_weights_in_attributes(tmp_path: Path) -> None:
    first = graph_of(trees([0.5, 1.5], [1, 0]), tmp_path / "a.onnx")
    assert graph_of(trees([0.7, 2.5], [1, 0]), tmp_path / "b.onnx") == first
    assert (first.weight_bytes, first.dtype) == (8, "float32")
    assert graph_of(trees([0.5, 1.5], [0, 1]), tmp_path / "c.onnx").sha256 != first.sha256
    assert graph_of(trees([0.5, 1.5, 1], [1, 0]), tmp_path / "d.onnx").sha256 != first.sha256


def branch(name: str, operators: Sequence[str]) -> onnx.GraphProto:
    names = ["h", *(f"{name}{place}" for place in range(len(operators)))]
    nodes = [
        helper.make_node(operator, [before], [after])
        for operator, before, after in zip(operators, names, names[1:], strict=False)
    ]
    return helper.make_graph(nodes, name, [], [value(names[-1], ["n"])])


def chosen(then: Sequence[str]) -> ModelProto:
    """`If`, whose longer branch takes `h` from around it."""
    branches = [branch("then", then), branch("else", ["Abs"])]
    nodes = [
        helper.make_node("Relu", ["x"], ["g"]),
        helper.make_node("Exp", ["g"], ["h"]),
        helper.make_node("If", ["c"], ["i"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Neg", ["i"], ["y"]),
    ]
    inputs = [value("x", ["n"]), value("c", [], TensorProto.BOOL)]
    return helper.make_model(helper.make_graph(nodes, "g", inputs, [value("y", ["n"])]))


def test_a_branch_is_part_of_the_graph(tmp_path: Path) -> None:
    found = graph_of(chosen(["Sqrt", "Tanh", "Sin"]), tmp_path / "a.onnx")
    assert found.operators["If"] == found.operators["Sin"] == found.operators["Abs"] == 1
    # Relu, Exp, If, its three nodes, Neg.
    assert found.depth == 7
    assert graph_of(chosen(["Sqrt", "Tanh", "Cos"]), tmp_path / "b.onnx").sha256 != found.sha256


@given(st.lists(st.sets(st.integers(0, 11), max_size=3), min_size=1, max_size=12))
def test_the_depth_is_that_of_the_longest_path(edges: list[set[int]]) -> None:
    """Node `i` takes the results of those named before it, and else the input."""
    before = [sorted(one for one in names if one < place) for place, names in enumerate(edges)]
    nodes = [
        helper.make_node("Sum", [f"h{one}" for one in names] or ["x"], [f"h{place}"])
        for place, names in enumerate(before)
    ]
    longest: list[int] = []
    for names in before:
        longest.append(1 + max((longest[one] for one in names), default=0))
    model = helper.make_model(helper.make_graph(nodes, "g", [], []))
    assert read(model.SerializeToString()).depth == max(longest)


def read(data: bytes) -> Graph:
    return onnx_graph.graph_in(memoryview(data))


@given(
    st.integers(0, 10_000),
    st.binary(max_size=12),
    st.booleans(),
)
def test_what_is_damaged_is_told_in_no_other_way(place: int, junk: bytes, insert: bool) -> None:
    data = small().SerializeToString()
    at = place % len(data)
    mutated = data[:at] + junk + data[at + (0 if insert else len(junk)) :]
    try:
        found = read(mutated)
    except (DamagedError, TooIntricateError):
        return
    assert len(found.sha256) == 64
    assert found.depth <= sum(found.operators.values())


def length(data: bytes) -> bytes:
    return bytes([len(data) & 0x7F | 0x80, len(data) >> 7])


def test_too_many_parts_and_too_deep_ones_are_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = b""
    for _ in range(40):
        for number in (6, 5, 1):  # an attribute's graph, a node's attribute, a graph's node
            graph = bytes([number << 3 | 2]) + length(graph) + graph
    with pytest.raises(TooIntricateError):
        read(b"\x3a" + length(graph) + graph)
    path = tmp_path / "m.onnx"
    path.write_bytes(small().SerializeToString())
    assert read_graph(path) is not None
    monkeypatch.setattr(onnx_graph, "_MOST_FIELDS", 10)
    with pytest.raises(TooIntricateError):
        read_graph(path)


def test_files_of_the_runtimes_own_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "m.ort"
    path.write_bytes(b"\x20\0\0\0ORTM" + bytes(24))
    assert read_graph(path) is None
    path.write_bytes(b"\x0a\xff")
    with pytest.raises(DamagedError):
        read_graph(path)


def test_a_quantised_model_is_of_its_weights_type(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    path = save(
        tmp_path / "q.onnx",
        nodes,
        [value("x", ["n", 8])],
        [value("y", ["n", 4])],
        [
            numpy_helper.from_array(np.ones((8, 4), np.int8), "q"),
            numpy_helper.from_array(np.array(0.1, np.float32), "s"),
            numpy_helper.from_array(np.array(0, np.int8), "z"),
        ],
    )
    found = read_graph(path)
    assert found is not None
    assert (found.weight_bytes, found.dtype) == (32 + 4 + 1, "int8")
