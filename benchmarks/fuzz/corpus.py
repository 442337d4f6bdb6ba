"""Small ONNX models of many operators, types, versions and ways to hold data, made here."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
EXTERNAL_FILE = "weights.bin"
"""Lies beside every model."""


def value(name: str, shape: Sequence[int | str] | None, kind: int = FLOAT) -> Any:
    """Return the declaration of a tensor."""
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name: str, values: Any, kind: Any = np.float32) -> Any:
    """Return an initializer."""
    return numpy_helper.from_array(np.asarray(values, dtype=kind), name)


def model(
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    constants: Sequence[Any] = (),
    opset: int = 17,
    functions: Sequence[Any] = (),
) -> ModelProto:
    """Return a model; `ai.onnx.ml` and the domain `own` may be used as well."""
    graph = helper.make_graph(list(nodes), "g", inputs, outputs, initializer=list(constants))
    domains = [helper.make_opsetid(*one) for one in (("", opset), ("ai.onnx.ml", 2), ("own", 1))]
    made = helper.make_model(graph, opset_imports=domains, functions=list(functions))
    made.ir_version = 8
    return made


def write_external(folder: Path) -> None:
    """Write the file that some models keep their weights in."""
    (folder / EXTERNAL_FILE).write_bytes(np.arange(64, dtype=np.float32).tobytes())


def models() -> list[bytes]:
    """Return the models, none of more than some kilobytes."""
    return [one.SerializeToString() for one in (*_plain(), *_typed(), *_controlled(), *_held())]


def _plain() -> Iterator[ModelProto]:
    node, x, y = helper.make_node, value("x", ["n", 4]), value("y", None)
    w = constant("w", np.ones((4, 4)))
    for opset in (7, 11, 13, 17, 21):
        yield model([node("MatMul", ["x", "w"], ["h"]), node("Relu", ["h"], ["y"])], [x], [y], [w],
                    opset)  # fmt: skip
    yield model([node("Gemm", ["x", "w", "b"], ["y"], alpha=0.5, transB=1)], [x], [y],
                [w, constant("b", [1, 2, 3, 4])])  # fmt: skip
    image, kernel = value("x", ["n", 3, 8, 8]), constant("w", np.ones((2, 3, 3, 3)))
    conv = node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2])
    for pool in ("GlobalAveragePool", "GlobalMaxPool", "Softmax", "Sigmoid"):
        yield model([conv, node(pool, ["c"], ["y"])], [image], [y], [kernel])
    yield model([node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2])], [image], [y])
    scales = constant("s", [1, 1, 2, 2])
    yield model([node("Resize", ["x", "", "s"], ["y"], mode="linear")], [image], [y], [scales])
    lstm = node("LSTM", ["x", "w", "r"], ["y", "h"], hidden_size=2)
    weights = [constant("w", np.ones((1, 8, 3))), constant("r", np.ones((1, 8, 2)))]
    yield model([lstm], [value("x", [5, 1, 3])], [y, value("h", None)], weights)
    normal = [constant("s", np.ones(4)), constant("b", np.zeros(4))]
    yield model([node("LayerNormalization", ["x", "s", "b"], ["y"])], [x], [y], normal)
    yield model([node("Einsum", ["x", "w"], ["y"], equation="ij,jk->ik")], [x], [y], [w])
    for reduce in ("ReduceMean", "ReduceL2", "ArgMax"):
        arguments = {"axis": 1} if reduce == "ArgMax" else {"axes": [1]}
        kind = INT64 if reduce == "ArgMax" else FLOAT
        yield model([node(reduce, ["x"], ["y"], **arguments)], [x], [value("y", None, kind)])
    k = constant("k", [2], np.int64)
    yield model([node("TopK", ["x", "k"], ["y", "i"])], [x], [y, value("i", None, INT64)], [k])
    many = [node("Add", ["x" if i == 0 else f"h{i}", "x"], [f"h{i + 1}"]) for i in range(50)]
    yield model(many, [x], [value("h50", None)])


def _typed() -> Iterator[ModelProto]:
    node = helper.make_node
    for kind in (TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.UINT8):
        x, y = value("x", ["n", 4], kind), value("y", None, kind)
        yield model([node("Add", ["x", "x"], ["y"])], [x], [y])
    text, shown = value("x", ["n"], TensorProto.STRING), value("y", None, TensorProto.STRING)
    yield model([node("Identity", ["x"], ["y"])], [text], [shown])
    yield model([node("Not", ["x"], ["y"])], [value("x", ["n", 2], BOOL)], [value("y", None, BOOL)])
    x, y = value("x", ["n", 4]), value("y", None)
    for kind in (TensorProto.INT8, TensorProto.FLOAT16, BOOL, TensorProto.BFLOAT16):
        cast = [node("Cast", ["x"], ["h"], to=kind), node("Cast", ["h"], ["y"], to=FLOAT)]
        yield model(cast, [x], [y])
    quantised = [
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    yield model(quantised, [x], [y])
    ids, table = value("x", ["n", 3], INT64), constant("t", np.ones((5, 2)))
    yield model([node("Gather", ["t", "x"], ["y"])], [ids], [y], [table])
    scalar = value("s", [])
    yield model([node("Mul", ["x", "s"], ["y"])], [value("x", [1, 4]), scalar], [y])
    held: dict[str, Any] = {"coefficients": [1.0] * 8, "intercepts": [0.0, 0.0]}
    held |= {"classlabels_ints": [0, 1], "multi_class": 0}
    linear = node("LinearClassifier", ["x"], ["l", "p"], domain="ai.onnx.ml", **held)
    zipped = node("ZipMap", ["p"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])
    floats = helper.make_tensor_type_proto(FLOAT, None)
    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(INT64, floats))
    outputs = [value("l", None, INT64), helper.make_value_info("y", maps)]
    yield model([linear, zipped], [x], outputs)


def _controlled() -> Iterator[ModelProto]:
    node, x, y = helper.make_node, value("x", ["n", 4]), value("y", None)
    true, five = constant("c", True, np.bool_), constant("m", 5, np.int64)
    branches = [
        helper.make_graph([node(op, ["x"], [op])], op, [], [value(op, None)])
        for op in ("Relu", "Tanh")
    ]
    either = node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
    yield model([either], [x], [y], [true])
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Relu", ["v"], ["u"])],
        "body",
        [value("i", [], INT64), value("go", [], BOOL), value("v", None)],
        [value("on", [], BOOL), value("u", None)],
    )
    yield model([node("Loop", ["m", "c", "x"], ["y"], body=body)], [x], [y], [true, five])
    step = helper.make_graph(
        [node("Add", ["a", "b"], ["s"]), node("Identity", ["s"], ["t"])],
        "step", [value("a", [4]), value("b", [4])], [value("s", [4]), value("t", [4])],
    )  # fmt: skip
    zero = constant("z", np.zeros(4))
    scan = node("Scan", ["z", "x"], ["last", "y"], body=step, num_scan_inputs=1)
    yield model([scan], [x], [value("last", None), y], [zero])
    twice = helper.make_function(
        "own", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    yield model([node("Twice", ["x"], ["y"], domain="own")], [x], [y], functions=[twice])
    sequence = [
        node("SplitToSequence", ["x"], ["q"], axis=1),
        node("ConcatFromSequence", ["q"], ["y"], axis=1),
    ]
    yield model(sequence, [x], [y])
    shape = constant("shape", [3, 2], np.int64)
    filled = [node("ConstantOfShape", ["shape"], ["k"]), node("MatMul", ["v", "k"], ["y"])]
    yield model(filled, [value("v", ["n", 3])], [y], [shape])


def _held() -> Iterator[ModelProto]:
    """Weights as numbers of every kind, sparse, in attributes, and in a file beside the model."""
    node, x, y = helper.make_node, value("x", ["n", 4]), value("y", None)
    add = [node("Add", ["x", "w"], ["y"])]
    yield model(add, [x], [y], [helper.make_tensor("w", FLOAT, [4], [1.0, 2.0, 3.0, 4.0])])
    held = helper.make_tensor("v", FLOAT, [4], [1.0, 2.0, 3.0, 4.0])
    yield model([node("Constant", [], ["w"], value=held), *add], [x], [y])
    sparse = helper.make_sparse_tensor(
        constant("w", [1.0]), numpy_helper.from_array(np.array([2], np.int64), "at"), [4]
    )
    with_sparse = model(add, [x], [y])
    with_sparse.graph.sparse_initializer.append(sparse)
    yield with_sparse
    for offset in ("0", "16", None):
        outside = TensorProto(name="w", data_type=FLOAT, dims=[4])
        outside.data_location = TensorProto.EXTERNAL
        entries = {"location": EXTERNAL_FILE, "offset": offset, "length": offset and "16"}
        for key, text in entries.items():
            if text is not None:
                outside.external_data.add(key=key, value=text)
        yield model(add, [x], [y], [outside])
