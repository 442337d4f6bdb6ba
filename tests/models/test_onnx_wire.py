"""The wire format, as protobuf itself writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto

from autotune.models import onnx_wire
from autotune.models.onnx_wire import BYTES, RUN, DamagedError, Field, fields

FLOATS = st.lists(st.floats(width=32, allow_nan=False), max_size=9)
LISTS = frozenset({7, 8, 9})
WORDS = st.lists(st.binary(max_size=3) | st.just(b"a word of some length" * 9), max_size=9)
INTS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=9)


def told(data: bytes, joined: bool = False) -> list[Field]:
    return list(fields(memoryview(data), 0, len(data), LISTS if joined else frozenset()))


def split(data: bytes, found: list[Field]) -> list[Field]:
    """Runs as the fields that they are of."""
    view = memoryview(data)
    return [
        one
        for field in found
        for one in (fields(view, field.start, field.end) if field.kind == RUN else [field])
    ]


@given(FLOATS, INTS, WORDS, st.integers(2, 40))
def test_runs_are_the_fields_that_stand_one_by_one(
    floats: list[float], ints: list[int], words: list[bytes], chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_wire, "_CHUNK_BYTES", chunk)
        data = AttributeProto(
            name="a", floats=floats, ints=ints, strings=words, i=3
        ).SerializeToString()
        assert split(data, told(data, joined=True)) == told(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_told_alike_or_damaged(data: bytes) -> None:
    try:
        one_by_one = told(data)
    except DamagedError:
        with pytest.raises(DamagedError):
            split(data, told(data, joined=True))
        return
    assert split(data, told(data, joined=True)) == one_by_one


def test_many_numbers_are_one_field() -> None:
    attribute = AttributeProto(
        name="a", ints=range(1000), floats=[0.5] * 1000, strings=[b"LEAF"] * 1000
    )
    data = attribute.SerializeToString()
    assert [one.number for one in told(data, joined=True)] == [1, 7, 8, 9]
    assert len(told(data)) == 3001
    assert told(data)[0] == Field(1, BYTES, 2, 3)
