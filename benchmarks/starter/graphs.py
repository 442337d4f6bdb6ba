"""Small ONNX graphs of known architectures, put together layer by layer with random weights.

Channels come first, as in ONNX; `x` always has an open first axis.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8

Shape = Sequence[int | str]


class Graph:
    """A graph under construction. The same seed and the same calls give the same model."""

    def __init__(self, seed: int) -> None:
        """Begin without any node."""
        self._draw = np.random.default_rng(seed)
        self._nodes: list[NodeProto] = []
        self._tensors: list[TensorProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        return self.add_many(operator, inputs, 1, **attributes)[0]

    def add_many(
        self, operator: str, inputs: Sequence[str], outputs: int, **attributes: Any
    ) -> list[str]:
        """Add a node of several outputs; return their names."""
        names = [f"{operator}_{len(self._nodes)}_{place}" for place in range(outputs)]
        self._nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names

    def weight(self, *shape: int) -> str:
        """Draw weights whose products keep the size of what they are given (He et al. 2015)."""
        inputs = int(np.prod(shape[1:])) if len(shape) > 1 else 1
        scale = np.sqrt(2 / inputs) if len(shape) > 1 else 0.01
        return self.tensor((self._draw.standard_normal(shape) * scale).astype(np.float32))

    def tensor(self, values: npt.NDArray[Any]) -> str:
        """Keep an array."""
        name = f"tensor_{len(self._tensors)}"
        self._tensors.append(numpy_helper.from_array(values, name))
        return name

    def numbers(self, *values: int) -> str:
        """Keep a list of whole numbers: a shape, or axes."""
        return self.tensor(np.array(values, np.int64))

    def dense(self, x: str, inputs: int, outputs: int) -> str:
        """Multiply the last axis with weights and add a bias."""
        return self.add("Add", self.add("MatMul", x, self.weight(inputs, outputs)),
                        self.weight(outputs))  # fmt: skip

    def conv(self, x: str, channels: tuple[int, int], kernel: int = 3, **more: Any) -> str:
        """Convolve, of as many channels in to as many out, with the size of the image kept."""
        pad, group = kernel // 2, more.get("group", 1)
        weights = self.weight(channels[1], channels[0] // group, kernel, kernel)
        attributes = {"pads": [pad] * 4, "kernel_shape": [kernel] * 2, **more}
        return self.add("Conv", x, weights, self.weight(channels[1]), **attributes)

    def norm(self, x: str, size: int) -> str:
        """Normalise the last axis."""
        scale, bias = (self.tensor(np.full(size, one, np.float32)) for one in (1, 0))
        return self.add("LayerNormalization", x, scale, bias, axis=-1)

    def model(self, x: Shape, y: str) -> ModelProto:
        """Return the model from the floats `x` to the tensor `y`."""
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x))
        result = helper.make_empty_tensor_value_info(y)
        graph = helper.make_graph(self._nodes, "g", [given], [result], initializer=self._tensors)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 3)]
        model = helper.make_model(graph, opset_imports=opsets)
        model.ir_version = IR_VERSION
        return model


def plain_convolution(seed: int, pixels: int, widths: Sequence[int]) -> ModelProto:
    """Pairs of 3x3 convolutions, halved after each (Simonyan and Zisserman 2015, VGG)."""
    net, h, before = Graph(seed), "x", 3
    for width in widths:
        for _ in range(2):
            h = net.add("Relu", net.conv(h, (before, width)))
            before = width
        h = net.add("MaxPool", h, kernel_shape=[2, 2], strides=[2, 2])
    h = net.add("Flatten", net.add("GlobalAveragePool", h))
    return net.model(["batch", 3, pixels, pixels], net.dense(h, before, 100))


def residual(seed: int, pixels: int, widths: Sequence[int]) -> ModelProto:
    """Two blocks of each width that are added to what they are given (He et al. 2016, ResNet)."""
    net, before = Graph(seed), widths[0]
    h = net.add("Relu", net.conv("x", (3, before), 7, strides=[2, 2]))
    for stage, width in enumerate(widths):
        for block in range(2):
            strides = [2, 2] if stage and not block else [1, 1]
            inner = net.add("Relu", net.conv(h, (before, width), strides=strides))
            inner = net.conv(inner, (width, width))
            if before != width:
                h = net.conv(h, (before, width), 1, strides=strides)
            h, before = net.add("Relu", net.add("Add", h, inner)), width
    h = net.add("Flatten", net.add("GlobalAveragePool", h))
    return net.model(["batch", 3, pixels, pixels], net.dense(h, before, 100))


def depthwise(seed: int, pixels: int, width: int, blocks: int) -> ModelProto:
    """Widened, convolved channel by channel, narrowed (Sandler et al. 2018, MobileNetV2)."""
    net = Graph(seed)
    h, before = net.conv("x", (3, width), strides=[2, 2]), width
    bounds = [net.tensor(np.array(bound, np.float32)) for bound in (0, 6)]
    for block in range(blocks):
        after, wide = width * (1 + block // 3), 4 * before
        strides = [2, 2] if block % 3 == 2 else [1, 1]
        inner = net.add("Clip", net.conv(h, (before, wide), 1), *bounds)
        inner = net.conv(inner, (wide, wide), strides=strides, group=wide)
        inner = net.conv(net.add("Clip", inner, *bounds), (wide, after), 1)
        h = net.add("Add", h, inner) if (after, strides[0]) == (before, 1) else inner
        before = after
    h = net.add("Flatten", net.add("GlobalAveragePool", h))
    return net.model(["batch", 3, pixels, pixels], net.dense(h, before, 100))


def branches(seed: int, pixels: int, width: int, blocks: int) -> ModelProto:
    """Four branches side by side that are joined again (Szegedy et al. 2015, Inception)."""
    net = Graph(seed)
    h, before = net.add("Relu", net.conv("x", (3, width), strides=[2, 2])), width
    for block in range(blocks):
        ways = [
            net.conv(h, (before, width), 1),
            net.conv(net.add("Relu", net.conv(h, (before, width), 1)), (width, width)),
            net.conv(net.add("Relu", net.conv(h, (before, width), 1)), (width, width), 5),
            net.conv(
                net.add("AveragePool", h, kernel_shape=[3, 3], pads=[1] * 4), (before, width), 1
            ),
        ]
        h, before = net.add("Relu", net.add("Concat", *ways, axis=1)), 4 * width
        if block % 2:
            h = net.add("MaxPool", h, kernel_shape=[2, 2], strides=[2, 2])
    h = net.add("Flatten", net.add("GlobalAveragePool", h))
    return net.model(["batch", 3, pixels, pixels], net.dense(h, before, 100))


def transformer(seed: int, hidden: int, layers: int) -> ModelProto:
    """An encoder of open length, normalised before each part (Vaswani et al. 2017)."""
    net, h, heads = Graph(seed), "x", hidden // 32
    split, joined = net.numbers(0, 0, heads, 32), net.numbers(0, 0, hidden)
    scale = net.tensor(np.array(1 / np.sqrt(32), np.float32))
    for _ in range(layers):
        normal = net.norm(h, hidden)
        query, key, value = (
            net.add("Transpose", net.add("Reshape", net.dense(normal, hidden, hidden), split),
                    perm=perm)
            for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
        )  # fmt: skip
        weights = net.add("Softmax", net.add("Mul", net.add("MatMul", query, key), scale), axis=-1)
        mixed = net.add("Transpose", net.add("MatMul", weights, value), perm=[0, 2, 1, 3])
        h = net.add("Add", h, net.dense(net.add("Reshape", mixed, joined), hidden, hidden))
        wide = net.dense(net.norm(h, hidden), hidden, 4 * hidden)
        # GELU as exporters write it before opset 20.
        root, half, one = (net.tensor(np.array(n, np.float32)) for n in (np.sqrt(2), 0.5, 1))
        error = net.add("Add", net.add("Erf", net.add("Div", wide, root)), one)
        wide = net.add("Mul", net.add("Mul", wide, error), half)
        h = net.add("Add", h, net.dense(wide, 4 * hidden, hidden))
    pooled = net.add("ReduceMean", net.norm(h, hidden), axes=[1], keepdims=0)
    return net.model(["batch", "length", hidden], net.dense(pooled, hidden, 100))


def recurrent(seed: int, kind: str, hidden: int, layers: int) -> ModelProto:
    """Layers of LSTM or GRU over an open number of steps; the last state is classified."""
    net, gates = Graph(seed), {"LSTM": 4, "GRU": 3}[kind]
    h = net.add("Transpose", "x", perm=[1, 0, 2])
    size = inputs = hidden // 2
    for _ in range(layers):
        weights = net.weight(1, gates * hidden, size), net.weight(1, gates * hidden, hidden)
        states = net.add(kind, h, *weights, hidden_size=hidden)
        h = net.add("Squeeze", states, net.numbers(1))
        size = hidden
    last = net.add("Gather", h, net.tensor(np.array(-1, np.int64)), axis=0)
    return net.model(["batch", "steps", inputs], net.dense(last, hidden, 100))


def perceptron(seed: int, width: int, layers: int) -> ModelProto:
    """Products and activations one after the other."""
    net, h = Graph(seed), "x"
    for _ in range(layers):
        h = net.add("Relu", net.dense(h, width, width))
    return net.model(["batch", width], net.dense(h, width, 100))


def trees(seed: int, count: int, depth: int, features: int = 32) -> ModelProto:
    """Full binary trees that vote for one of ten classes (Breiman 2001, random forest)."""
    draw, classes = np.random.default_rng(seed), 10
    inner, leaves = 2**depth - 1, 2**depth
    each = inner + leaves
    numbers, is_leaf = np.arange(each), np.arange(each) >= inner

    def of_all(of_one: npt.NDArray[Any]) -> list[int]:
        children: list[int] = np.tile(np.where(is_leaf, 0, of_one), count).tolist()
        return children

    total = count * each
    modes = np.tile(np.where(is_leaf, "LEAF", "BRANCH_LEQ"), count)
    net = Graph(seed)
    _, scores = net.add_many(
        "TreeEnsembleClassifier",
        ["x"],
        2,
        domain="ai.onnx.ml",
        nodes_treeids=np.repeat(np.arange(count), each).tolist(),
        nodes_nodeids=np.tile(numbers, count).tolist(),
        nodes_featureids=draw.integers(0, features, total).tolist(),
        nodes_values=draw.standard_normal(total).astype(np.float32).tolist(),
        nodes_modes=modes.tolist(),
        nodes_truenodeids=of_all(2 * numbers + 1),
        nodes_falsenodeids=of_all(2 * numbers + 2),
        class_treeids=np.repeat(np.arange(count), leaves).tolist(),
        class_nodeids=np.tile(numbers[is_leaf], count).tolist(),
        class_ids=draw.integers(0, classes, count * leaves).tolist(),
        class_weights=[1 / count] * (count * leaves),
        classlabels_int64s=list(range(classes)),
        post_transform="NONE",
    )
    return net.model(["batch", features], scores)
