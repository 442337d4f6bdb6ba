"""What an ONNX model's graph is made of, whatever the values of its weights.

Two versions of a model have the same graph: the hash leaves out values of weights, labels, and who
exported it when. Read from the wire format; numbers of fields: onnx.proto3.
"""

import hashlib
import math
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from autotune.models.onnx_wire import (
    BYTES,
    RUN,
    VARINT,
    DamagedError,
    Field,
    TooIntricateError,
    fields,
    mapped,
    varints,
)
from autotune.tabular import printable

Message = Literal[
    "model", "training", "graph", "function", "node", "attribute", "sparse", "tensor", "value"
]

_INNER: dict[Message, dict[int, Message]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_LEFT_OUT: dict[Message, frozenset[int]] = {
    # Versions of format and producer, domain, version of the model, text, metadata.
    "model": frozenset({1, 2, 3, 4, 5, 6, 14}),
    # Some exporters draw a graph's name. Shapes within follow from the rest.
    "graph": frozenset({2, 10, 13, 14, 16}),
    "function": frozenset({8, 12, 14}),
    # The label, text, metadata, devices.
    "node": frozenset({3, 6, 9, 10}),
    "attribute": frozenset({13}),
    "value": frozenset({3, 4}),
}
"""Labels and text that change from export to export."""
_UNORDERED: dict[Message, frozenset[int]] = {
    "model": frozenset({8, 25}),
    "graph": frozenset({5, 15}),
    "node": frozenset({5}),
}
"""Fields whose order says nothing."""
_INPUT, _OUTPUT, _OP_TYPE, _DOMAIN = 1, 2, 4, 7
"""Of a node."""
_DIMS, _TYPE, _NAME, _INT64_DATA, _RAW_DATA = 1, 2, 8, 7, 9
"""Of a tensor."""
_FLOAT, _FLOATS, _INTS, _STRINGS = 2, 7, 8, 9
"""Of an attribute."""
_LISTS: dict[Message, frozenset[int]] = {"attribute": frozenset({_FLOATS, _INTS, _STRINGS})}
"""Of trees, as long as these have nodes."""
_INT64 = 7
_FLOAT_BYTES, _FLOAT_AND_TAG_BYTES = 4, 5
_MOST_STRUCTURE = 64
"""Elements of an int64 tensor up to which its values are taken for shapes, axes and the like."""
_MOST_FIELDS = 200_000
"""That are looked at: a second or two, and some 15,000 nodes."""
LONGEST_NAME = 100
"""Of an operator, in bytes; functions of a model may have any."""
_MOST_DIMS = 64
_MOST_BYTES = 1 << 62
"""Of weights; no model that claims more will load."""
_DEEPEST = 100
"""Messages within messages: as many as protobuf itself reads."""

_TYPES: dict[int, tuple[str, int]] = {
    1: ("float32", 32),
    2: ("uint8", 8),
    3: ("int8", 8),
    4: ("uint16", 16),
    5: ("int16", 16),
    6: ("int32", 32),
    7: ("int64", 64),
    9: ("bool", 8),
    10: ("float16", 16),
    11: ("float64", 64),
    12: ("uint32", 32),
    13: ("uint64", 64),
    14: ("complex64", 64),
    15: ("complex128", 128),
    16: ("bfloat16", 16),
    17: ("float8e4m3fn", 8),
    18: ("float8e4m3fnuz", 8),
    19: ("float8e5m2", 8),
    20: ("float8e5m2fnuz", 8),
    21: ("uint4", 4),
    22: ("int4", 4),
    23: ("float4e2m1", 4),
}
"""Element types of tensors by number: name and bits of one."""


class Graph(NamedTuple):
    """A model's graph, the graphs of its control flow and its functions included."""

    sha256: str
    operators: dict[str, int]
    """Nodes by type, constants left out."""
    depth: int
    """Nodes on the longest path."""
    weight_bytes: float
    dtype: str
    """Of most weights; empty: there are none."""


def read_graph(path: Path) -> Graph | None:
    """Return what a model's graph is made of; None for a file in ONNX Runtime's own format.

    Of values only those of `int64` tensors of up to 64 elements count in the hash: shapes, axes
    and the like. All others are weights, as are the numbers in `Constant` and in the operators of
    `ai.onnx.ml`, which keep their weights in attributes.

    Raises:
        OSError: it cannot be read.
        DamagedError: it is no ONNX model.
        TooIntricateError: it has too many parts.
    """
    with mapped(path) as data:
        return graph_in(data) if len(data) else None


def graph_in(data: memoryview) -> Graph:
    """Return likewise what the bytes of a model hold.

    Raises:
        DamagedError, TooIntricateError: as `read_graph`.
    """
    reader = _Reader(data)
    digest = reader.message("model", 0, len(data), 0)
    weights = reader.weights
    bits = sum(count * _TYPES[kind][1] for kind, count in weights.items())
    return Graph(
        sha256=digest.hex(),
        operators=dict(sorted(reader.operators.items())),
        depth=max((graph.nodes for graph in reader.paths), default=0),
        weight_bytes=float(min(bits // 8, _MOST_BYTES)),
        dtype=_TYPES[max(weights, key=lambda kind: weights[kind])][0] if weights else "",
    )


class _Path(NamedTuple):
    """What is known of a graph once it was read."""

    nodes: int
    """On the longest path."""
    taken: set[bytes]
    """Names that it takes from around it."""


class _Node(NamedTuple):
    takes: set[bytes]
    gives: list[bytes]
    nodes: int
    """That one after the other run in it."""


class _Reader:
    """Goes once through a model's file."""

    def __init__(self, data: memoryview) -> None:
        self.operators: Counter[str] = Counter()
        self.weights: Counter[int] = Counter()
        """Elements by type."""
        self.paths: list[_Path] = []
        """Of graphs whose parent is still being read."""
        self._nodes: list[_Node] = []
        """Likewise."""
        self._data = data
        self._left = _MOST_FIELDS

    def message(
        self, kind: Message, start: int, end: int, depth: int, weighs: bool = False
    ) -> bytes:
        """Return the hash of a message; `weighs`: its numbers are weights."""
        if depth > _DEEPEST:
            raise TooIntricateError
        found = self._fields(start, end, _LISTS.get(kind, frozenset()))
        if kind == "tensor":
            return self._tensor(found)
        nodes_before, paths_before = len(self._nodes), len(self.paths)
        if kind == "node":
            weighs = self._weighs(found)
        left_out = _LEFT_OUT.get(kind, frozenset())
        unordered = _UNORDERED.get(kind, frozenset())
        parts: list[tuple[int, bytes, bytes]] = []
        for field in found:
            if field.number not in left_out:
                digest = self._part(kind, field, depth, weighs)
                order = digest if field.number in unordered else b""
                parts.append((field.number, order, digest))
        if kind == "node":
            self._end_node(found, paths_before)
        elif kind in ("graph", "function"):
            self._end_graph(nodes_before)
        parts.sort(key=lambda part: part[:2])
        hashed = hashlib.sha256(kind.encode())
        for number, _, digest in parts:
            hashed.update(b"%d:%b" % (number, digest))
        return hashed.digest()

    def _fields(self, start: int, end: int, joined: frozenset[int]) -> list[Field]:
        found = []
        for field in fields(self._data, start, end, joined):
            self._left -= 1
            if self._left < 0:
                raise TooIntricateError
            found.append(field)
        return found

    def _part(self, kind: Message, field: Field, depth: int, weighs: bool) -> bytes:
        inner = _INNER.get(kind, {}).get(field.number)
        if inner is not None and field.kind == BYTES:
            return self.message(inner, field.start, field.end, depth + 1, weighs)
        if weighs and kind == "attribute" and field.number in (_FLOAT, _FLOATS):
            return self._count_floats(field)
        return hashlib.sha256(self._data[field.start : field.end]).digest()

    def _texts(self, found: list[Field], number: int) -> list[bytes]:
        return [
            bytes(self._data[one.start : one.end])
            for one in found
            if one.number == number and one.kind == BYTES
        ]

    def _weighs(self, node: list[Field]) -> bool:
        """Count the node by its type; return whether its attributes are weights."""
        names = self._texts(node, _OP_TYPE)
        if b"Constant" in names:
            return True
        self.operators.update(
            printable(name[:LONGEST_NAME].decode(errors="replace")) for name in names
        )
        return b"ai.onnx.ml" in self._texts(node, _DOMAIN)

    def _count_floats(self, field: Field) -> bytes:
        each = _FLOAT_AND_TAG_BYTES if field.kind == RUN else _FLOAT_BYTES
        count = (field.end - field.start) // each
        self.weights[1] += count
        return b"%d floats" % count

    def _tensor(self, found: list[Field]) -> bytes:
        dims: list[int] = []
        for field in found:
            if field.number == _DIMS and field.kind == VARINT:
                dims.append(field.value)
            elif field.number == _DIMS and field.kind == BYTES:
                dims += self._packed(field, _MOST_DIMS)
        kind = next((one.value for one in found if one.number == _TYPE), 0)
        name = self._texts(found, _NAME)
        if len(dims) > _MOST_DIMS:
            raise DamagedError
        count = math.prod(dims)
        values: list[int] = []
        if kind == _INT64 and count <= _MOST_STRUCTURE:
            values = self._integers(found)
        elif kind in _TYPES:
            self.weights[kind] += count
        return hashlib.sha256(repr((name, kind, dims, values)).encode()).digest()

    def _integers(self, tensor: list[Field]) -> list[int]:
        """Return the values of an int64 tensor; none where they lie in another file."""
        values: list[int] = []
        for field in tensor:
            if field.number == _RAW_DATA and field.kind == BYTES:
                whole = min((field.end - field.start) // 8, _MOST_STRUCTURE)
                raw = self._data[field.start : field.start + 8 * whole]
                values += np.frombuffer(raw, "<i8").tolist()
            elif field.number == _INT64_DATA and field.kind == VARINT:
                values.append(_signed(field.value))
            elif field.number == _INT64_DATA and field.kind == BYTES:
                values += map(_signed, self._packed(field, _MOST_STRUCTURE))
        return values

    def _packed(self, field: Field, most: int) -> list[int]:
        return list(islice(varints(self._data, field.start, field.end), most + 1))

    def _end_node(self, found: list[Field], paths_before: int) -> None:
        within = self.paths[paths_before:]
        del self.paths[paths_before:]
        takes = {name for name in self._texts(found, _INPUT) if name}
        takes |= {name for path in within for name in path.taken}
        gives = [name for name in self._texts(found, _OUTPUT) if name]
        names = self._texts(found, _OP_TYPE)  # none in a damaged file
        own = 0 if b"Constant" in names else min(1, len(names))
        nodes = own + max((path.nodes for path in within), default=0)
        self._nodes.append(_Node(takes, gives, nodes))

    def _end_graph(self, nodes_before: int) -> None:
        nodes = self._nodes[nodes_before:]
        del self._nodes[nodes_before:]
        depth: dict[bytes, int] = {}
        taken: set[bytes] = set()
        # The format demands that a node stands after those whose results it takes.
        for node in nodes:
            taken |= {name for name in node.takes if name not in depth}
            before = max((depth.get(name, 0) for name in node.takes), default=0)
            depth |= dict.fromkeys(node.gives, before + node.nodes)
        self.paths.append(_Path(max(depth.values(), default=0), taken))


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number
