"""What one request makes an ONNX model compute, as ONNX Runtime's profiler tells it.

The graph is run with its basic optimisations only, which are the same on every machine. Each event
of a node bears `op_name`, `input_type_shape` and `output_type_shape` (missing inputs left out) and
`output_size` in bytes.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime as ort

from autotune.bounded_file import read_bytes
from autotune.engine.source import Tensors
from autotune.models.onnx_graph import LONGEST_NAME
from autotune.models.onnx_model import session_options
from autotune.models.onnx_providers import prepare, provider_chain
from autotune.probes.scratch import scratch
from autotune.spec import SessionShape
from autotune.tabular import printable

CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
"""Their bodies' nodes have events of their own."""
_MOST_BYTES = 256_000_000
"""Of a profile: some hundred thousand events."""
_NODE = re.compile(r"_kernel_time$")

Shape = list[int]


class Work(NamedTuple):
    """Of one request."""

    operators: dict[str, int]
    """Nodes by type, as often as they ran."""
    flops: dict[str, float]
    """Floating-point operations by type."""
    written_bytes: float
    """Of all tensors that nodes write."""


def measure_work(path: str, shape: SessionShape, request: Tensors) -> Work:
    """Load a model once more, run a request, and return what its nodes did.

    Raises:
        OSError: the profile cannot be read, or is far too long.
        ValueError: the profile is damaged, as names in the model may make it.
        Exception: whatever the runtime raises.
    """
    prepare(shape)
    with scratch(ignore_cleanup_errors=True) as folder:
        options = session_options(shape)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "profile"))
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        # Weights that are packed for a kernel are no inputs of its nodes any more.
        options.add_session_config_entry("session.disable_prepacking", "1")
        session = ort.InferenceSession(
            path, options, providers=provider_chain(shape), enable_fallback=0
        )
        try:
            session.run(None, request)
        finally:
            written = session.end_profiling()
        return work_of(json.loads(read_bytes(Path(written), _MOST_BYTES)))


def work_of(events: list[dict[str, Any]]) -> Work:
    """Return what the nodes of a profile did.

    Raises:
        ValueError: the profile is none.
    """
    operators: Counter[str] = Counter()
    flops: dict[str, float] = {}
    written_bytes = 0.0
    try:
        for event in events:
            if event["cat"] != "Node" or not _NODE.search(event["name"]):
                continue
            told = event["args"]
            name = printable(str(told["op_name"])[:LONGEST_NAME])
            operators[name] += 1
            if name in CONTROL_FLOW:
                continue
            written_bytes += float(told["output_size"])
            inputs, outputs = (_shapes(told[f"{way}_type_shape"]) for way in ("input", "output"))
            flops[name] = flops.get(name, 0.0) + flops_of(name, inputs, outputs)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no profile of ONNX Runtime's: {error!r}") from None
    return Work(dict(sorted(operators.items())), dict(sorted(flops.items())), written_bytes)


def _shapes(told: list[dict[str, Shape]]) -> list[Shape]:
    """`[{"float": [1, 3]}]` is one tensor."""
    return [shape for tensor in told for shape in tensor.values()]


def flops_of(operator: str, inputs: list[Shape], outputs: list[Shape]) -> float:
    """Return the floating-point operations of one node, a multiplication with its addition as two.

    Operators that are not known count one for each element of their output, those that reduce one
    for each of their input.
    """
    count = _KNOWN.get(operator)
    try:
        if count is not None:
            return count(inputs, outputs)
    except (IndexError, ZeroDivisionError):
        pass  # Of another domain, with the same name: counted as one that is not known.
    reduces = operator.startswith(("Reduce", "Global", "Arg"))
    counted = inputs[:1] if reduces else outputs
    return float(sum(map(math.prod, counted)))


def _matmul(left: Shape, right: Shape, output: Shape) -> float:
    """Either factor may be transposed, and have one dimension only."""
    if len(left) == 1:
        summed = left[0]
    elif len(right) == 1:
        summed = right[0]
    else:
        summed = left[-1] * left[-2] // output[-2]
    return 2.0 * math.prod(output) * summed


def _conv(weights: Shape, output: Shape) -> float:
    """`weights`: (channels out, channels in / groups, *kernel)."""
    return 2.0 * math.prod(output) * math.prod(weights[1:])


def _conv_transpose(inputs: list[Shape], outputs: list[Shape]) -> float:
    """Each element is spread over a kernel: (channels in, channels out / groups, *kernel)."""
    return 2.0 * math.prod(inputs[0]) * math.prod(inputs[1][1:])


def _recurrent(inputs: list[Shape], outputs: list[Shape]) -> float:
    """`X` (steps, batch, features), `W` and `R` (directions, gates x hidden, ...)."""
    steps, batch = inputs[0][0], inputs[0][1]
    return 2.0 * steps * batch * (math.prod(inputs[1]) + math.prod(inputs[2]))


def _attention(inputs: list[Shape], outputs: list[Shape]) -> float:
    """Two products of queries with keys and values; first those of the input, where it is packed.

    ONNX's takes `Q` (batch, heads, length, size) or (batch, length, hidden), as does
    `MultiHeadAttention`; that of com.microsoft an input and weights of two dimensions.
    """
    first, second = inputs[0], inputs[1]
    if len(second) == 2:
        batch, length, hidden = first[0], first[1], first[2]
        return 2.0 * batch * length * math.prod(second) + 4.0 * batch * length**2 * hidden
    return 4.0 * math.prod(first) * second[-2]


def _einsum(inputs: list[Shape], outputs: list[Shape]) -> float:
    """Of two factors. Leading sizes that both and the result have in common are a batch's.

    Then each index stands in two of the three, so that the root of their product has each once.
    """
    left, right, output = inputs[0], inputs[1], outputs[0]
    batch = 1
    for sizes in zip(left, right, output, strict=False):
        if len(set(sizes)) > 1:
            break
        batch *= sizes[0]
    return 2.0 * math.sqrt(math.prod(left) * math.prod(right) * math.prod(output) / batch)


_KNOWN: dict[str, Callable[[list[Shape], list[Shape]], float]] = {
    **dict.fromkeys(
        ("MatMul", "Gemm", "FusedMatMul", "FusedGemm", "MatMulInteger", "MatMulIntegerToFloat"),
        lambda inputs, outputs: _matmul(inputs[0], inputs[1], outputs[0]),
    ),
    **dict.fromkeys(
        ("DynamicQuantizeMatMul", "MatMulNBits", "MatMulBnb4"),
        lambda inputs, outputs: 2.0 * math.prod(outputs[0]) * inputs[0][-1],
    ),
    **dict.fromkeys(
        ("QLinearMatMul", "QGemm"),
        lambda inputs, outputs: _matmul(inputs[0], inputs[3], outputs[0]),
    ),
    **dict.fromkeys(
        ("Conv", "FusedConv", "ConvInteger", "NhwcFusedConv"),
        lambda inputs, outputs: _conv(inputs[1], outputs[0]),
    ),
    "QLinearConv": lambda inputs, outputs: _conv(inputs[3], outputs[0]),
    "ConvTranspose": _conv_transpose,
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    **dict.fromkeys(("Attention", "MultiHeadAttention"), _attention),
    "Einsum": _einsum,
}
