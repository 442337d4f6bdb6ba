"""Which files an ONNX model keeps its tensors in beside itself, and whether it may.

Read from the wire format of protobuf, and nothing else of the model is. Numbers of fields:
onnx.proto3.
"""

import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from autotune.errors import ModelError
from autotune.models.onnx_wire import (
    BYTES,
    VARINT,
    DamagedError,
    Field,
    TooIntricateError,
    fields,
    mapped,
)
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
_MOST_FIELDS = 20_000_000
"""That are looked at: about as many seconds as millions."""
_MOST_FILES = 10_000
_SHOWN = 200
"""Bytes of a name."""


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
        with mapped(path) as data:
            # Whoever keeps tensors elsewhere says so with this word.
            if isinstance(data.obj, mmap.mmap) and data.obj.find(_LOCATION) >= 0:
                yield from _walk(data)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    except DamagedError:
        raise ModelError(f"{path}: is not an ONNX model, or is truncated") from None
    except TooIntricateError:
        raise ModelError(f"{path}: has too many parts to be looked through") from None


def _walk(data: memoryview) -> Iterator[bytes]:
    stack, left = [_Part("model", 0, len(data))], _MOST_FIELDS
    while stack:
        part = stack.pop()
        inner, elsewhere, entries = _INNER[part.kind], False, list[Field]()
        for field in fields(data, part.start, part.end):
            left -= 1
            if left < 0:
                raise TooIntricateError
            if field.number in inner and field.kind == BYTES:
                stack.append(_Part(inner[field.number], field.start, field.end))
            elif part.kind == "tensor" and field.number == _DATA_LOCATION:
                elsewhere = field.kind == VARINT and field.value == _ELSEWHERE
            elif part.kind == "tensor" and field.number == _EXTERNAL_DATA:
                entries.append(field)
        left -= len(entries)
        for entry in entries if elsewhere else ():
            texts = {
                one.number: bytes(data[one.start : one.end])
                for one in fields(data, entry.start, entry.end)
            }
            if texts.get(_KEY) == _LOCATION:
                yield texts.get(_VALUE, b"")
        if elsewhere and not entries:
            yield b""
