"""Which files an ONNX model keeps its tensors in beside itself, and whether it may.

Read from the wire format of protobuf, field by field, and nothing else of the model: no message is
built, so that no bomb in it can go off here. Numbers of fields: onnx.proto3.
"""

import contextlib
import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from autotune.bounded_file import open_regular
from autotune.errors import ModelError
from autotune.tabular import printable

Message = Literal["model", "training", "graph", "function", "node", "attribute", "sparse", "tensor"]

_INNER: dict[Message, dict[int, Message]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Of each kind of message, the fields that lead to tensors."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
"""Of a tensor: where it is kept, and whether that counts."""
_ELSEWHERE = 1
_KEY, _VALUE = 1, 2
"""Of an entry of a tensor's `external_data`."""
_LOCATION = b"location"
_VARINT, _FIXED64, _BYTES, _START, _END, _FIXED32 = range(6)
_LONGEST_VARINT = 10
_MOST_FIELDS = 20_000_000
"""That are looked at: about as many seconds as millions."""
_MOST_FILES = 10_000
_LARGEST_MODEL = 1 << 40
_SHOWN = 200
"""Bytes of a name."""


class _DamagedError(Exception):
    """The bytes are no protobuf."""


class _Part(NamedTuple):
    """A message within the file."""

    kind: Message
    start: int
    end: int


def external_files(path: Path) -> list[Path]:
    """Return the files beside a model that hold tensors of it, each once.

    They lie in the model's own folder or beneath it; where the model is a link, the folder of what
    it links to counts as well.

    Raises:
        ModelError: it cannot be read, names a file elsewhere, a missing one or no regular one, or
            is too intricate to be looked through.
    """
    folders = {os.path.realpath(path.parent), os.path.dirname(os.path.realpath(path))}
    found: dict[Path, None] = {}
    own = os.path.realpath(path)
    for location in dict.fromkeys(_locations(path)):
        file = _checked(path, location, folders)
        if os.path.realpath(file) != own:
            found[file] = None
        if len(found) > _MOST_FILES:
            raise ModelError(f"{path}: keeps its tensors in more than {_MOST_FILES:,} files")
    return list(found)


def _checked(path: Path, location: bytes, folders: set[str]) -> Path:
    name = printable(location[:_SHOWN].decode(errors="backslashreplace"))
    what = f"{path}: its external data file {name!r}"
    if not location or b"\0" in location:
        raise ModelError(f"{what} has no name that a file can have")
    if location.startswith(b"/"):
        raise ModelError(f"{what} is an absolute path: it must lie beside the model")
    file = path.parent / os.fsdecode(location)
    try:
        real = os.path.realpath(file, strict=True)
        mode = os.stat(real).st_mode
    except FileNotFoundError:
        raise ModelError(f"{path}: its external data file is missing: {name}") from None
    except OSError as error:
        raise ModelError(f"{what} cannot be read: {error.strerror}") from None
    if not any(os.path.commonpath([real, folder]) == folder for folder in folders):
        raise ModelError(f"{what} lies outside the model's folder: it must lie beside the model")
    if not stat.S_ISREG(mode):
        raise ModelError(f"{what} is no regular file")
    return file


def _locations(path: Path) -> Iterator[bytes]:
    """Yield the location of each tensor that is kept elsewhere."""
    try:
        with open_regular(path, _LARGEST_MODEL) as file, contextlib.ExitStack() as stack:
            if not os.fstat(file.fileno()).st_size:
                return
            data = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            # Whoever keeps tensors elsewhere says so with this word.
            if data.find(_LOCATION) >= 0 and data[4:8] != b"ORTM":
                yield from _walk(data)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    except _DamagedError:
        raise ModelError(f"{path}: is not an ONNX model, or is truncated") from None
    except _TooIntricateError:
        raise ModelError(f"{path}: has too many parts to be looked through") from None


class _TooIntricateError(Exception):
    """Going on would take too long."""


def _walk(data: mmap.mmap) -> Iterator[bytes]:
    stack, left = [_Part("model", 0, len(data))], _MOST_FIELDS
    while stack:
        part = stack.pop()
        inner, elsewhere, entries = _INNER[part.kind], False, list[_Field]()
        for field in _fields(data, part.start, part.end):
            left -= 1
            if left < 0:
                raise _TooIntricateError
            if field.number in inner and field.value is None:
                stack.append(_Part(inner[field.number], field.start, field.end))
            elif part.kind == "tensor" and field.number == _DATA_LOCATION:
                elsewhere = field.value == _ELSEWHERE
            elif part.kind == "tensor" and field.number == _EXTERNAL_DATA:
                entries.append(field)
        left -= len(entries)
        for entry in entries if elsewhere else ():
            texts = {one.number: data[one.start : one.end] for one in _fields(data, *entry[1:3])}
            if texts.get(_KEY) == _LOCATION:
                yield texts.get(_VALUE, b"")
        if elsewhere and not entries:
            yield b""


class _Field(NamedTuple):
    number: int
    start: int
    end: int
    value: int | None
    """Of a number; None: it is a run of bytes."""


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[_Field]:
    """Yield the fields of a message, but for numbers of fixed size."""
    while at < end:
        tag, at = _varint(data, at, end)
        number, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            length, at = _varint(data, at, end)
            if length > end - at:
                raise _DamagedError
            yield _Field(number, at, at + length, None)
            at += length
        elif kind == _VARINT:
            value, after = _varint(data, at, end)
            yield _Field(number, at, after, value)
            at = after
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
            if at > end:
                raise _DamagedError
        elif kind not in (_START, _END):  # what stands in a group is looked at as if it did not
            raise _DamagedError


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    number = 0
    for place in range(_LONGEST_VARINT):
        if at >= end:
            raise _DamagedError
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at
    raise _DamagedError
