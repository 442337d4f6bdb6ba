"""Where the replicas of an embedded engine get their next batch: a queue of submitted requests.

Each group of replicas has a share in it, which can be retired while another goes on. Of each share
one replica at a time forms a batch, and of all shares but one the replicas only finish.
"""

import threading
import time
from collections.abc import Collection
from concurrent.futures import Future
from typing import NamedTuple

from autotune.engine.counters import Counters
from autotune.engine.errors import EngineClosedError, QueueFullError
from autotune.engine.live_queue import LiveQueue
from autotune.engine.recent import in_order
from autotune.engine.requests import demand_inputs, expire, new_request, resolve
from autotune.engine.source import NAP_S, Batch, Offer, Tensors
from autotune.observed import Observed

MAX_QUEUED = 1024
"""Requests that wait, unless told otherwise."""


class Limits(NamedTuple):
    """Of a batch."""

    max_batch_size: int
    batch_timeout_s: float


class Share:
    """The queue as one group of replicas sees it: a `Source` that ends when it is retired.

    Its own limits count, and not those that replicas were started with: they may change meanwhile.
    """

    def __init__(self, source: "LiveSource", limits: Limits) -> None:
        """Take part in a queue. What may be read here, the queue alone writes."""
        self._source = source
        self.limits = limits
        self.retired = False
        # What is called for each batch takes no detour.
        self.complete = source.complete
        self.fail = source.fail

    def take(
        self, max_batch_size: int, batch_timeout_s: float, offer: Offer | None = None
    ) -> Batch | None:
        """Wait for the next batch, as `LiveSource.take`; None, too, once the share is retired."""
        return self._source.take_for(self, offer)


class LiveSource:
    """A bounded queue of submitted requests, each of which is answered exactly once.

    A batch that fails is split, and comes back from `take` in parts until what fails is alone.
    Futures' callbacks are called by the threads that take and answer: they must not wait.
    """

    def __init__(self, max_queued: int = MAX_QUEUED, names: Collection[str] | None = None) -> None:
        """Start empty and open; `names` of the inputs are demanded of each request, if given."""
        self._lock = threading.Lock()
        # One for the replica that forms a batch, one for those that wait for an end.
        self._changed = threading.Condition(self._lock)
        self._ending = threading.Condition(self._lock)
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

    @property
    def closed(self) -> bool:
        """Whether further requests are refused."""
        return self._closed

    def close(self) -> None:
        """Refuse further requests; those queued are still served."""
        with self._lock:
            self._close()

    def abandon(self, reason: str, share: Share | None = None) -> None:
        """Close, and let whatever has no answer yet raise EngineClosedError with the reason.

        Where a share is named, only if that one is not retired: others serve then.
        """
        with self._lock:
            if share is not None and share.retired:
                return
            self._close()
            given_up = self._queue.give_up()
        for one in given_up:
            resolve(one.future, EngineClosedError(reason))

    def retire(self, share: Share) -> None:
        """Give a share no further batch: what waits for one goes away at once.

        A request that it was woken for is seen by others, for they are woken, too.
        """
        with self._lock:
            share.retired = True
            self._changed.notify_all()
            self._ending.notify_all()

    def limit(self, share: Share, limits: Limits) -> None:
        """Give a share other limits; they hold for the batch that is being formed, too."""
        with self._lock:
            share.limits = limits
            self._changed.notify_all()

    def pause(self, seconds: float, share: Share | None = None) -> bool:
        """Wait so long, but only until source or share has ended; return whether one has.

        Requests whose deadline passes are dropped meanwhile, for nobody else may take any.
        """
        until_s = time.perf_counter() + seconds
        while True:
            wait_s = until_s - time.perf_counter()
            with self._lock:
                over = self._ending.wait_for(
                    lambda: self._closed or (share is not None and share.retired),
                    min(wait_s, NAP_S),
                )
                late = self._queue.overdue()
            expire(late)
            if over or wait_s <= NAP_S:
                return over

    def wait_closed(self, seconds: float) -> bool:
        """Wait so long, but only until the source is closed; return whether it is."""
        with self._lock:
            return self._ending.wait_for(lambda: self._closed, seconds)

    def counters(self) -> Counters:
        """Return what became of the requests so far."""
        with self._lock:
            return self._queue.counters()

    def offered(self) -> int:
        """Return how many requests came so far, those rejected included."""
        with self._lock:
            return self._queue.offered

    def count_replaced(self) -> None:
        """Note that a replica which was gone stands again."""
        with self._lock:
            self._queue.replaced += 1

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
        return self.take_for(Share(self, Limits(max_batch_size, batch_timeout_s)), offer)

    def take_for(self, share: Share, offer: Offer | None) -> Batch | None:
        """Take within the limits of a share, until it is retired."""
        queue = self._queue
        with self._lock:
            while not (queue.waiting or queue.retries):
                if share.retired or (self._closed and queue.empty):
                    return None
                self._changed.wait()
            if share.limits.max_batch_size > 1 and not (queue.retries or share.retired):
                self._gather(share, offer)
            if share.retired:
                return None
            taken = queue.take(share.limits.max_batch_size)
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
        self._ending.notify_all()

    def _gather(self, share: Share, offer: Offer | None) -> None:
        """Wait until the batch at the head of the queue is full, or need not wait any more."""
        queue = self._queue
        submitted_s = queue.waiting[0].submitted_s
        shown = 0
        while not (self._closed or queue.retries or share.retired):
            most, batch_timeout_s = share.limits
            if (count := queue.matching(most)) >= most:
                break
            until_s = min(submitted_s + batch_timeout_s, queue.last_call_s(count))
            wait_s = until_s - time.perf_counter()
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
