"""A batch is put together in memory that its replica owns, in place, while it waits for company.

Large images are copied while there is nothing else to do, not when the batch is closed and all of
its requests wait. New memory for a large batch costs page faults, which take as long as the copy;
memory that stays is faulted in once. An infer may offer its own, so that nothing is copied twice.
"""

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

from autotune.engine.source import Array, Tensors, stack

MIN_BATCH_BYTES = 32 * 1024 * 1024
"""Smaller batches are stacked as they come, if none of their requests was put in place early: up to
here glibc keeps the memory of the last one, so that there are no page faults to be saved."""
MIN_EARLY_BYTES = 512 * 1024
"""Smaller requests are copied together at the end: one takes less CPU time than waking for it."""
ALIGNMENT_BYTES = 64
"""Of a cache line, and of what vector instructions load."""


@runtime_checkable
class OwnBuffers(Protocol):
    """What an infer may offer besides being called: memory of its own to put batches into.

    The memory of a worker process that shares it, say, or memory that a GPU copies from. The
    replica fills rows in place and calls the infer with views of the first rows, a single request
    included. Requests of objects, or without a first axis, are stacked elsewhere, and whoever
    calls the infer directly has other arrays, too: those it must copy for itself.
    """

    def buffers(self, like: Tensors, rows: int) -> Tensors:
        """Return, per input of `like`, an array of `rows` rows of its type and trailing shape.

        Asked again where requests of another kind come or more rows are needed; then what it
        returned before is not used any more, so that the same memory may serve. Called by the
        replica's own thread, never while the infer runs.
        """


class HostBuffers:
    """Memory that grows as needed and stays: one piece per input, whatever kinds of requests come.

    Not for use by two threads at once.
    """

    def __init__(self, allocate: Callable[[int], Array] | None = None) -> None:
        """Take memory from `allocate`: bytes -> as many uint8; None: from numpy, aligned."""
        self._allocate = allocate or _aligned
        self._pieces: dict[str, Array] = {}

    def buffers(self, like: Tensors, rows: int) -> Tensors:
        """Return arrays over the start of each piece, as `OwnBuffers` has it."""
        return {name: self._rows(name, array, rows) for name, array in like.items()}

    def _rows(self, name: str, array: Array, rows: int) -> Array:
        shape = (rows, *array.shape[1:])
        size_bytes = math.prod(shape) * array.dtype.itemsize
        piece = self._pieces.get(name)
        if piece is None or len(piece) < size_bytes:
            del piece
            self._pieces.pop(name, None)  # gone before there is more
            piece = self._pieces[name] = self._allocate(size_bytes)
        return piece[:size_bytes].view(array.dtype).reshape(shape)


def _aligned(size_bytes: int) -> Array:
    room = np.empty(size_bytes + ALIGNMENT_BYTES, np.uint8)
    start = -room.ctypes.data % ALIGNMENT_BYTES
    return room[start : start + size_bytes]


class Assembly:
    """Puts one batch after the other together, of one replica and by its thread alone."""

    def __init__(self, own: OwnBuffers | None, max_batch_size: int) -> None:
        """Fill the memory that `own` offers, always; without, memory of the host where it pays."""
        self._own = own is not None
        self._memory = own if own is not None else HostBuffers()
        self._most = max_batch_size
        self._buffers: Tensors = {}
        self._placed: list[Tensors] = []
        self._ends: dict[str, int] = {}
        self.filled = False
        """Whether the last batch lies in the buffers, and not where `numpy` put it."""

    def offer(self, request: Tensors) -> bool:
        """Take one more request of a batch that still waits; False: show no more of them."""
        if not _in_place(request) or _bytes(request) < MIN_EARLY_BYTES:
            return False
        try:
            self._place([request])
        except Exception:  # the same error comes where the batch is stacked, and is answered there
            self._placed = []
            return False
        return True

    def stack(self, requests: list[Tensors]) -> Tensors:
        """Return the requests along their first axis, those that were not offered now added.

        The arrays are good until the next request is offered or batch is stacked. A single request
        passes unchanged, unless the memory is the infer's own.

        Raises:
            ValueError, TypeError, KeyError: the requests do not fit together.
            MemoryError: there is no memory for them.
        """
        self.filled = False
        if len(requests) == 1 and not self._own:
            self.forget()
            return requests[0]
        try:
            if not self._worth_it(requests):
                return stack(requests)
            if not _begins_with(requests, self._placed):
                self._placed = []  # one that was offered has been cancelled since
            if len(self._placed) < len(requests):
                self._place(requests[len(self._placed) :])
            self.filled = True
            return {name: array[: self._ends[name]] for name, array in self._buffers.items()}
        finally:
            self.forget()

    def forget(self) -> None:
        """Drop what was offered: the batch comes to nothing."""
        self._placed = []

    def detach(self, outputs: Tensors) -> Tensors:
        """Return the outputs of the last batch, copied where they may lie in its memory."""
        if not self.filled:
            return outputs
        return {name: self._apart(array) for name, array in outputs.items()}

    def _apart(self, output: Array) -> Array:
        # By bounds only: that takes a microsecond, and strangers' memory never interleaves.
        shared = any(np.may_share_memory(output, array) for array in self._buffers.values())
        return output.copy() if shared else output

    def _worth_it(self, requests: list[Tensors]) -> bool:
        if self._own:
            return all(map(_in_place, requests))
        if self._placed:
            return True
        large = len(requests) * _bytes(requests[0]) >= MIN_BATCH_BYTES
        return large and _in_place(requests[0])

    def _place(self, requests: list[Tensors]) -> None:
        """Copy requests to the rows behind those that are filled, in more memory if needed."""
        ends = self._ends if self._placed else dict.fromkeys(requests[0], 0)
        after = {name: end + _rows(requests, name) for name, end in ends.items()}
        if not self._holds(requests[0], max(after.values(), default=0)):
            requests, self._placed = self._placed + requests, []
            self._make_room(requests[0], max(after.values(), default=0))
            ends = dict.fromkeys(requests[0], 0)
        for name, buffer in self._buffers.items():
            rows = [request[name] for request in requests]
            np.concatenate(rows, out=buffer[ends[name] : after[name]], casting="no")
        self._ends = after
        self._placed = self._placed + requests

    def _holds(self, like: Tensors, rows: int) -> bool:
        """Whether the memory at hand is for such requests, and so many rows."""
        return like.keys() == self._buffers.keys() and all(
            rows <= len(buffer)
            and like[name].dtype == buffer.dtype
            and like[name].shape[1:] == buffer.shape[1:]
            for name, buffer in self._buffers.items()
        )

    def _make_room(self, like: Tensors, rows: int) -> None:
        """Ask for a power of two of rows: seldom, and not for a batch that may never fill."""
        most = max(rows, self._most * max((len(array) for array in like.values()), default=1))
        self._buffers = {}
        self._buffers = self._memory.buffers(like, min(most, 1 << (rows - 1).bit_length()))


def _in_place(request: Tensors) -> bool:
    """Whether its rows can be written over others: objects would be kept alive by that."""
    return all(array.ndim > 0 and not array.dtype.hasobject for array in request.values())


def _bytes(request: Tensors) -> int:
    size_bytes = 0
    for array in request.values():  # `sum` of a generator takes three times as long
        size_bytes += array.nbytes
    return size_bytes


def _rows(requests: list[Tensors], name: str) -> int:
    return sum(len(request[name]) for request in requests)


def _begins_with(requests: list[Tensors], placed: list[Tensors]) -> bool:
    return len(placed) <= len(requests) and all(
        one is other for one, other in zip(placed, requests, strict=False)
    )


def own_buffers(infer: object) -> OwnBuffers | None:
    """Return what offers memory for batches, if an infer does."""
    return infer if isinstance(infer, OwnBuffers) else None
