"""A live request: how it is taken in, how it ends, and what of a failed batch is tried again."""

import logging
import math
import time
from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from autotune.engine.errors import DeadlineExceededError, ReplicaGoneError
from autotune.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from autotune.engine.source import Tensors

LOG = logging.getLogger("autotune.engine")

MOST_DEATHS = 2
"""A request that was alone as often when a replica died is not tried again."""
RECENT = 8
"""Executions of a batch size that tell what the next will take, ..."""
RECENT_S = 10.0
"""... if they are no older: where everything was dropped for one bad moment, it is tried anew."""

Signature = tuple[tuple[str, object, tuple[int, ...]], ...]
"""What requests must have in common to be stacked."""


class Request(NamedTuple):
    """A request that was submitted. Moments are readings of `time.perf_counter`."""

    inputs: "Tensors"
    future: "Future[Tensors]"
    signature: Signature | None
    """None: it is never stacked with others."""
    submitted_s: float
    deadline_s: float = math.inf
    deaths: int = 0
    """How often it was alone in a batch when a replica died."""


def new_request(inputs: "Tensors", timeout_s: float | None) -> Request:
    """Return a request that is submitted now.

    Raises:
        UsageError: the timeout is no number.
    """
    now_s = time.perf_counter()
    if timeout_s is None:
        return Request(inputs, Future(), signature_of(inputs), now_s)
    if math.isnan(timeout_s):
        raise UsageError("timeout_s: must be a number of seconds, or None")
    return Request(inputs, Future(), signature_of(inputs), now_s, now_s + timeout_s)


def demand_inputs(inputs: "Tensors", names: Collection[str] | None) -> None:
    """Check what can be checked at once; the model itself finds wrong types and shapes.

    Args:
        inputs: of one request.
        names: what the model's inputs are called; None: not known.

    Raises:
        UsageError: they are no arrays by name, or not those that the model takes.
    """
    if not isinstance(inputs, dict):
        kind = type(inputs).__name__
        raise UsageError(f"inputs: must be a dict of arrays by input name, not {kind}")
    for name, array in inputs.items():
        if not isinstance(array, np.ndarray):
            kind = type(array).__name__
            raise UsageError(f"input {name!r}: must be a numpy array, not {kind}")
    if names is None or inputs.keys() == names:
        return
    for name in sorted(names):
        if name not in inputs:
            raise UsageError(f"input {name!r}: is missing; given: {', '.join(map(str, inputs))}")
    for name in inputs:
        if name not in names:
            raise UsageError(f"input {name!r}: the model has none{did_you_mean(str(name), names)}")


def signature_of(inputs: "Tensors") -> Signature | None:
    """Return what others must share to be stacked with these inputs; None: nothing may be.

    Inputs of unequal rows are such: others' rows would shift against each other.
    """
    if len(inputs) == 1:  # as most have, and then it is simple
        ((name, array),) = inputs.items()
        return ((name, array.dtype, array.shape[1:]),) if array.ndim else None
    rows = {array.shape[:1] for array in inputs.values()}
    if len(rows) != 1 or () in rows:
        return None
    return tuple((name, inputs[name].dtype, inputs[name].shape[1:]) for name in sorted(inputs))


def tried_again(requests: Sequence[Request], error: Exception) -> list[list[Request]]:
    """Return the batches in which requests of a failed one are tried again; none: the error stands.

    A batch is halved until what fails is alone, so k bad requests of n cost about 2 k log2(n)
    executions. Source: binary splitting in group testing (Sobel and Groll, 1959).
    """
    if len(requests) > 1:
        middle = len(requests) // 2
        return [list(requests[:middle]), list(requests[middle:])]
    if isinstance(error, ReplicaGoneError):
        again = [one._replace(deaths=one.deaths + 1) for one in requests]
        return [[one] for one in again if one.deaths < MOST_DEATHS]
    return []


class RecentTimes:
    """How long batches of each size took of late. Not thread-safe."""

    def __init__(self) -> None:
        """Know nothing."""
        self._of_size: dict[int, deque[tuple[float, float]]] = {}

    def add(self, batch_size: int, started_s: float, ended_s: float) -> None:
        """Remember an execution; at the place of the oldest."""
        known = self._of_size.get(batch_size)
        if known is None:
            known = self._of_size[batch_size] = deque(maxlen=RECENT)
        known.append((ended_s, ended_s - started_s))

    def least_s(self, batch_size: int, now_s: float) -> float:
        """Return the shortest of the recent executions in seconds; 0 where there is none.

        The shortest: a request is given up only where it would be late at the best.
        """
        known = self._of_size.get(batch_size, ())
        return min((took_s for ended_s, took_s in known if now_s - ended_s < RECENT_S), default=0.0)


def resolve(future: "Future[Tensors]", outcome: "Tensors | Exception") -> None:
    """Let a future give its outputs or raise its error, whatever its callbacks do.

    A future that somebody else has ended is left as it is.
    """
    try:
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
    except InvalidStateError:
        pass
    except BaseException:  # of a callback: it must not end the replica
        LOG.exception("a callback of a request's future raised an error")


def expire(requests: Sequence[Request]) -> None:
    """Let requests raise that they could not be answered in time."""
    for one in requests:
        waited_ms = 1e3 * (time.perf_counter() - one.submitted_s)
        allowed_ms = 1e3 * (one.deadline_s - one.submitted_s)
        text = f"not served within {allowed_ms:.3g} ms: dropped after {waited_ms:.3g} ms in queue"
        resolve(one.future, DeadlineExceededError(text))
