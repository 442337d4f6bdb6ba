"""What a model is like, for others to be compared with it."""

import contextlib
from pathlib import Path
from typing import NamedTuple

import msgspec

from autotune.engine.source import Tensors
from autotune.models import onnx_graph, onnx_work
from autotune.models.loading import Loaded
from autotune.probes.memory import available_memory_bytes
from autotune.records import InputInfo
from autotune.spec import ModelSpec, SessionShape
from autotune.traits import ModelTraits

_MOST_S = 5.0
"""To load a model once more; likewise to run it."""
_MOST_LOOP_S = 0.5
"""To run one with loops: their nodes may leave a million events behind."""
_ROOM = 2.0
"""Times what loading took of memory the first time, which must still be there."""


class Effort(NamedTuple):
    """What it took to load and run the model the first time."""

    load_s: float
    run_s: float
    footprint_bytes: int


def model_traits(
    spec: ModelSpec, loaded: Loaded, shape: SessionShape, request: Tensors, effort: Effort
) -> ModelTraits:
    """Return what can be found out about a model in about the time that loading it took.

    Whatever goes wrong on the way leaves out what it would have told: the model itself runs.

    Args:
        spec: the model.
        loaded: a replica of it.
        shape: how that was opened.
        request: one request.
        effort: what loading and running it took.
    """
    traits = _of_inputs(loaded.inputs)
    if loaded.kind == "onnx":
        return _of_onnx(traits, spec, shape, request, effort)
    return _of_torch(traits, spec, loaded, request, effort)


def _of_inputs(inputs: list[InputInfo]) -> ModelTraits:
    is_open = [[isinstance(size, str) for size in info.shape] for info in inputs]
    return ModelTraits(
        batch_axes=sum(any(axes[:1]) for axes in is_open),
        open_axes=sum(sum(axes[1:]) for axes in is_open),
    )


def _of_onnx(
    traits: ModelTraits, spec: ModelSpec, shape: SessionShape, request: Tensors, effort: Effort
) -> ModelTraits:
    graph = None
    with contextlib.suppress(Exception):
        graph = onnx_graph.read_graph(Path(spec.path))
    if graph is not None:
        traits = msgspec.structs.replace(
            traits,
            graph_sha256=graph.sha256,
            operators=graph.operators,
            nodes=sum(graph.operators.values()),
            weight_bytes=graph.weight_bytes,
            depth=graph.depth,
            dtype=graph.dtype,
        )
    loops = onnx_work.CONTROL_FLOW.intersection(traits.operators)
    most_run_s = _MOST_LOOP_S if loops or graph is None else _MOST_S
    if not _is_cheap(effort, most_run_s):
        return traits
    with contextlib.suppress(Exception):
        work = onnx_work.measure_work(spec.path, shape, request)
        operators = traits.operators or work.operators
        traits = msgspec.structs.replace(
            traits,
            operators=operators,
            nodes=sum(operators.values()),
            work=work.flops,
            activation_bytes=work.written_bytes,
        )
    return traits


def _of_torch(
    traits: ModelTraits, spec: ModelSpec, loaded: Loaded, request: Tensors, effort: Effort
) -> ModelTraits:
    from autotune.models import torch_work

    if loaded.kind == "aoti":  # native code
        return traits
    weights = loaded.weight_bytes
    traits = msgspec.structs.replace(
        traits,
        weight_bytes=float(sum(weights.values())),
        dtype=max(weights, key=lambda name: weights[name], default=""),
    )
    if effort.run_s <= _MOST_S:
        with contextlib.suppress(Exception):
            work = torch_work.measure_work(loaded.infer, request)
            traits = msgspec.structs.replace(
                traits,
                operators=work.operators,
                nodes=sum(work.operators.values()),
                depth=work.depth,
                work=work.flops,
                activation_bytes=work.written_bytes,
            )
    if loaded.kind == "exported" and _is_cheap(effort, _MOST_S):
        with contextlib.suppress(Exception):
            digest = torch_work.graph_sha256(spec.path)
            traits = msgspec.structs.replace(traits, graph_sha256=digest)
    return traits


def _is_cheap(effort: Effort, most_run_s: float) -> bool:
    """Whether there are time and memory to load and run the model once more."""
    available_bytes = available_memory_bytes()
    room = available_bytes is None or available_bytes >= _ROOM * effort.footprint_bytes
    return room and effort.load_s <= _MOST_S and effort.run_s <= most_run_s
