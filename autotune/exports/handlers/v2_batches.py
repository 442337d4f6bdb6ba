"""Requests of the open inference protocol, version 2, as arrays and back, and batches of them.

Written by `autotune export`. Needs numpy. Each answer's `parameters` say what was seen:
`inference_ms` and `batch_size` of the batch it was part of, the `process` that executed it, and
`session_threads`, the threads that opening the model started there.
"""

import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FOLDER = Path(__file__).parent
KNOBS: dict[str, Any] = json.loads((FOLDER / "knobs.json").read_text())

_DTYPES = {
    "BOOL": np.bool_,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}

Tensors = dict[str, np.ndarray[Any, np.dtype[Any]]]
Seen = dict[str, Any]


class Declared(NamedTuple):
    """An input or output of the model."""

    name: str
    dtype: str
    """In ONNX Runtime's words: `tensor(float)`."""
    shape: list[Any]
    """An open dimension is no number."""


class Batches:
    """What every replica does with requests; `run` executes, and is the subclass's."""

    session_threads: int
    """How many threads opening the model started in this process."""

    def run(self, inputs: Tensors) -> Tensors:
        """Execute one batch."""
        raise NotImplementedError

    def answer(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Execute requests together, from body to body."""
        arrays = [decode(request) for request in requests]
        return [body(outputs, seen) for outputs, seen in self.execute(arrays)]

    def execute(self, requests: list[Tensors]) -> list[tuple[Tensors, Seen]]:
        """Execute requests together, those of equal shapes as one batch: outputs, what was seen."""
        alike: dict[Any, list[int]] = {}
        for index, one in enumerate(requests):
            key = tuple((name, value.dtype.str, value.shape) for name, value in one.items())
            alike.setdefault(key, []).append(index)
        answers: list[tuple[Tensors, Seen]] = [({}, {})] * len(requests)
        for members in alike.values():
            started_s = time.perf_counter()
            outputs = self._together([requests[index] for index in members])
            inference_ms = 1e3 * (time.perf_counter() - started_s)
            seen = {"inference_ms": inference_ms, "batch_size": len(members), **self.seen()}
            for index, one in zip(members, outputs, strict=True):
                answers[index] = (one, seen)
        return answers

    def seen(self) -> Seen:
        """Return what there is to see of this replica beside its batches."""
        return {"process": os.getpid(), "session_threads": self.session_threads}

    def _together(self, requests: list[Tensors]) -> list[Tensors]:
        if len(requests) == 1:
            return [self.run(requests[0])]
        names = requests[0]
        joined = self.run({name: np.concatenate([one[name] for one in requests]) for name in names})
        parts = {name: np.split(array, len(requests)) for name, array in joined.items()}
        return [{name: parts[name][i] for name in parts} for i in range(len(requests))]


def decode(request: dict[str, Any]) -> Tensors:
    """Return the arrays of a request by input name."""
    return {
        tensor["name"]: np.array(tensor["data"], _DTYPES[tensor["datatype"]]).reshape(
            tensor["shape"]
        )
        for tensor in request["inputs"]
    }


def encode(outputs: Tensors) -> list[dict[str, Any]]:
    """Return arrays as the tensors of an answer."""
    return [
        {
            "name": name,
            "datatype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data": array.ravel().tolist(),
        }
        for name, array in outputs.items()
    ]


def body(outputs: Tensors, seen: Seen) -> dict[str, Any]:
    """Return an answer."""
    return {"model_name": KNOBS["name"], "outputs": encode(outputs), "parameters": seen}


def threads() -> int:
    """Return how many threads this process has."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 0  # elsewhere than on Linux nobody counts
