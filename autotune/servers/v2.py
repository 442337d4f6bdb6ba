"""Requests and answers of the open inference protocol, version 2, as JSON.

Source: the "Open Inference Protocol (V2)" specification, required API.
"""

import json
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from autotune.errors import ServerError

Arrays = dict[str, npt.NDArray[Any]]

_NAMES = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
_DTYPES = {name: dtype for dtype, name in _NAMES.items()} | {"BYTES": "str"}
SEEN_OUTPUT = "autotune_seen"
"""Carries the parameters as text where a server cannot attach any to an answer."""
_SEEN = re.compile(rb'"name"\s*:\s*"autotune_seen"[^\[]*\[[^\]]*\][^\[]*\[\s*("(?:[^"\\]|\\.)*")')
_PARAMETERS = re.compile(rb'"parameters"\s*:\s*(\{[^{}]*\})')


def encode_request(arrays: Arrays) -> dict[str, Any]:
    """Return a request with these inputs by name; texts become BYTES."""
    return {
        "inputs": [
            {
                "name": name,
                "shape": list(array.shape),
                "datatype": _NAMES.get(array.dtype.name, "BYTES"),
                "data": array.ravel().tolist(),
            }
            for name, array in arrays.items()
        ]
    }


def decode_answer(body: bytes) -> Arrays:
    """Return the outputs of an answer by name, of the only one where it is a list.

    Raises:
        ServerError: it is no answer of this protocol.
    """
    try:
        answer = json.loads(body)
        answer = answer[0] if isinstance(answer, list) else answer
        return {
            one["name"]: np.array(one["data"], _DTYPES[one["datatype"]]).reshape(one["shape"])
            for one in answer["outputs"]
            if one["name"] != SEEN_OUTPUT
        }
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ServerError(
            f"the server's answer is not of the open inference protocol ({error!r}): "
            f"{body[:200].decode(errors='replace')}"
        ) from None


def parameters_of(body: bytes) -> dict[str, Any]:
    """Return the parameters of an answer without reading its tensors; empty where it has none.

    An answer may hold megabytes of numbers, and whoever drives a server must not spend the
    time that the server needs.
    """
    try:
        if match := _SEEN.search(body):
            found = json.loads(json.loads(match[1]))
        elif match := _PARAMETERS.search(body):
            found = json.loads(match[1])
        else:
            return {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
