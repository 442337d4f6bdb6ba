"""Models of our own making, small enough to measure in milliseconds; machines made of files."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import blas_threads  # noqa: F401
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from kept_machine import keep_machine
from onnx import TensorProto, helper, numpy_helper

from autotune.outcome import ModelInfo

_RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The command line takes the signals for itself; nobody's settings or store shall reach it."""
    monkeypatch.setenv("XDG_DATA_HOME", f"{tmp_path}-data")
    keep_machine(Path(f"{tmp_path}-data"))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for name in [name for name in os.environ if name.startswith("AUTOTUNE_")]:
        monkeypatch.delenv(name)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def weights(name: str, *shape: int, dtype: type = np.float32) -> onnx.TensorProto:
    values: npt.NDArray[np.generic] = (_RNG.standard_normal(shape) * 0.05).astype(dtype)
    return numpy_helper.from_array(values, name)


def save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto] = (),
    opset: int = 17,
) -> Path:
    graph = helper.make_graph(
        list(nodes), "g", list(inputs), list(outputs), initializer=list(initializers)
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path


def value(
    name: str, shape: Sequence[int | str], dtype: int = TensorProto.FLOAT
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, list(shape))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def mlp(folder: Path) -> Path:
    """`x` [batch, 256] -> `y` [batch, 256]: about half a millisecond, can be batched."""
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "b"], ["y"]),
    ]
    return save(
        folder / "mlp.onnx",
        nodes,
        [value("x", ["batch", 256])],
        [value("y", ["batch", 256])],
        [weights("a", 256, 4096), weights("b", 4096, 256)],
    )


@pytest.fixture(scope="session")
def stateful(folder: Path) -> Path:
    """Recurrent state and a scalar: no batch axis."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "h"], ["b"]),
        helper.make_node("Tanh", ["b"], ["next"]),
        helper.make_node("Mul", ["next", "s"], ["y"]),
    ]
    return save(
        folder / "stateful.onnx",
        nodes,
        [value("x", [1, 64]), value("h", [1, 64]), value("s", [])],
        [value("y", [1, 64]), value("next", [1, 64])],
        [weights("w", 64, 64)],
    )


@pytest.fixture(scope="session")
def images(folder: Path) -> Path:
    """Dynamic height and width."""
    return save(
        folder / "images.onnx",
        [
            helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("GlobalAveragePool", ["c"], ["y"]),
        ],
        [value("x", ["batch", 3, "height", "width"])],
        [value("y", ["batch", 8, 1, 1])],
        [weights("w", 8, 3, 3, 3)],
    )


@pytest.fixture(scope="session")
def leaky(folder: Path) -> Path:
    """Declares a batch axis, but each answer depends on its neighbours in the batch."""
    return save(
        folder / "leaky.onnx",
        [
            helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["x", "m"], ["d"]),
            helper.make_node("Add", ["d", "m"], ["e"]),
            helper.make_node("Mul", ["e", "m"], ["y"]),
        ],
        [value("x", ["batch", 16])],
        [value("y", ["batch", 16])],
    )


@pytest.fixture
def info() -> ModelInfo:
    """What is known of a model that nobody loads."""
    return ModelInfo(
        inputs=[],
        outputs=[],
        sample_shapes={"x": [1, 4]},
        sample_source="generated",
        batchable=False,
        batch_reason="input 'x' has a fixed first dimension of 1",
        outputs_checked=True,
        outputs_reason="synthetic",
        footprint_bytes=100 << 20,
        default_threads=2,
        runtime="synthetic 1.0",
        load_s=0.01,
        run_s=0.01,
        engine_batch_s=0.0,
        engine_request_s=0.0,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Write files, as the kernel would show them, below one folder and return the folder."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return tmp_path

    return write
