"""Where replicas get their next batch: a schedule when measuring.

When embedded, a live queue: `autotune.engine.live_source`.

A source is used by many replicas. `take` is called with the engine's lock held, so at most one
replica forms a batch at a time; `complete` and `fail` are called without it.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import accumulate
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from autotune.outcome import Samples
from autotune.request_log import RequestLog

Array = npt.NDArray[Any]
Tensors = dict[str, Array]

Offer = Callable[[Tensors], bool]
"""Is shown a request of the batch that is being formed; False: show no more of this batch."""

NAP_S = 0.25
"""A replica that waits for a distant arrival looks this often whether the run was stopped."""


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


class Tells(Protocol):
    """Who wants to know when requests were answered."""

    def tell(self, finished_s: float, requests: int) -> None:
        """Be told, by `time.perf_counter`."""


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
        self.feed: Tells | None = None
        """Is told of each answer: the step after this one."""
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
        if self.feed is not None:
            try:
                self.feed.tell(finished_s + self._control[0], size)
            except BlockingIOError as error:
                self.fail(batch, error)

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
