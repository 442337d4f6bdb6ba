"""The engine a user embeds: submit requests, get futures."""

import logging
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import NamedTuple

from autotune.engine.counters import Counters
from autotune.engine.follow import Follower, Following, Switch
from autotune.engine.group import Prepared, Upkeep
from autotune.engine.groups import Groups
from autotune.engine.live_source import MAX_QUEUED, Limits, LiveSource
from autotune.engine.replica import Infer
from autotune.engine.source import Tensors
from autotune.observed import Observed

LOG = logging.getLogger("autotune.engine")

GRACE_S = 1.0
"""For replicas to end that were told to drop what they execute."""


class Admission(NamedTuple):
    """Which requests are taken."""

    max_queued: int = MAX_QUEUED
    """As many may wait."""
    names: Collection[str] | None = None
    """What the model's inputs are called; None: not known, so not checked."""


class LiveEngine:
    """Replicas and a batcher over a live queue: the code that was measured, now serving.

    Thread-safe. Close it, or use it as a context manager; queued requests are served first.
    What a person should know of is logged by `autotune.engine`.
    """

    def __init__(
        self,
        infers: Sequence[Infer],
        max_batch_size: int,
        batch_timeout_s: float,
        admission: Admission = Admission(),  # noqa: B008 - a constant
        upkeep: Upkeep = Upkeep(),  # noqa: B008
        following: Following | None = None,
    ) -> None:
        """Start one replica per function of `infers`; it owns what `upkeep` closes.

        With `following`, they are those of its first level, and others may come in their place.
        """
        self._source = LiveSource(*admission)
        level = None if following is None else following.levels[following.start]
        shape = None if level is None else level.config.session_shape
        self._groups = Groups(self._source, shape, Prepared(infers, upkeep))
        self._follower: Follower | None = None
        self._closing = threading.Lock()
        self._closed = False
        try:
            self._groups.start(Limits(max_batch_size, batch_timeout_s))
            if following is not None:
                self._follower = Follower(self._source, self._groups, following)
                self._follower.thread.start()
        except BaseException:
            self.close(timeout_s=0)
            raise

    def submit(self, inputs: Tensors, timeout_s: float | None = None) -> "Future[Tensors]":
        """Queue one request: its arrays by input name, as the model takes them.

        Args:
            inputs: they must stay as they are until the answer is there.
            timeout_s: the request is dropped, and its future raises DeadlineExceededError, when a
                batch is formed that would end too late for it, by the time that batches of its
                size took of late. One that executes is not interrupted. None: it waits for ever.

        Returns:
            A future of the outputs by name. It raises what the model raised for this request:
            others of its batch are not concerned. Its callbacks are called by the engine's
            threads, so they must not wait for other requests.

        Raises:
            QueueFullError: as many requests wait as may; this one was not queued.
            EngineClosedError: the engine is closed.
            UsageError: an input is missing or unknown, or is no array.
        """
        return self._source.submit(inputs, timeout_s)

    def counters(self) -> Counters:
        """Return what became of the requests so far."""
        return self._source.counters()

    def observed(self) -> Observed:
        """Return when the recent requests were submitted and how long they took, for `watch`.

        Of the last 131,072 that were answered, that missed their deadline or that a full queue
        rejected; the latter two have no answer, so an infinite latency. Those that failed or were
        cancelled are left out: `counters` has them.
        """
        return self._source.observed()

    def switches(self) -> list[Switch]:
        """Return the last 1,000 changes of the configuration, in order; none if it is fixed."""
        return [] if self._follower is None else self._follower.switches()

    def close(self, timeout_s: float | None = None) -> None:
        """Refuse new requests, serve what is queued, and stop the replicas.

        Safe to call again and by several threads: each returns when all is over.

        Args:
            timeout_s: whatever is not served by then raises EngineClosedError, and a replica that
                still executes is killed if it is a process, or else left behind. Sessions that are
                being opened are closed as soon as they are open. None: wait.

        Raises:
            RuntimeError: called by a thread of the engine, in a future's callback.
        """
        if threading.current_thread() in self._groups.threads:
            raise RuntimeError("the engine cannot be closed in a callback of a future of its own")
        until_s = None if timeout_s is None else time.perf_counter() + max(0.0, timeout_s)
        self._source.close()
        if not self._closing.acquire(timeout=-1 if until_s is None else _left_s(until_s)):
            self._end_now()  # the other call has more patience
            return
        try:
            if not self._closed:
                self._close(until_s)
                self._closed = True
        finally:
            self._closing.release()

    def __enter__(self) -> "LiveEngine":
        """Return the engine itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the engine."""
        self.close()

    def _close(self, until_s: float | None) -> None:
        if not self._join(until_s):
            self._end_now()
            if not self._join(time.perf_counter() + GRACE_S):
                LOG.error("closed while a model executes that does not return: its thread stays")
        self._source.abandon("every replica ended before the request was served")
        self._groups.close()

    def _end_now(self) -> None:
        self._source.abandon("the engine was closed before the request was served")
        self._groups.kill()

    def _join(self, until_s: float | None) -> bool:
        """Wait for all threads to end; return whether those of the replicas did."""
        follower = self._follower
        # First: as long as it runs, there may be others.
        if follower is not None and follower.thread.ident is not None:
            follower.thread.join(None if until_s is None else _left_s(until_s))
        return self._groups.join(until_s)


def _left_s(until_s: float) -> float:
    return max(0.0, until_s - time.perf_counter())
