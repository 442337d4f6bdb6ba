"""Where replicas get their next batch: a schedule when measuring, a live queue when embedded.

A source is used by many replicas. `take` is called with the engine's lock held, so at most one
replica forms a batch at a time; `complete` and `fail` are called without it.
"""

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from autotune.spec import GiveUp

Array = npt.NDArray[Any]
Tensors = dict[str, Array]


class Batch(NamedTuple):
    """Requests to execute together."""

    first: int
    """Position of the first request in the schedule; 0 for live requests."""
    inputs: list[Tensors]
    futures: list["Future[Tensors]"]
    """One per request for live requests, none for a schedule."""
    claimed_s: float
    """When a free replica first knew of the first request."""


class Source(Protocol):
    """The engine's view of where requests come from."""

    def take(self, max_batch_size: int, batch_timeout_s: float) -> Batch | None:
        """Wait for requests and return the next batch; None when there will be no more."""

    def complete(self, batch: Batch, outputs: list[Tensors], started_s: float) -> None:
        """Accept the outputs, one per request."""

    def fail(self, batch: Batch, error: Exception) -> None:
        """Accept that the batch could not be executed."""


class BatchRecord(NamedTuple):
    """One executed batch of a schedule; times in seconds since the start of the run."""

    first: int
    size: int
    claimed_s: float
    started_s: float
    finished_s: float


class ScheduleSource:
    """The schedule is the queue: a free replica sleeps until the next arrival by itself.

    No thread generates load, so none takes a core from the system under test.
    """

    def __init__(
        self, arrivals_s: Sequence[float], samples: Sequence[Tensors], give_up: GiveUp
    ) -> None:
        """Draw request `i`'s inputs from `samples[i % len(samples)]`."""
        self._arrivals_s = list(arrivals_s)
        self._samples = samples
        self._give_up = give_up
        self._next = 0
        self._late_since_s: float | None = None
        self.diverged = False
        self.error: Exception | None = None
        self.records: list[BatchRecord] = []
        self._start_s = time.perf_counter()

    def restart_clock(self) -> None:
        """Let the schedule begin now."""
        self._start_s = time.perf_counter()

    def elapsed_s(self) -> float:
        """Seconds since the start of the run."""
        return time.perf_counter() - self._start_s

    def take(self, max_batch_size: int, batch_timeout_s: float) -> Batch | None:
        """Sleep until the next arrival, then until the batch is full or its timeout is over."""
        first = self._next
        if first == len(self._arrivals_s) or self.diverged or self.error is not None:
            return None
        due_s = self._arrivals_s[first]
        self._sleep_until(due_s)
        claimed_s = self.elapsed_s()
        if self._is_hopeless(claimed_s, claimed_s - due_s):
            self.diverged = True
            return None
        past = first + 1
        if max_batch_size > 1:
            last = first + max_batch_size - 1
            full_s = self._arrivals_s[last] if last < len(self._arrivals_s) else float("inf")
            self._sleep_until(min(full_s, due_s + batch_timeout_s))
            past = max(
                past,
                bisect_right(
                    self._arrivals_s,
                    self.elapsed_s(),
                    first,
                    min(last + 1, len(self._arrivals_s)),
                ),
            )
        self._next = past
        count = len(self._samples)
        inputs = [self._samples[i % count] for i in range(first, past)]
        return Batch(first, inputs, [], claimed_s)

    def complete(self, batch: Batch, outputs: list[Tensors], started_s: float) -> None:
        """Log the batch; the outputs themselves are dropped."""
        self.records.append(
            BatchRecord(
                batch.first,
                len(outputs),
                batch.claimed_s,
                started_s - self._start_s,
                self.elapsed_s(),
            )
        )

    def fail(self, batch: Batch, error: Exception) -> None:
        """End the run: a configuration that cannot answer is not measured further."""
        self.error = error

    def _sleep_until(self, moment_s: float) -> None:
        wait_s = moment_s - self.elapsed_s()
        if wait_s > 0:
            time.sleep(wait_s)

    def _is_hopeless(self, now_s: float, delay_s: float) -> bool:
        if delay_s <= self._give_up.delay_s:
            self._late_since_s = None
            return False
        if self._late_since_s is None:
            self._late_since_s = now_s
        return now_s - self._late_since_s > self._give_up.hold_s


class LiveSource:
    """A queue of submitted requests."""

    def __init__(self) -> None:
        """Start empty and open."""
        self._changed = threading.Condition()
        self._queue: deque[tuple[float, Tensors, Future[Tensors]]] = deque()
        self._closed = False

    def submit(self, inputs: Tensors) -> "Future[Tensors]":
        """Queue one request.

        Raises:
            RuntimeError: the source was closed.
        """
        future: Future[Tensors] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the engine is closed")
            self._queue.append((time.perf_counter(), inputs, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Refuse further requests; those queued are still served."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, max_batch_size: int, batch_timeout_s: float) -> Batch | None:
        """Wait for a request, then for company of the same shapes until the timeout is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            if not self._queue:
                return None
            claimed_s = time.perf_counter()
            close_s = self._queue[0][0] + batch_timeout_s
            while (count := self._matching(max_batch_size)) < max_batch_size and not self._closed:
                wait_s = close_s - time.perf_counter()
                if wait_s <= 0 or count < len(self._queue):
                    break
                self._changed.wait(wait_s)
            taken = [self._queue.popleft() for _ in range(count)]
        live = [
            (inputs, future) for _, inputs, future in taken if future.set_running_or_notify_cancel()
        ]
        return Batch(0, [inputs for inputs, _ in live], [future for _, future in live], claimed_s)

    def complete(self, batch: Batch, outputs: list[Tensors], started_s: float) -> None:
        """Resolve each request's future with its own rows."""
        for future, answer in zip(batch.futures, outputs, strict=True):
            future.set_result(answer)

    def fail(self, batch: Batch, error: Exception) -> None:
        """Hand the error to every request of the batch; the engine goes on."""
        for future in batch.futures:
            try:
                future.set_exception(error)
            except InvalidStateError:
                continue  # answered before the error

    def _matching(self, limit: int) -> int:
        """How many requests from the head of the queue can be stacked with the first."""
        count = 0
        head = None
        for _, inputs, _ in self._queue:
            signature = {name: (array.dtype, array.shape[1:]) for name, array in inputs.items()}
            head = head if head is not None else signature
            if count == limit or signature != head:
                break
            count += 1
        return count


def stack(inputs: list[Tensors]) -> Tensors:
    """Concatenate requests along their first axis; a single request passes unchanged."""
    if len(inputs) == 1:
        return inputs[0]
    return {name: np.concatenate([request[name] for request in inputs]) for name in inputs[0]}


def split(outputs: Tensors, inputs: list[Tensors]) -> list[Tensors]:
    """Give each request its own rows back; a single request takes the outputs unchanged."""
    if len(inputs) == 1:
        return [outputs]
    rows = [len(next(iter(request.values()))) for request in inputs]
    bounds = np.cumsum(rows)[:-1]
    pieces = {name: np.split(array, bounds) for name, array in outputs.items()}
    return [{name: parts[i] for name, parts in pieces.items()} for i in range(len(inputs))]
