"""Mutated models and bombs, loaded in a child: each is a model, or one line that says why not."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fuzz import corpus, models
from fuzz.corpus import FLOAT, INT64, constant, model, value
from fuzz.models import Children
from fuzz.mutate import parse, serialized
from fuzz.tally import end_of_line
from onnx import TensorProto, helper

ESCAPES = "a\x1b[31m\x1b]52;c;ZXZpbA==\x07\nb\u202e<script>"
X, Y = value("x", ["n", 4]), value("y", None)
RELU = helper.make_node("Relu", ["x"], ["y"])


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    folder = tmp_path_factory.mktemp("fuzz")
    corpus.write_external(folder)
    with Children(folder) as started:
        yield started


def test_mutated_models_end_well_or_in_one_line(children: Children) -> None:
    base = corpus.models()
    ends = []
    for number in range(150):
        one = children.inspect(models.mutated(base, random.Random(number)))
        assert one.end in ("well", "refused", "died"), f"{number}: {one.line}"
        ends.append(one.end)
    assert min(ends.count("well"), ends.count("refused")) > 20


def test_most_of_the_corpus_can_be_run(children: Children) -> None:
    ends = [children.inspect(data).end for data in corpus.models()]
    assert ends.count("well") >= len(ends) - 2
    assert set(ends) <= {"well", "refused"}


def test_what_is_not_mutated_is_serialized_as_it_was() -> None:
    for data in corpus.models():
        fields = parse(data)
        assert fields is not None
        assert serialized(fields) == data


def tensor(dims: list[int], data: bytes = b"\0" * 16) -> TensorProto:
    return TensorProto(name="w", data_type=FLOAT, dims=dims, raw_data=data)


def nested(depth: int) -> bytes:
    """If in If in If, by hand: no library builds it."""

    def part(number: int, body: bytes) -> bytes:
        size, length = len(body), b""
        while size > 0x7F:
            length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + body

    graph = part(1, RELU.SerializeToString()) + part(12, Y.SerializeToString())
    for _ in range(depth):
        branch = part(1, b"then_branch") + part(6, graph) + b"\xa0\x01\x05"
        graph = part(1, part(2, b"y") + part(4, b"If") + part(5, branch))
    return b"\x08\x08" + part(7, graph)


def functions(calls: dict[str, list[str]]) -> bytes:
    """Functions that call others."""
    made = [
        helper.make_function(
            "own", name, ["a"], ["b"],
            [helper.make_node(one, ["a"], ["b"], domain="own") for one in called],
            [helper.make_opsetid("own", 1)],
        )
        for name, called in calls.items()
    ]  # fmt: skip
    first = helper.make_node(next(iter(calls)), ["x"], ["y"], domain="own")
    return model([first], [X], [Y], functions=made).SerializeToString()


def bombs() -> Iterator[tuple[str, bytes, str]]:
    add, huge = [helper.make_node("Add", ["x", "w"], ["y"])], 2_500_000_000_000
    for name, dims in (("10 TB", [huge, 4]), ("negative", [-4]), ("overflow", [2**62, 2**62])):
        made = model(add, [value("x", ["n", 1])], [Y], [tensor(dims)])
        yield f"tensor of {name}", made.SerializeToString(), ""
    sparse = model(add, [X], [Y])
    sparse.graph.sparse_initializer.append(
        helper.make_sparse_tensor(constant("w", [1.0]), constant("i", [0], np.int64), [huge])
    )
    yield "sparse tensor of 10 TB", sparse.SerializeToString(), "exceeds"
    for name, shape, says in (
        ("10 TB", [huge, 4], "is too large"),
        ("overflow", [2**62, 2**62], "is too large"),
        ("many dimensions", [1] * 2000, "at most 64"),
    ):
        yield f"input of {name}", model([RELU], [value("x", shape)], [Y]).SerializeToString(), says
    yield "no input", model([helper.make_node("Constant", [], ["y"], value_float=1.0)], [],
                            [Y]).SerializeToString(), "has no input"  # fmt: skip
    yield "no output", model([RELU], [X], []).SerializeToString(), "has no output"
    for depth in (100, 10_000):
        yield f"{depth} deep", nested(depth), "is not an ONNX model"
    yield "functions in a ring", functions({"A": ["B"], "B": ["A"]}), "recursive"
    shape = constant("s", [huge, 4], np.int64)
    filled = [helper.make_node("ConstantOfShape", ["s"], ["k"]), RELU]
    yield (
        "10 TB at run time",
        model(filled, [X], [Y, value("k", None)], [shape]).SerializeToString(),
        "memory",
    )
    named = model([helper.make_node("Relu", [ESCAPES], ["y"])], [value(ESCAPES, ["n", 4])], [Y])
    yield "escapes in an input", named.SerializeToString(), r"\x1b[31m"
    yield (
        "escapes in a dimension",
        model([RELU], [value("x", ["n", ESCAPES])], [Y]).SerializeToString(),
        r"\x1b[31m",
    )
    operator = model([helper.make_node(ESCAPES, ["x"], ["y"])], [X], [Y])
    yield "escapes in an operator", operator.SerializeToString(), r"\x1b[31m"
    long = "n" * 1_000_000
    endless = model([helper.make_node("Relu", [long], ["y"])], [value(long, ["n", 4])], [Y])
    yield "a long name", endless.SerializeToString(), "1,000,000 characters"
    foreign = model([helper.make_node("Relu", ["QQQ"], ["y"])], [value("QQQ", ["n", 4])], [Y])
    yield "no UTF-8", foreign.SerializeToString().replace(b"QQQ", b"\xff\xfeQ"), "is not UTF-8"


BOMBS = {what: (data, says) for what, data, says in bombs()}


@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_is_refused_in_one_line(children: Children, what: str) -> None:
    data, says = BOMBS[what]
    one = children.inspect(data)
    assert one.end == "refused", one.line
    assert says in one.line


def test_a_loop_without_end_is_stopped_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "LIMIT_S", 1.0)
    go, often = constant("c", True, np.bool_), constant("m", 2**62, np.int64)
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Relu", ["v"], ["u"])],
        "body",
        [value("i", [], INT64), value("go", [], TensorProto.BOOL), value("v", None)],
        [value("on", [], TensorProto.BOOL), value("u", None)],
    )
    loop = helper.make_node("Loop", ["m", "c", "x"], ["y"], body=body)
    endless = model([loop], [X], [Y], [go, often]).SerializeToString()
    with Children(tmp_path) as started:
        one = started.inspect(endless)
    assert one.end == "died"
    assert "no answer within 1 s" in one.line


def test_a_line_that_names_what_is_inside_is_called_unclear() -> None:
    for text in ("Traceback (most recent call last)", "<class 'int'> is wrong", "KeyError('x')"):
        assert end_of_line(f"model.onnx: {text}").end == "unclear"
    assert end_of_line("").end == "unclear"
    assert end_of_line("model.onnx: is truncated").end == "refused"
