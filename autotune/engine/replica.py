"""Replicas: threads that take a batch, execute it, and hand the answers back."""

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from autotune.engine.assembly import Assembly, own_buffers
from autotune.engine.errors import ModelEndedError, ReplicaGoneError
from autotune.engine.source import Source, Tensors, split

Infer = Callable[[Tensors], Tensors]
"""A model: inputs by name, stacked along the first axis -> outputs by name.

The inputs are good until it returns. It may offer memory for them, see `OwnBuffers`.
"""

Replace = Callable[[int, ReplicaGoneError], Infer | None]
"""Is told which replica is gone and why; returns another in its place, or None: none comes."""

_PR_SET_TIMERSLACK = 29
_TIMER_SLACK_NS = 1_000


class Turns(NamedTuple):
    """Where one replica of several gets its batches from."""

    source: Source
    lock: threading.Lock
    """Shared by all replicas: one at a time forms a batch."""
    max_batch_size: int
    batch_timeout_s: float


@runtime_checkable
class Serves(Protocol):
    """What an infer may offer besides being called: to serve by itself, several batches at once."""

    def serve(self, turns: Turns) -> None:
        """Take batches and answer them until there are no more; return when all are answered."""


def start_replicas(
    infers: Sequence[Infer],
    source: Source,
    max_batch_size: int,
    batch_timeout_s: float,
    replace: Replace = lambda number, error: None,
) -> list[threading.Thread]:
    """Start one thread per replica; each ends when the source has no more requests.

    It ends earlier only where its replica is gone and `replace` gives no other.
    """
    turns = Turns(source, threading.Lock(), max_batch_size, batch_timeout_s)
    threads = replica_threads(infers, turns, replace)
    for thread in threads:
        thread.start()
    return threads


def replica_threads(
    infers: Sequence[Infer], turns: Turns, replace: Replace
) -> list[threading.Thread]:
    """Return the threads of `start_replicas`, not started yet."""
    return [
        threading.Thread(
            target=_start,
            args=(infer, turns, number, replace),
            name=f"replica-{number}",
            daemon=True,
        )
        for number, infer in enumerate(infers)
    ]


def _start(infer: Infer | None, turns: Turns, number: int, replace: Replace) -> None:
    lower_timer_slack()
    while infer is not None:
        try:
            _serve(infer, turns)
            return
        except ReplicaGoneError as error:  # its batch has been failed
            _let_go(error)
            infer = replace(number, error)


def _let_go(error: BaseException | None) -> None:
    """Free what an error's frames hold: a request may keep it, and with it a replica's memory."""
    while error is not None:
        error.__traceback__ = None
        error = error.__context__


def _serve(infer: Infer, turns: Turns) -> None:
    by_itself = _by_itself(infer)
    if by_itself is not None:
        by_itself.serve(turns)
    else:
        serve_in_turn(infer, turns)


def _by_itself(infer: object) -> Serves | None:
    return infer if isinstance(infer, Serves) else None


def serve_in_turn(infer: Infer, turns: Turns) -> None:
    """Answer one batch after the other.

    Raises:
        ReplicaGoneError: the infer did, for the batch that is failed with it.
    """
    source, lock, max_batch_size, batch_timeout_s = turns
    assembly = Assembly(own_buffers(infer), max_batch_size)
    while True:
        with lock:
            batch = source.take(max_batch_size, batch_timeout_s, assembly.offer)
        if batch is None:
            return
        if not batch.inputs:
            assembly.forget()
            continue  # every request of it was cancelled
        started_s = time.perf_counter()
        try:
            outputs = assembly.detach(infer(assembly.stack(batch.inputs)))
            answers = split(outputs, batch.inputs)
        except ReplicaGoneError as error:
            source.fail(batch, error)
            raise
        except BaseException as error:  # whatever the model raises is the requests' answer
            source.fail(batch, as_answer(error))
        else:
            source.complete(batch, answers, started_s)


def as_answer(error: BaseException) -> Exception:
    """Return what a model raised as what its requests may raise: that must end no caller."""
    if isinstance(error, Exception):
        return error
    answer = ModelEndedError(f"the model raised {type(error).__name__}: {error}")
    answer.__cause__ = error
    return answer


def lower_timer_slack() -> None:
    """Wake this thread within microseconds of its time: the kernel's default adds 50."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK_NS, 0, 0, 0)
