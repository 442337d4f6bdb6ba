import os
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from autotune.errors import ModelError
from autotune.models.inspect_model import inspect_model
from autotune.models.onnx_external import external_files
from autotune.spec import ModelSpec


def outside(location: str | None, name: str = "w") -> TensorProto:
    """Four floats that lie elsewhere."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    if location is not None:
        tensor.external_data.add(key="location", value=location)
    return tensor


def saved(path: Path, *tensors: TensorProto) -> Path:
    value = helper.make_tensor_value_info
    names = [f"h{place}" for place in range(len(tensors))]
    nodes = [
        helper.make_node("Add", [before, tensor.name], [after])
        for before, tensor, after in zip(["x", *names], tensors, names, strict=False)
    ]
    x, y = value("x", TensorProto.FLOAT, ["n", 4]), value(names[-1], TensorProto.FLOAT, None)
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], initializer=tensors),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    inner = tmp_path / "models"
    (inner / "deep").mkdir(parents=True)
    for path in (tmp_path / "secret", inner / "a.bin", inner / "deep" / "b.bin"):
        path.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    return inner


def test_files_beside_a_model_are_found_and_told(place: Path) -> None:
    model = saved(place / "m.onnx", outside("a.bin"), outside("./deep/b.bin", "v"),
                  outside("a.bin", "u"))  # fmt: skip
    expected = {place / "a.bin", place / "deep" / "b.bin"}
    assert set(external_files(model)) == expected
    assert set(map(Path, inspect_model(ModelSpec(path=str(model))).files)) == expected


def test_a_model_that_holds_all_itself_has_none(mlp: Path, place: Path) -> None:
    assert external_files(mlp) == []
    assert inspect_model(ModelSpec(path=str(mlp))).files == ()
    stale = outside("gone.bin")
    stale.data_location = TensorProto.DEFAULT
    stale.raw_data = b"\0" * 16
    assert external_files(saved(place / "m.onnx", stale)) == []
    assert external_files(saved(place / "self.onnx", outside("self.onnx"))) == []


def test_a_link_to_a_store_brings_what_lies_beside_it_there(place: Path) -> None:
    (place / "store").mkdir()
    saved(place / "store" / "1f", outside("w.bin"))
    (place / "a.bin").rename(place / "store" / "2e")
    (place / "deep" / "m.onnx").symlink_to("../store/1f")
    (place / "deep" / "w.bin").symlink_to("../store/2e")
    model = place / "deep" / "m.onnx"
    assert external_files(model) == [place / "deep" / "w.bin"]
    assert inspect_model(ModelSpec(path=str(model))).files == (str(place / "deep" / "w.bin"),)


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("../secret", "lies outside the model's folder"),
        ("deep/../../secret", "lies outside the model's folder"),
        ("/etc/passwd", "is an absolute path"),
        ("link", "lies outside the model's folder"),
        ("up/secret", "lies outside the model's folder"),
        ("pipe", "is no regular file"),
        ("deep", "is no regular file"),
        ("device", "lies outside the model's folder"),
        ("loop", "Too many levels of symbolic links"),
        ("gone.bin", "is missing: gone.bin"),
        ("a\x1b[31m\n", r"is missing: a\x1b[31m\n"),
        ("a\0b", "has no name that a file can have"),
        ("", "has no name that a file can have"),
        (None, "has no name that a file can have"),
        ("*/_ORT_MEM_ADDR_/*", "is missing"),
        ("x" * 5000, "File name too long"),
    ],
)
def test_a_file_elsewhere_is_refused_before_it_is_opened(
    place: Path, location: str | None, says: str
) -> None:
    (place / "link").symlink_to("../secret")
    (place / "up").symlink_to("..")
    (place / "loop").symlink_to("loop")
    (place / "device").symlink_to("/dev/zero")
    os.mkfifo(place / "pipe")
    model = saved(place / "m.onnx", outside("a.bin", "v"), outside(location))
    with pytest.raises(ModelError) as raised:
        inspect_model(ModelSpec(path=str(model)))
    text = str(raised.value)
    assert says in text
    assert text.isprintable()
    assert len(text) < 1000


def test_tensors_are_found_wherever_a_model_may_hold_them(place: Path) -> None:
    held = helper.make_node("Constant", [], ["c"], value=outside("../secret"))
    branch = helper.make_graph([held], "b", [], [helper.make_tensor_value_info("c", 1, None)])
    either = helper.make_node("If", ["y"], ["z"], then_branch=branch, else_branch=branch)
    function = helper.make_function("f", "F", [], ["c"], [held], [helper.make_opsetid("", 17)])
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.ones(1, np.float32)), numpy_helper.from_array(np.zeros(1)), [4]
    )
    sparse.values.CopyFrom(outside("../secret"))
    in_sparse = helper.make_graph([], "g", [], [])
    in_sparse.sparse_initializer.append(sparse)
    empty = helper.make_graph([], "g", [], [])
    path = place / "m.onnx"
    for model in (
        helper.make_model(helper.make_graph([held], "g", [], [])),
        helper.make_model(helper.make_graph([either], "g", [], [])),
        helper.make_model(empty, functions=[function]),
        helper.make_model(in_sparse),
    ):
        path.write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match="lies outside"):
            external_files(path)


@pytest.mark.parametrize(
    "data",
    [
        b"location\xff",  # a field that is cut off
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01location",  # longer than the file
        b"\x3f" + b"location",  # a type of field that there is not
        b"\x80" * 30 + b"location",  # a number without end
    ],
)
def test_what_is_no_protobuf_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match="is not an ONNX model, or is truncated"):
        external_files(path)


def test_nesting_and_numbers_of_parts_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.onnx"
    graph = b"\x42\x08location"
    for _ in range(3000):  # graph in attribute in node in graph
        for tag in (0x32, 0x2A, 0x0A):
            size, length = len(graph), b""
            while size > 0x7F:
                length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
            graph = bytes([tag]) + length + bytes([size]) + graph
    size, length = len(graph), b""
    while size > 0x7F:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    path.write_bytes(b"\x3a" + length + bytes([size]) + graph)
    assert external_files(path) == []
    monkeypatch.setattr("autotune.models.onnx_external._MOST_FIELDS", 1000)
    with pytest.raises(ModelError, match="too many parts"):
        external_files(path)
