import json

import numpy as np
import pytest

from autotune.errors import ServerError
from autotune.servers.v2 import decode_answer, encode_request, parameters_of

ARRAYS = {
    "x": np.arange(6, dtype=np.float32).reshape(2, 3),
    "mask": np.array([[True, False]]),
    "half": np.array([1.5], np.float16),
    "scalar": np.array(7, np.int64),
    "text": np.array(["a", "é"]),
}


def answer(**more: object) -> bytes:
    return json.dumps({"outputs": encode_request(ARRAYS)["inputs"], **more}).encode()


def test_arrays_come_back_as_they_were() -> None:
    for body in (answer(), b"[" + answer() + b"]"):
        found = decode_answer(body)
        assert found.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype.kind == array.dtype.kind


def test_datatypes_are_the_protocols() -> None:
    names = {one["name"]: one["datatype"] for one in encode_request(ARRAYS)["inputs"]}
    assert names == {
        "x": "FP32", "mask": "BOOL", "half": "FP16", "scalar": "INT64", "text": "BYTES",
    }  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b'{"outputs": [{"name": "y"}]}'])
def test_what_is_no_answer_is_refused_with_its_beginning(body: bytes) -> None:
    with pytest.raises(ServerError, match="not of the open inference protocol"):
        decode_answer(body)


def test_parameters_are_found_without_reading_tensors() -> None:
    seen = {"inference_ms": 1.5, "batch_size": 4}
    assert parameters_of(answer(parameters=seen)) == seen
    assert parameters_of(answer()) == {}
    assert parameters_of(b'{"parameters": {broken}}') == {}


def test_where_a_server_has_no_parameters_an_output_carries_them() -> None:
    seen = {"inference_ms": 1.5, "process": 12}
    carried = {
        "name": "autotune_seen",
        "datatype": "BYTES",
        "shape": [1],
        "data": [json.dumps(seen)],
    }
    body = json.dumps({"outputs": [*encode_request(ARRAYS)["inputs"], carried]}).encode()
    assert parameters_of(body) == seen
    assert decode_answer(body).keys() == ARRAYS.keys()
