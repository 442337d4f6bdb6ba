"""Replicas that serve a live queue together, and are replaced where they die."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from autotune.engine.errors import ReplicaGoneError
from autotune.engine.live_source import Limits, LiveSource, Share
from autotune.engine.replica import Infer, Turns, replica_threads

LOG = logging.getLogger("autotune.engine")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
"""Between two tries to open a replica again; each is twice as long as the one before."""


class Upkeep(NamedTuple):
    """What can be done about replicas, beside calling them."""

    reopen: Callable[[int], Infer] | None = None
    """Opens another replica in the place of one that is gone; None: that cannot be done."""
    kill: Callable[[], None] = lambda: None
    """Lets replicas that execute return at once, where that can be done."""
    close: Callable[[], None] = lambda: None
    """Is called once, when no replica serves any more."""


class Prepared(NamedTuple):
    """Replicas that can serve, and what can be done about them."""

    infers: Sequence[Infer]
    upkeep: Upkeep = Upkeep()


class Group:
    """The replicas of one configuration: they start, are retired, may start again, and are closed.

    Each of its methods is for one thread at a time.
    """

    def __init__(self, prepared: Prepared, source: LiveSource) -> None:
        """Own what `prepared.upkeep` closes."""
        self._infers: list[Infer | None] = list(prepared.infers)
        self._upkeep = prepared.upkeep
        self._source = source
        self._share: Share | None = None
        self._standing = 0
        self._counting = threading.Lock()
        self.threads: list[threading.Thread] = []
        """Of the replicas, since the group was last started."""

    @property
    def whole(self) -> bool:
        """Whether every replica stands: otherwise the group cannot start again."""
        return None not in self._infers

    @property
    def ended(self) -> bool:
        """Whether no replica serves any more."""
        return not any(thread.is_alive() for thread in self.threads)

    def start(self, limits: Limits) -> None:
        """Serve; the group is whole and has ended.

        Raises:
            RuntimeError: there can be no more threads; those that run are retired.
        """
        infers = [infer for infer in self._infers if infer is not None]
        share = self._share = Share(self._source, limits)
        turns = Turns(share, threading.Lock(), *limits)
        self._standing = len(infers)
        threads = replica_threads(infers, turns, partial(self._replace, share))
        self.threads = []
        try:
            for thread in threads:
                thread.start()
                self.threads.append(thread)
        except BaseException:
            self.retire()
            raise

    def limit(self, limits: Limits) -> None:
        """Form batches within other limits from now on."""
        if self._share is not None:
            self._source.limit(self._share, limits)

    def retire(self) -> None:
        """Take no further batch; what executes is finished."""
        if self._share is not None:
            self._source.retire(self._share)

    def join(self, until_s: float | None) -> None:
        """Wait for all replicas to end, at most until then by `time.perf_counter`."""
        for thread in self.threads:
            thread.join(None if until_s is None else max(0.0, until_s - time.perf_counter()))

    def kill(self) -> None:
        """Let replicas that execute return at once, where that can be done."""
        self._upkeep.kill()

    def close(self) -> None:
        """Let go of the replicas, none of which serves any more."""
        self._upkeep.close()
        self._infers = []

    def _replace(self, share: Share, number: int, error: ReplicaGoneError) -> Infer | None:
        """Open a replica in the place of one that is gone, however long that takes."""
        # Errors as texts: a log that is kept must keep no frames, and with them a replica's memory.
        LOG.warning("replica %d is gone: %s", number, str(error))
        self._infers[number] = None
        reopen, pause_s = self._upkeep.reopen, FIRST_PAUSE_S
        while reopen is not None and not share.retired:
            try:
                infer = reopen(number)
            except Exception as reason:
                if self._source.pause(0, share):
                    break
                LOG.error(
                    "replica %d cannot be opened, again in %g s: %s", number, pause_s, str(reason)
                )
                self._source.pause(pause_s, share)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                LOG.warning("replica %d is replaced", number)
                self._source.count_replaced()
                self._infers[number] = infer
                return infer
        with self._counting:
            self._standing -= 1
            last = self._standing == 0
        if last:
            self._source.abandon(f"every replica is gone, the last one: {error}", share)
        return None
