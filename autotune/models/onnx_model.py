"""ONNX models through ONNX Runtime: sessions with the threads that a configuration asks for."""

import re
from collections.abc import Sequence
from typing import Any
from unicodedata import category

import onnxruntime as ort

from autotune.engine.replica import Infer
from autotune.engine.source import Tensors
from autotune.errors import ModelError
from autotune.models import onnx_binding
from autotune.models.onnx_providers import (
    demand_used,
    prepare,
    provider_chain,
    set_pool,
    why_not_loaded,
)
from autotune.records import InputInfo
from autotune.spec import SessionShape
from autotune.tabular import printable

RUNTIME = f"onnxruntime {ort.__version__}"

LONGEST_NAME = 1000
"""Characters, of an input, output or dimension."""
MOST_DIMENSIONS = 64
"""Of an array of numpy's."""
_STEERING = ("Cc", "Cf", "Zl", "Zp")
"""Unicode's categories of control and format characters, and of breaks of lines."""
_SHOWN = 40
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
    set_pool(options, shape)
    return options


def open_session(path: str, shape: SessionShape, gpu: int = 0) -> ort.InferenceSession:
    """Load the model for one replica, with the provider of `shape`, on a GPU of this number.

    Raises:
        ModelError: the runtime cannot load it, or not with that provider; the message says why.
    """
    prepare(shape)
    try:
        # Left to itself, ONNX Runtime would go on without a provider that fails, now or later.
        session = ort.InferenceSession(
            path,
            session_options(shape),
            providers=provider_chain(shape, gpu),
            enable_fallback=0,
        )
    except Exception as error:
        lack = why_not_loaded(shape.provider)
        raise ModelError(f"{path}: {lack or explain(error)}") from None
    demand_used(session, path, shape.provider)
    return session


def as_infer(session: ort.InferenceSession) -> Infer:
    """Wrap a session as a function from inputs by name to outputs by name.

    On a GPU it is bound to its memory; see `autotune.models.onnx_binding`.
    """
    if (place := onnx_binding.gpu_of(session)) is not None:
        graphs = onnx_binding.has_graphs(session)
        bind = onnx_binding.replayed_infer if graphs else onnx_binding.bound_infer
        return bind(session, place)
    names = [output.name for output in session.get_outputs()]

    def infer(inputs: Tensors) -> Tensors:
        return dict(zip(names, session.run(None, inputs), strict=True))

    return infer


def signature(session: ort.InferenceSession, path: str) -> tuple[list[InputInfo], list[InputInfo]]:
    """Return inputs and outputs as the model declares them.

    Raises:
        ModelError: there is no input or no output, a name is no text, steers terminals or never
            ends, or there are more dimensions than an array can have.
    """
    try:
        found = declared(session.get_inputs()), declared(session.get_outputs())
    except UnicodeDecodeError:
        raise ModelError(f"{path}: a name of an input or output is not UTF-8") from None
    if not all(found):
        raise ModelError(f"{path}: has no {'output' if found[0] else 'input'}")
    for info in (*found[0], *found[1]):
        if problem := _problem(info):
            raise ModelError(f"{path}: {problem}")
    return found


def _problem(info: InputInfo) -> str | None:
    names = [info.name, *(dim for dim in info.shape if isinstance(dim, str))]
    for name in names:
        if len(name) > LONGEST_NAME:
            start = printable(name[:_SHOWN])
            return f"a name of {len(name):,} characters ({start}...): at most {LONGEST_NAME}"
        if any(category(letter) in _STEERING for letter in name):
            return f"the name '{printable(name)}' holds control characters: rename it"
    if len(info.shape) > MOST_DIMENSIONS:
        return f"{info.name!r} has {len(info.shape)} dimensions: at most {MOST_DIMENSIONS}"
    return None


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


_MARK = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
_OF_OURS = re.compile(f"^{_MARK.pattern}")
_WHILE_LOADING = re.compile(r"Load model from .* failed: ?|Exception during initialization: ?")
_PLACE = re.compile(r"/\S+\.(?:cc|h):\d+ [^()]*\(.*?\) (?=\S)|\b\w+\.(?:cc|h):\d+ \w+ (?=\S)")
"""Where in its sources the runtime found out, with the function's signature."""


def explain(error: Exception) -> str:
    """Say in one line what the runtime's error means."""
    if isinstance(error, UnicodeDecodeError):  # the runtime's words, in which names stand
        return "a name in it is not UTF-8"
    text = " ".join(str(error).split())
    for pattern, meaning in _CAUSES:
        if match := re.search(pattern, text):
            return _short(meaning.format(*match.groups()))
    text = _OF_OURS.sub("", text)
    if _WHILE_LOADING.match(text):
        text = _MARK.split(text)[-1]  # what came of what was wrong says less
    text = _PLACE.sub("", _WHILE_LOADING.sub("", text))
    return _short(text)


def _short(text: str) -> str:
    """Return the runtime's words, in which names of the model stand, fit to be shown."""
    text = printable(text[:_LONGEST])
    return text if len(text) < _LONGEST else text[: _LONGEST - 3] + "..."
