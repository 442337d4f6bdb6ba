"""What a replica's process and the one that it serves say to each other: msgpack, no pickle.

Arrays of numbers lie in shared memory, and only their places are said.
"""

from typing import Any, Literal

import msgspec
import numpy as np

from autotune.models.shared_arrays import Placed, SharedArrays, after
from autotune.records import InputInfo
from autotune.spec import ModelSpec, SessionShape

_ARRAY, _TEXTS = 1, 2
"""Codes of msgpack's extension types: arrays within other values, and arrays of texts."""


class Said(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A value that is no array of numbers: texts, or what an operator on sequences returns."""

    value: Any


Values = dict[str, Placed | Said]
"""Inputs or outputs by name."""


Kind = Literal["usage", "model", "memory", "run"]
"""An option is at fault, the model is, there was no memory, or the model raised an error."""


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Open one replica of the model. Answered by `Loaded` or `Raised`."""

    model: ModelSpec
    shape: SessionShape
    number: int
    """Which of the replicas of the shape."""


class Run(msgspec.Struct, frozen=True, tag="run"):
    """Execute the model. Answered by `Ran` or `Raised`."""

    inputs: Values


class AskCompiled(msgspec.Struct, frozen=True, tag="ask_compiled"):
    """Say how long was spent on compiling. Answered by `Compiled`."""


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The replica stands."""

    inputs: list[InputInfo]
    outputs: list[InputInfo]
    own: dict[str, Any] | None
    """One request that the model brings along; None: none."""
    nodes: dict[str, int]
    """Nodes of the model's graph by who executes them; empty: not known."""


class Ran(msgspec.Struct, frozen=True, tag="ran"):
    """The model's outputs; their memory is used again by the next run."""

    outputs: Values


class Compiled(msgspec.Struct, frozen=True, tag="compiled"):
    """Seconds of compiling in the life of the process."""

    seconds: float


class Raised(msgspec.Struct, frozen=True, tag="raised"):
    """It could not be done."""

    kind: Kind
    message: str


Request = Load | Run | AskCompiled
Reply = Loaded | Ran | Compiled | Raised


def place(values: dict[str, Any], memory: SharedArrays, offset: int) -> Values:
    """Put arrays of numbers that do not lie in the memory yet into it, from `offset` on."""
    # Pages that stay untouched cost nothing, so ask for what everything would take.
    memory.demand(offset + sum(after(0, array.nbytes) for array in values.values() if _flat(array)))
    placed: Values = {}
    for name, value in values.items():
        if not _flat(value):
            placed[name] = Said(value)
        elif (found := memory.find(value)) is not None:
            placed[name] = found
        else:
            placed[name] = memory.put(value, offset)
            offset = after(offset, value.nbytes)
    return placed


def take(values: Values, memory: SharedArrays) -> dict[str, Any]:
    """Return what was placed; arrays of numbers are views of the memory."""
    return {
        name: memory.view(value) if isinstance(value, Placed) else value.value
        for name, value in values.items()
    }


def encode(message: Request | Reply) -> bytes:
    """Return the message as bytes.

    Raises:
        NotImplementedError: a value is no array, text or number, and no list or map of these.
    """
    return _encoder.encode(message)


def decode_request(data: bytes) -> Request:
    """Return the request.

    Raises:
        msgspec.DecodeError: the bytes are no request.
    """
    return _requests.decode(data)


def decode_reply(data: bytes) -> Reply:
    """Return the reply.

    Raises:
        msgspec.DecodeError: the bytes are no reply.
    """
    return _replies.decode(data)


def _flat(value: Any) -> bool:
    """Whether it is an array whose memory says all."""
    return isinstance(value, np.ndarray) and not value.dtype.hasobject


def _encode_other(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise NotImplementedError(f"cannot send {type(value).__name__} between processes")
    if value.dtype.hasobject:
        return _extension(_TEXTS, [value.shape, value.ravel().tolist()])
    return _extension(_ARRAY, [value.shape, value.dtype.str, value.tobytes()])


def _extension(code: int, content: list[Any]) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(code, _encoder.encode(content))


def _decode_other(code: int, data: memoryview) -> Any:
    shape, *rest = msgspec.msgpack.decode(data)
    if code == _TEXTS:
        texts = np.empty(len(rest[0]), dtype=object)
        texts[:] = rest[0]
        return texts.reshape(shape)
    return np.ndarray(shape, rest[0], bytearray(rest[1]))


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_other)
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(
    Request, ext_hook=_decode_other
)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply, ext_hook=_decode_other)
