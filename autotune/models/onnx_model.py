"""ONNX models through ONNX Runtime: sessions with the threads that a configuration asks for."""

import re
from collections.abc import Sequence
from typing import Any

import onnxruntime as ort

from autotune.engine.replica import Infer
from autotune.engine.source import Tensors
from autotune.errors import ModelError
from autotune.records import InputInfo
from autotune.spec import SessionShape

RUNTIME = f"onnxruntime {ort.__version__}"

_ERRORS_ONLY = 3
_LONGEST = 300
"""Characters of a runtime's own words that still count as one line."""


def session_options(shape: SessionShape) -> ort.SessionOptions:
    """Return the options that give one replica of `shape` its threads.

    The keys are ONNX Runtime's: `session.intra_op.allow_spinning` and its inter-op twin.
    """
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = shape.intra_op_threads
    spin = "1" if shape.spinning else "0"
    options.add_session_config_entry("session.intra_op.allow_spinning", spin)
    if shape.execution_mode == "parallel":
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
        options.inter_op_num_threads = shape.inter_op_threads
        options.add_session_config_entry("session.inter_op.allow_spinning", spin)
    return options


def open_session(path: str, shape: SessionShape) -> ort.InferenceSession:
    """Load the model for one replica, on the CPU.

    Raises:
        ModelError: the runtime cannot load it; the message says what it lacks.
    """
    try:
        return ort.InferenceSession(
            path, session_options(shape), providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ModelError(f"{path}: {explain(error)}") from None


def as_infer(session: ort.InferenceSession) -> Infer:
    """Wrap a session as a function from inputs by name to outputs by name."""
    names = [output.name for output in session.get_outputs()]

    def infer(inputs: Tensors) -> Tensors:
        return dict(zip(names, session.run(None, inputs), strict=True))

    return infer


def declared(arguments: Sequence[Any]) -> list[InputInfo]:
    """Return inputs or outputs as the model declares them, open dimensions by name."""
    return [
        InputInfo(
            name=argument.name,
            dtype=argument.type,
            shape=[d if isinstance(d, int) and d >= 0 else str(d or "?") for d in argument.shape],
        )
        for argument in arguments
    ]


_CAUSES = (
    (r"No graph was found", "is not an ONNX model (no graph in it), or is empty"),
    (r"Protobuf parsing failed", "is not an ONNX model, or is truncated"),
    (r"External data path does not exist: \"?([^\"]+)", "its external data file is missing: {0}"),
    (r"External data.*?(?:file|path)[^\"]*\"([^\"]+)\"", "its external data cannot be read: {0}"),
    (
        r"Opset (\d+) is under development.*?is till opset (\d+)",
        "opset {0} is newer than this runtime supports (up to {1}): "
        "upgrade onnxruntime or export with a lower opset",
    ),
    (
        r"Unsupported model IR version: (\d+), max supported IR version: (\d+)",
        "IR version {0} is newer than this runtime supports (up to {1}): upgrade onnxruntime",
    ),
    (r"No Op registered for (\S+)", "this runtime has no operator {0}"),
    (
        r"Fatal error: (\S+?)\(-?\d+\) is not a registered function/op",
        "this runtime has no operator {0} (a custom operator?)",
    ),
    (r"Could not find an implementation for (\S+)", "this runtime has no CPU kernel for {0}"),
)


def explain(error: Exception) -> str:
    """Say in one line what the runtime's error means."""
    text = " ".join(str(error).split())
    for pattern, meaning in _CAUSES:
        if match := re.search(pattern, text):
            return meaning.format(*match.groups())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"Status Message: /\S+:\d+ .*?\) (?=\S)", "Status Message: ", text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
