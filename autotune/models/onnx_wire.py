"""The wire format of protobuf, as ONNX models have it: field by field, and no message is built.

So no bomb in a model can go off here. Source: protobuf.dev, "Encoding".
"""

import contextlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.bounded_file import open_regular

ORT_MAGIC = b"ORTM"
"""At byte 4 of a file in ONNX Runtime's own format, which is no protobuf."""
VARINT, FIXED64, BYTES, _START, _END, FIXED32, RUN = range(7)
_LONGEST_VARINT = 10
_LARGEST_MODEL = 1 << 40
_CHUNK_BYTES = 1 << 20


class DamagedError(Exception):
    """The bytes are no protobuf."""


class TooIntricateError(Exception):
    """Going on would take too long."""


class Field(NamedTuple):
    """One field of a message."""

    number: int
    kind: int
    """`VARINT`, `FIXED64`, `BYTES` or `FIXED32`; `RUN`: several, with their tags."""
    start: int
    """Where what it holds begins within the file, and where it ends."""
    end: int
    value: int = 0
    """Of a `VARINT`."""


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """Yield the bytes of a model's file, none where it is empty or in ONNX Runtime's own format.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    with open_regular(path, _LARGEST_MODEL) as file, contextlib.ExitStack() as stack:
        if not os.fstat(file.fileno()).st_size:
            yield memoryview(b"")
            return
        data = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        if data[4:8] == ORT_MAGIC:
            yield memoryview(b"")
            return
        yield stack.enter_context(memoryview(data))


def fields(
    data: memoryview, at: int, end: int, joined: frozenset[int] = frozenset()
) -> Iterator[Field]:
    """Yield the fields of the message between two places.

    Trees keep millions of numbers and words, each as a field: of those numbers that are `joined`,
    fields that follow each other are one.

    Raises:
        DamagedError: it is none.
    """
    while at < end:
        start = at
        tag, at = _varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if number in joined and (after := _run_end(data, tag, start, end)) > start:
            yield Field(number, RUN, start, after)
            at = after
        elif kind == BYTES:
            length, at = _varint(data, at, end)
            if length > end - at:
                raise DamagedError
            yield Field(number, kind, at, at + length)
            at += length
        elif kind == VARINT:
            value, after = _varint(data, at, end)
            yield Field(number, kind, at, after, value)
            at = after
        elif kind in (FIXED64, FIXED32):
            after = at + (8 if kind == FIXED64 else 4)
            if after > end:
                raise DamagedError
            yield Field(number, kind, at, after)
            at = after
        elif kind not in (_START, _END):  # what stands in a group is looked at as if it did not
            raise DamagedError


def varints(data: memoryview, at: int, end: int) -> Iterator[int]:
    """Yield the numbers of a packed field.

    Raises:
        DamagedError: it is none.
    """
    while at < end:
        number, at = _varint(data, at, end)
        yield number


def _run_end(data: memoryview, tag: int, start: int, end: int) -> int:
    """Return where the fields end that from `start` on have this tag of one byte; `start`: none."""
    at, kind = start, tag & 7
    if kind == BYTES:
        while at + 1 < end and data[at] == tag and data[at + 1] < 0x80:
            if (after := at + 2 + data[at + 1]) > end:
                break
            at = after
        return at
    while kind in (VARINT, FIXED32) and at < end and data[at] == tag:
        chunk = np.frombuffer(data[at : min(end, at + _CHUNK_BYTES)], np.uint8)
        size = _fixed_run(chunk, tag) if kind == FIXED32 else _varint_run(chunk, tag)
        if not size:
            break
        at += size
    return at


def _fixed_run(chunk: npt.NDArray[np.uint8], tag: int) -> int:
    """Return the bytes at the beginning of a chunk that are such fields, whole ones."""
    tags = chunk[: len(chunk) // 5 * 5 : 5]
    other = np.flatnonzero(tags != tag)
    return 5 * int(other[0] if len(other) else len(tags))


def _varint_run(chunk: npt.NDArray[np.uint8], tag: int) -> int:
    """Likewise: tags and numbers take turns, and each ends with a byte without its highest bit."""
    ends = np.flatnonzero(chunk < 0x80)
    ends = ends[: len(ends) // 2 * 2]
    tag_ends, value_ends = ends[::2], ends[1::2]
    starts = np.concatenate([[0], value_ends[:-1] + 1])[: len(tag_ends)]
    is_field = (starts == tag_ends) & (chunk[tag_ends] == tag)
    is_field &= value_ends - tag_ends <= _LONGEST_VARINT
    other = np.flatnonzero(~is_field)
    count = int(other[0]) if len(other) else len(tag_ends)
    return int(value_ends[count - 1]) + 1 if count else 0


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    number = 0
    for place in range(_LONGEST_VARINT):
        if at >= end:
            raise DamagedError
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at
    raise DamagedError
