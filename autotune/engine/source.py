"""Where replicas get their next batch: a schedule when measuring, a live queue when embedded.

A source is used by many replicas. `take` is called with the engine's lock held, so at most one
replica forms a batch at a time; `complete` and `fail` are called without it.
"""

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from itertools import accumulate
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from autotune.engine.counters import Counters
from autotune.engine.errors import EngineClosedError, QueueFullError
from autotune.engine.live_queue import LiveQueue
from autotune.engine.recent import in_order
from autotune.engine.requests import demand_inputs, expire, new_request, resolve
from autotune.observed import Observed
from autotune.outcome import Samples
from autotune.request_log import RequestLog

Array = npt.NDArray[Any]
Tensors = dict[str, Array]

Offer = Callable[[Tensors], bool]
"""Is shown a request of the batch that is being formed; False: show no more of this batch."""

NAP_S = 0.25
"""A replica that waits for a distant arrival looks this often whether the run was stopped."""

MAX_QUEUED = 1024
"""Requests that wait, unless told otherwise."""


class Batch(NamedTuple):
    """Requests to execute together."""

    first: int
    """Position of the first request in the schedule; for live requests, the batch's number."""
    inputs: list[Tensors]
    futures: list["Future[Tensors]"]
    """One per request for live requests, none for a schedule."""
    ready_s: float = 0.0
    """When the replica became free to take it."""
    claimed_s: float = 0.0
    """When the replica first knew of the first request."""


class Source(Protocol):
    """The engine's view of where requests come from."""

    def take(
        self, max_batch_size: int, batch_timeout_s: float, offer: Offer | None = None
    ) -> Batch | None:
        """Wait for requests and return the next batch; None when there will be no more.

        While a batch waits for company, its requests are offered in order as they come. One of
        them may be cancelled and so be missing in the batch.
        """

    def complete(self, batch: Batch, outputs: list[Tensors], started_s: float) -> None:
        """Accept the outputs, one per request."""

    def fail(self, batch: Batch, error: Exception) -> None:
        """Accept that the batch could not be executed."""


class ScheduleSource:
    """The schedule is the queue: a free replica sleeps until the next arrival by itself.

    No thread generates load, so none takes a core from the system under test.
    """

    def __init__(
        self,
        arrivals_s: Sequence[float],
        samples: Sequence[Tensors],
        log: RequestLog,
        order: Sequence[int] | None = None,
    ) -> None:
        """Feed request `i` with `samples[order[i]]`; without an order, samples take turns.

        The clock of `log` starts now, and again with `log.start_clock`.
        """
        self._arrivals_s = list(arrivals_s)
        count = len(self._arrivals_s)
        self._samples = samples
        self._order = [i % len(samples) for i in range(count)] if order is None else list(order)
        self._stackable_until = _stackable_until(samples, self._order)
        # Ready, claimed, started, batch size, finished: last what a reader takes to mean known.
        self._columns = (
            log.ready_s,
            log.claimed_s,
            log.started_s,
            log.batch_size,
            log.finished_s,
        )
        self._cells = tuple(map(_cells, self._columns))
        self._control = _cells(log.control)
        self._next = 0
        self.error: Exception | None = None
        log.start_clock()

    def take(
        self, max_batch_size: int, batch_timeout_s: float, offer: Offer | None = None
    ) -> Batch | None:
        """Sleep until the next arrival, then until the batch is full or its timeout is over.

        A batch is full, too, when the request that comes next has other shapes.
        """
        first, arrivals_s = self._next, self._arrivals_s
        ready_s = self._elapsed_s()
        if first == len(arrivals_s) or self.error is not None:
            return None
        due_s = arrivals_s[first]
        if not self._sleep_until(due_s, due_s):
            return None
        claimed_s = self._elapsed_s()
        past = first + 1
        if max_batch_size > 1:
            limit = min(first + max_batch_size, self._stackable_until[first])
            # The last that fits fills it; one of other shapes closes it when it arrives.
            closing = min(first + max_batch_size - 1, limit)
            full_s = arrivals_s[closing] if closing < len(arrivals_s) else float("inf")
            close_s = min(full_s, due_s + batch_timeout_s)
            if offer is not None and claimed_s < close_s:
                self._offer(offer, first, limit, close_s)
            self._sleep_until(close_s, due_s)
            past = max(past, bisect_right(arrivals_s, self._elapsed_s(), first, limit))
        self._next = past
        inputs = [self._samples[self._order[i]] for i in range(first, past)]
        return Batch(first, inputs, [], ready_s, claimed_s)

    def complete(self, batch: Batch, outputs: list[Tensors], started_s: float) -> None:
        """Log the batch; the outputs themselves are dropped."""
        finished_s = self._elapsed_s()  # first, for keeping the log is not serving
        first, size = batch.first, len(outputs)
        started_s -= self._control[0]
        values = (batch.ready_s, batch.claimed_s, started_s, float(size), finished_s)
        if size == 1:
            for cells, value in zip(self._cells, values, strict=True):
                cells[first] = value
        else:
            for column, value in zip(self._columns, values, strict=True):
                column[first : first + size] = value

    def fail(self, batch: Batch, error: Exception) -> None:
        """End the run: a configuration that cannot answer is not measured further."""
        self.error = error

    def _offer(self, offer: Offer, first: int, limit: int, close_s: float) -> None:
        """Show requests as they arrive, as long as there is time to spare."""
        due_s = self._arrivals_s[first]
        for i in range(first, limit):
            arrival_s = self._arrivals_s[i]
            if arrival_s > close_s or not self._sleep_until(arrival_s, due_s):
                return
            if self._elapsed_s() >= close_s or not offer(self._samples[self._order[i]]):
                return

    def _elapsed_s(self) -> float:
        return time.perf_counter() - self._control[0]

    def _sleep_until(self, moment_s: float, due_s: float) -> bool:
        """Return False, maybe early, where the request due at `due_s` is not to be taken."""
        while due_s <= self._control[1]:
            wait_s = moment_s - self._elapsed_s()
            if wait_s <= 0:
                return True
            time.sleep(min(wait_s, NAP_S))
        return False


def _cells(column: Samples) -> "memoryview[float]":
    """Whose single numbers are read and set in a fifth of the time that numpy takes for it."""
    return cast("memoryview[float]", memoryview(column.data))


def _stackable_until(samples: Sequence[Tensors], order: Sequence[int]) -> list[int]:
    """For each request, the position of the next whose shapes differ from its own."""
    signatures = [_signature(sample) for sample in samples]
    ends = [len(order)] * len(order)
    for i in range(len(order) - 2, -1, -1):
        alike = signatures[order[i]] == signatures[order[i + 1]]
        ends[i] = ends[i + 1] if alike else i + 1
    return ends


def _signature(inputs: Tensors) -> dict[str, tuple[object, ...]]:
    """What requests must have in common to be stacked."""
    return {name: (array.dtype, array.shape[1:]) for name, array in inputs.items()}


class LiveSource:
    """A bounded queue of submitted requests, each of which is answered exactly once.

    A batch that fails is split, and comes back from `take` in parts until what fails is alone.
    Futures' callbacks are called by the threads that take and answer: they must not wait.
    """

    def __init__(self, max_queued: int = MAX_QUEUED, names: Collection[str] | None = None) -> None:
        """Start empty and open; `names` of the inputs are demanded of each request, if given."""
        self._lock = threading.Lock()
        # One for the replica that forms a batch, one for those that have to be opened anew.
        self._changed = threading.Condition(self._lock)
        self._closing = threading.Condition(self._lock)
        self._max_queued = max_queued
        self._names = None if names is None else frozenset(names)
        self._queue = LiveQueue()
        self._closed = False

    def submit(self, inputs: Tensors, timeout_s: float | None = None) -> "Future[Tensors]":
        """Queue one request, to be dropped if it cannot be answered within `timeout_s`.

        Raises:
            QueueFullError: as many requests wait as may.
            EngineClosedError: the source was closed.
            UsageError: the inputs cannot be those of a request, or the timeout is no number.
        """
        demand_inputs(inputs, self._names)
        request = new_request(inputs, timeout_s)
        queue = self._queue
        with self._lock:
            if self._closed:
                raise EngineClosedError("the engine is closed")
            if len(queue.waiting) >= self._max_queued:
                queue.reject(request.submitted_s)
                raise QueueFullError(f"{self._max_queued} requests are queued, as many as may be")
            queue.append(request)
            self._changed.notify()
        return request.future

    def close(self) -> None:
        """Refuse further requests; those queued are still served."""
        with self._lock:
            self._close()

    def abandon(self, reason: str) -> None:
        """Close, and let whatever has no answer yet raise EngineClosedError with the reason."""
        with self._lock:
            self._close()
            given_up = self._queue.give_up()
        for one in given_up:
            resolve(one.future, EngineClosedError(reason))

    def pause(self, seconds: float) -> bool:
        """Wait so long, but only until the source is closed; return whether it is.

        Requests whose deadline passes are dropped meanwhile, for nobody else may take any.
        """
        until_s = time.perf_counter() + seconds
        while True:
            wait_s = until_s - time.perf_counter()
            with self._lock:
                closed = self._closing.wait_for(lambda: self._closed, min(wait_s, NAP_S))
                late = self._queue.overdue()
            expire(late)
            if closed or wait_s <= NAP_S:
                return closed

    def counters(self, replicas_replaced: int = 0) -> Counters:
        """Return what became of the requests so far."""
        with self._lock:
            return self._queue.counters(replicas_replaced)

    def observed(self) -> Observed:
        """Return the recent requests that were answered or dropped, in order of arrival."""
        with self._lock:
            found = self._queue.recent.copied()
        return in_order(*found)  # which takes longer, so without the lock

    def take(
        self, max_batch_size: int, batch_timeout_s: float, offer: Offer | None = None
    ) -> Batch | None:
        """Wait for a request, then for company of the same shapes until the timeout is over.

        Parts of a batch that failed come first, as they are. A batch may be empty: all of its
        requests were cancelled, or could not be answered in time any more.
        """
        queue = self._queue
        with self._lock:
            while not (queue.waiting or queue.retries):
                if self._closed and queue.empty:
                    return None
                self._changed.wait()
            if max_batch_size > 1 and not queue.retries:
                self._gather(max_batch_size, batch_timeout_s, offer)
            taken = queue.take(max_batch_size)
            if self._closed:
                self._changed.notify_all()
        if taken.late:
            expire(taken.late)
        requests = taken.requests
        return Batch(
            taken.number, [one.inputs for one in requests], [one.future for one in requests]
        )

    def complete(self, batch: Batch, outputs: list[Tensors], started_s: float) -> None:
        """Resolve each request's future with its own rows."""
        with self._lock:
            if not self._queue.answered(batch.first, started_s):
                return
            if self._closed:
                self._changed.notify_all()
        for future, answer in zip(batch.futures, outputs, strict=True):
            resolve(future, answer)

    def fail(self, batch: Batch, error: Exception) -> None:
        """Let parts of the batch be taken again; the error is the answer to a request alone."""
        with self._lock:
            failed = self._queue.failed(batch.first, error)
            self._changed.notify_all()
        for one in failed:
            resolve(one.future, error)

    def _close(self) -> None:
        self._closed = True
        self._changed.notify_all()
        self._closing.notify_all()

    def _gather(self, most: int, batch_timeout_s: float, offer: Offer | None) -> None:
        """Wait until the batch at the head of the queue is full, or need not wait any more."""
        queue = self._queue
        first_s = queue.waiting[0].submitted_s + batch_timeout_s
        shown = 0
        while (count := queue.matching(most)) < most and not (self._closed or queue.retries):
            wait_s = min(first_s, queue.last_call_s(count)) - time.perf_counter()
            if wait_s <= 0 or count < len(queue.waiting):
                break
            if offer is not None and shown < count:
                offer = self._shown(offer, queue.waiting[shown].inputs)
                shown += 1
            else:
                self._changed.wait(wait_s)

    def _shown(self, offer: Offer, inputs: Tensors) -> Offer | None:
        """Offer a request with the queue open to others; None where no more are wanted."""
        self._lock.release()
        try:
            return offer if offer(inputs) else None
        finally:
            self._lock.acquire()


def stack(inputs: list[Tensors]) -> Tensors:
    """Concatenate requests along their first axis; a single request passes unchanged."""
    if len(inputs) == 1:
        return inputs[0]
    return {name: np.concatenate([request[name] for request in inputs]) for name in inputs[0]}


def split(outputs: Tensors, inputs: list[Tensors]) -> list[Tensors]:
    """Give each request its own rows back; a single request takes the outputs unchanged.

    Raises:
        ValueError: an output has not as many rows as the batch, so that whose they are is not
            known.
    """
    if len(inputs) == 1:
        return [outputs]
    rows = [len(next(iter(request.values()))) for request in inputs]
    *bounds, total = accumulate(rows)
    for name, array in outputs.items():
        if _rows(array) != total:
            raise ValueError(f"output {name!r}: {_rows(array)} rows for a batch of {total}")
    pieces = {name: np.split(array, bounds) for name, array in outputs.items()}
    return [{name: parts[i] for name, parts in pieces.items()} for i in range(len(inputs))]


def _rows(output: Any) -> int:
    """Return how many requests' worth an output is; sequences and maps have a length, too."""
    if isinstance(output, np.ndarray) and output.ndim == 0:
        return 0
    return len(output)
