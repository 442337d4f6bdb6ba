"""The tuned model in Triton's Python backend: model.py, beside tuned_model.py.

Written by `autotune export`. Triton joins the requests, each instance is a process with one
replica. Where AUTOTUNE_SEEN is in the server's environment, each answer has one more output,
`autotune_seen`: as JSON, what other servers say in `parameters`, which this backend could not set
before Triton 25.02.
"""

import json
import os
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from tuned_model import Replica
from v2_batches import Declared, Seen, Tensors

SEEN = "autotune_seen"

_TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
}


class TritonPythonModel:
    """One instance."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        """Say which inputs and outputs the model has; Triton asks in a process of its own."""
        inputs, outputs = Replica().declared()
        batched = auto_complete_model_config.as_dict()["max_batch_size"] > 0
        for one in inputs:
            auto_complete_model_config.add_input(_declared(one, batched))
        for one in outputs:
            auto_complete_model_config.add_output(_declared(one, batched))
        if "AUTOTUNE_SEEN" in os.environ:
            seen = {"name": SEEN, "data_type": "TYPE_STRING", "dims": [1]}
            auto_complete_model_config.add_output(seen)
        return auto_complete_model_config

    def initialize(self, args: dict[str, str]) -> None:
        """Open the session."""
        config = json.loads(args["model_config"])
        self.inputs = [one["name"] for one in config["input"]]
        self.batched = config["max_batch_size"] > 0
        self.tells = any(one["name"] == SEEN for one in config["output"])
        self.replica = Replica()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer the requests that Triton joined."""
        arrays = [{name: _array(request, name) for name in self.inputs} for request in requests]
        return [self._response(*answer) for answer in self.replica.execute(arrays)]

    def _response(self, outputs: Tensors, seen: Seen) -> Any:
        tensors = [pb_utils.Tensor(name, array) for name, array in outputs.items()]
        if self.tells:
            rows = (len(next(iter(outputs.values()))),) if self.batched else ()
            tensors.append(pb_utils.Tensor(SEEN, np.full((*rows, 1), json.dumps(seen), np.object_)))
        return pb_utils.InferenceResponse(tensors)


def _declared(one: Declared, batched: bool) -> dict[str, Any]:
    """Return an input or output in Triton's words, which leave the batch out."""
    dims = [size if isinstance(size, int) else -1 for size in one.shape]
    return {"name": one.name, "data_type": _TYPES[one.dtype], "dims": dims[batched:]}


def _array(request: Any, name: str) -> np.ndarray[Any, np.dtype[Any]]:
    array = pb_utils.get_input_tensor_by_name(request, name).as_numpy()
    if array.dtype == np.object_:  # text comes as bytes
        return np.array([text.decode() for text in array.flat], np.object_).reshape(array.shape)
    return array
