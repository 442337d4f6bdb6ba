"""ONNX Runtime sessions on a GPU: inputs and outputs bound, and graphs that are replayed."""

from typing import NamedTuple

import numpy as np
import onnxruntime as ort

from autotune.engine.replica import Infer
from autotune.engine.source import Array, Tensors
from autotune.models.onnx_providers import NAMES

_NOT_CAPTURED = -1
"""The `gpu_graph_id` of a run that is executed as if there were no graphs."""


class Place(NamedTuple):
    """Where inputs are copied to, and outputs computed, in ONNX Runtime's words."""

    device: str
    number: int


def gpu_of(session: ort.InferenceSession) -> Place | None:
    """Return the GPU that a session runs on; None: the CPU."""
    options = session.get_provider_options().get(NAMES["cuda"])
    return None if options is None else Place("cuda", int(options.get("device_id", 0)))


def has_graphs(session: ort.InferenceSession) -> bool:
    """Whether its runs are captured as CUDA graphs."""
    keys = ((NAMES["cuda"], "enable_cuda_graph"), (NAMES["tensorrt"], "trt_cuda_graph_enable"))
    options = session.get_provider_options()
    return any(options.get(name, {}).get(key, "0") in ("1", "True") for name, key in keys)


def bound_infer(session: ort.InferenceSession, place: Place) -> Infer:
    """Wrap a session as `Infer` that leaves outputs where they are computed until all are done.

    Source: ONNX Runtime's "I/O Binding".
    """
    names = [output.name for output in session.get_outputs()]

    def infer(inputs: Tensors) -> Tensors:
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(array))
        for name in names:
            binding.bind_output(name, *place)
        session.run_with_iobinding(binding)
        return dict(zip(names, binding.copy_outputs_to_cpu(), strict=True))

    return infer


class _Graph(NamedTuple):
    """Buffers that stay where they are, as a replayed graph must find them."""

    inputs: dict[str, ort.OrtValue]
    outputs: dict[str, ort.OrtValue]
    binding: ort.IOBinding
    options: ort.RunOptions


def replayed_infer(session: ort.InferenceSession, place: Place) -> Infer:
    """Wrap a session as `Infer` that captures one CUDA graph for each shape of its inputs.

    Source: ONNX Runtime's "Using CUDA Graphs", `gpu_graph_id`. A graph keeps its buffers, and the
    shapes of its outputs must follow from those of its inputs. Not for several threads at once.
    """
    graphs: dict[tuple[tuple[str, tuple[int, ...]], ...], _Graph] = {}

    def infer(inputs: Tensors) -> Tensors:
        shapes = tuple((name, array.shape) for name, array in inputs.items())
        if shapes not in graphs:
            graphs[shapes] = _graph(session, place, inputs, len(graphs) + 1)
        graph = graphs[shapes]
        for name, array in inputs.items():
            graph.inputs[name].update_inplace(np.ascontiguousarray(array))
        session.run_with_iobinding(graph.binding, graph.options)
        return {name: _copied(value) for name, value in graph.outputs.items()}

    return infer


def _copied(value: ort.OrtValue) -> Array:
    """On a CPU `numpy` may show the buffer itself, which the next run overwrites."""
    array: Array = value.numpy()
    return array if array.flags.owndata else array.copy()


def _graph(session: ort.InferenceSession, place: Place, inputs: Tensors, number: int) -> _Graph:
    """A run that is not captured tells the shapes of the outputs."""
    values = {
        name: ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), *place)
        for name, array in inputs.items()
    }
    first, fixed = session.io_binding(), session.io_binding()
    names = [output.name for output in session.get_outputs()]
    for name, value in values.items():
        first.bind_ortvalue_input(name, value)
        fixed.bind_ortvalue_input(name, value)
    for name in names:
        first.bind_output(name, *place)
    session.run_with_iobinding(first, _run_options(_NOT_CAPTURED))
    outputs = dict(zip(names, first.get_outputs(), strict=True))
    for name, value in outputs.items():
        fixed.bind_ortvalue_output(name, value)
    return _Graph(values, outputs, fixed, _run_options(number))


def _run_options(graph: int) -> ort.RunOptions:
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph))
    return options
