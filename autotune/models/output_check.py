"""Whether a configuration gives the answers that the runtime's default gives.

Outputs are compared by name, data type, shape, and where they are not finite; whole numbers,
booleans and texts exactly; floats against the largest value of their own output.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from autotune.engine.source import Array, Tensors, split

FLOAT_TOLERANCE = 0.05
"""Largest deviation of a float output that still is the same answer, as a share of the output's
largest value. Rounding alone: ONNX Runtime 1.32 on AMD cores with AVX-512, 1 to 7 threads,
both execution modes, batches of 2 to 64.

- Most generated models (MLP, convolutions, attention, LSTM, reductions; float16, float32) agree
  to the bit, in float64 to 2e-15.
- A float32 product of two activations differs by 8e-7 between thread counts: its blocks follow
  what one thread gets. So threads earn no tighter limit than batches.
- magika's variance is E[x^2] - E[x]^2, whose cancellation makes 2e-6 in a sum 2.5e-2 in its
  softmax (batches of 8, the worst of 320 random requests; their median is 0.5e-2).
- Optimised against unoptimised graphs, for other kernels: 3.4e-3 in float32, 6.7e-3 in float16,
  for eight layers of attention.

Twice the worst. All float types share it: a float64 output is often a float32 result that was
cast. Weights quantised at run time scale by the whole batch (2.9e-2 in an MLP, 4.7e-2 in magika,
without bound in sharp attention): beyond the limit, batching does change their answers.
"""

FLOOR = 1e-6
"""What rounding may leave of a zero, where an output has no larger value to compare with."""

QUANTISED_STEP = 1
"""An 8-bit output is a rounded float, and a tie may fall either way (models of 1 to 12 quantised
layers agreed to the bit between threads and batches; other kernels' floats need not) ..."""
QUANTISED_SPAN = 32
"""... where its values span this many steps at least: a mask or a class has no ties."""


class References(Protocol):
    """The default's outputs per sample; they may be loaded as they are asked for."""

    def __len__(self) -> int:
        """How many samples there are."""

    def __getitem__(self, index: int, /) -> Tensors:
        """Return the outputs for one sample."""


def checkable(outputs: Mapping[str, Any]) -> Tensors:
    """Return the outputs that can be compared, as plain arrays.

    Texts become fixed-width strings; a list of maps with equal keys (ONNX-ML's ZipMap) becomes a
    table of shape (rows, keys). Other sequences, maps and absent outputs are left out.
    """
    plain = {name: _plain(output) for name, output in outputs.items()}
    return {name: array for name, array in plain.items() if array is not None}


def how_outputs_differ(got: Mapping[str, Any], expected: Tensors, share: float = 1.0) -> str | None:
    """Say in a clause how outputs are not the expected ones; None where they are.

    Args:
        got: what the runtime returned, by name.
        expected: what `checkable` made of the default's outputs; others are not compared.
        share: the part of the float tolerance that is granted.
    """
    arrays = checkable(got)
    for name, reference in expected.items():
        if name not in arrays:
            return f"output {name!r} is missing"
        if (how := _difference(arrays[name], reference, share)) is not None:
            return f"output {name!r} {how}"
    return None


def how_batch_differs(
    together: Mapping[str, Any], requests: list[Tensors], alone: References
) -> str | None:
    """Say how a batch's outputs, split, are not those of its requests; None where they are.

    Request `i` must have given `alone[i % len(alone)]`; each of those is loaded once.
    """
    outputs, batch = checkable(together), f"in a batch of {len(requests)}"
    rows = sum(len(next(iter(request.values()))) for request in requests)
    for name, array in outputs.items():
        if array.ndim == 0:
            return f"output {name!r} is a scalar, so a batch cannot be split"
        if len(array) != rows:
            return f"{batch}, output {name!r} does not grow with the batch"
    parts = split(outputs, requests)
    for index in range(min(len(alone), len(parts))):
        expected = alone[index]
        for part in parts[index :: len(alone)]:
            if (how := how_outputs_differ(part, expected)) is not None:
                return f"{batch}, {how}"
    return None


def sizes_to_check(largest: int) -> list[int]:
    """Return the batch sizes to compare where batches of up to `largest` are formed.

    The largest, then odd ones down to 3 (2 is proved when the model is inspected): every order of
    magnitude, and sizes that no block of a kernel, and no constant in the graph, divides.
    """
    sizes, size = [largest] if largest > 1 else [], largest - 1
    while size > 1:
        sizes.append(size)
        size //= 2
    return sizes


def _plain(output: Any) -> Array | None:
    if isinstance(output, list) and output and all(isinstance(row, dict) for row in output):
        keys = output[0].keys()
        if all(row.keys() == keys for row in output):
            output = np.array([[row[key] for key in keys] for row in output])
    if not isinstance(output, np.ndarray):
        return None
    if output.dtype.kind == "O" and all(isinstance(text, str) for text in output.flat):
        output = output.astype(np.str_)
    return output if output.dtype.kind in "biufU" else None


def _difference(got: Array, expected: Array, share: float) -> str | None:
    texts = got.dtype.kind == expected.dtype.kind == "U"
    if got.dtype != expected.dtype and not texts:  # the width of texts is that of the longest
        return f"is {got.dtype} instead of {expected.dtype}"
    if got.shape != expected.shape:
        return f"has shape {_shape(got)} instead of {_shape(expected)}"
    if got.dtype.kind == "f":
        return _float_difference(got, expected, share)
    if got.dtype.kind in "iu" and got.dtype.itemsize == 1:
        return _quantised_difference(got, expected)
    wrong = int(np.count_nonzero(got != expected))
    return f"differs in {wrong} of {got.size} values" if wrong else None


def _float_difference(got: Array, expected: Array, share: float) -> str | None:
    finite = np.isfinite(expected)
    if not (
        np.isfinite(got[finite]).all()
        and np.array_equal(got[~finite], expected[~finite], equal_nan=True)
    ):
        return "has NaN or infinity in other places"
    got, expected = got[finite], expected[finite]
    largest = float(np.max(np.abs(expected), initial=0.0))
    with np.errstate(over="ignore"):  # the difference of two finite numbers may be infinite
        deviation = np.subtract(got, expected, dtype=np.promote_types(got.dtype, np.float32))
    worst = float(np.max(np.abs(deviation), initial=0.0))
    tolerance = share * FLOAT_TOLERANCE
    if worst <= tolerance * largest + FLOOR:
        return None
    return f"differs by {worst:.3g} (tolerance {tolerance:g} of its largest value {largest:.3g})"


def _quantised_difference(got: Array, expected: Array) -> str | None:
    expected, got = expected.astype(np.int16), got.astype(np.int16)
    worst = int(np.max(np.abs(got - expected), initial=0))
    span = int(np.ptp(expected)) if expected.size else 0
    steps = QUANTISED_STEP if span >= QUANTISED_SPAN else 0
    return f"differs by {worst} (tolerance {steps})" if worst > steps else None


def _shape(array: Array) -> str:
    return "x".join(map(str, array.shape)) or "scalar"
