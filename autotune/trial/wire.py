"""What parent and child say to each other: msgpack over a pipe of their own, no pickle."""

from typing import Any

import msgspec
import numpy as np

from autotune.errors import MeasureError
from autotune.outcome import Disturbance, ModelInfo, Samples, ServiceTimes
from autotune.records import Failed, Transfer
from autotune.spec import Allowed, ModelSpec, Record, SessionShape, TrialSpec


class Inspect(Record, frozen=True, tag="inspect"):
    """Load the model, run it, say what it is. Answered by `ModelInfo`."""

    model: ModelSpec
    outputs_folder: str
    """Where to leave the default session's outputs, if they can be checked against."""
    requests_folder: str | None = None
    """Where to leave the requests themselves; None: nowhere."""
    allowed: Allowed = Allowed()
    """Which values of knobs may be tried, if the runtime has them."""


class Open(Record, frozen=True, tag="open"):
    """Load one replica per session of `shape` and check its answers.

    Answered by `Opened`, before which there may be any number of `Opening`. Before this and any
    other answer there may be `Compiled`.
    """

    model: ModelSpec
    shape: SessionShape
    outputs_folder: str | None = None
    """Where the default session's outputs are; None where there are none to check against."""


class ClosedLoop(Record, frozen=True, tag="closed_loop"):
    """Execute batches on `busy` replicas, back to back or with pauses.

    Answered by `ServiceTimes`.
    """

    busy: int
    batch_size: int
    duration_s: float
    min_runs: int
    pause_s: float = 0.0
    """Before each execution: exponentially distributed with this mean."""


class OpenLoop(Record, frozen=True, tag="open_loop"):
    """Serve a schedule with the open sessions. Answered by `Served`; times are in the log."""

    trial: TrialSpec
    starts_at_s: float | None = None
    """When the run begins, on the monotonic clock that all processes share; None: at once."""
    follows: int = 0
    """Requests for each answer of the step before it in a chain, instead of a schedule, which only
    says how many there may be, and until when; 0: it is the first."""
    feeds: bool = False
    """Whether there is a step after it."""


class Idle(Record, frozen=True, tag="idle"):
    """Run each replica once, then do nothing for `duration_s`. Answered by `Idled`."""

    duration_s: float


class Opening(Record, frozen=True, tag="opening"):
    """How far an `Open` has come; not its answer, which is still to follow."""

    opened: int
    """Replicas that stand."""
    of: int


class Compiled(Record, frozen=True, tag="compiled"):
    """What has been compiled for the request that is being answered; not its answer either."""

    seconds: float


class Opened(Record, frozen=True, tag="opened"):
    """The sessions stand."""

    load_s: float
    nodes: dict[str, int]
    """Nodes of the model's graph by who executes them; empty: not known."""


class Served(Record, frozen=True, tag="served"):
    """The schedule was served, or stopped. See `Measured` for the fields."""

    duration_s: float
    cpu_s: float
    joules: float | None
    peak_memory_bytes: int
    disturbance: Disturbance
    transfer: Transfer | None = None


class Idled(Record, frozen=True, tag="idled"):
    """What loaded sessions cost that have nothing to do."""

    cpu_s: float
    """CPU seconds that the process used meanwhile."""


class Refused(Record, frozen=True, tag="refused"):
    """What was asked cannot be done, and the person must change something."""

    usage: bool
    """True where an option is at fault, False where the model is."""
    message: str


Request = Inspect | Open | ClosedLoop | OpenLoop | Idle
Reply = ModelInfo | Opening | Compiled | Opened | ServiceTimes | Served | Idled | Failed | Refused


def bytes_of_array(value: Any) -> bytes:
    """Return an array of numbers as bytes, for msgspec to encode (`enc_hook`)."""
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value, dtype=np.float64).tobytes()
    raise NotImplementedError(f"cannot send {type(value).__name__}")


def array_of_bytes(kind: type, value: Any) -> Samples:
    """Return the array that bytes hold, which cannot be written to (`dec_hook`)."""
    return np.frombuffer(value, dtype=np.float64)


_encoder = msgspec.msgpack.Encoder(enc_hook=bytes_of_array)
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply, dec_hook=array_of_bytes)


def encode(message: Request | Reply) -> bytes:
    """Return the message as bytes."""
    return encode_any(message)


def encode_any(value: object) -> bytes:
    """Return records, and arrays in them, as bytes."""
    return _encoder.encode(value)


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


def as_failure(reply: Reply) -> Failed:
    """Return why a request could not be met, which was not answered as it should be.

    Raises:
        MeasureError: it was answered by something else.
    """
    if isinstance(reply, Failed):
        return reply
    if isinstance(reply, Refused):
        return Failed(kind="load_error", detail=reply.message)
    raise MeasureError(f"unexpected reply {type(reply).__name__}")
