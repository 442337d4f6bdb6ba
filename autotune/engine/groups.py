"""The groups of replicas of an engine: the one that serves, and those that end or stand by."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from autotune.engine.group import Group, Prepared
from autotune.engine.live_source import Limits, LiveSource
from autotune.spec import SessionShape

STUCK_S = 5.0
"""A retired group that still executes then is not waited for; what follows it may take memory."""


class _Named(NamedTuple):
    shape: SessionShape | None
    """None: replicas that only one configuration is known to need."""
    group: Group
    retired_s: float = 0.0


class Groups:
    """One group serves. Others have served, or will, and keep their sessions meanwhile.

    All but `threads`, `join`, `kill` and `close` is for one thread, the one that switches.
    """

    def __init__(self, source: LiveSource, shape: SessionShape | None, first: Prepared) -> None:
        """Own the first group, which does not serve yet."""
        self._source = source
        # Whoever holds it may change which groups there are.
        self._lock = threading.Lock()
        self._closed = False
        self._serving = _Named(shape, Group(first, source))
        self._leaving: list[_Named] = []
        self._parked: list[_Named] = []

    @property
    def threads(self) -> list[threading.Thread]:
        """Those of all replicas."""
        with self._lock:
            return [thread for one in self._all() for thread in one.group.threads]

    def start(self, limits: Limits) -> None:
        """Let the first group serve.

        Raises:
            RuntimeError: there can be no more threads.
        """
        self._serving.group.start(limits)

    def tidy(self) -> None:
        """See which retired groups have ended: they stand by from now on, or are closed."""
        with self._lock:
            ended = [one for one in self._leaving if one.group.ended]
            self._leaving = [one for one in self._leaving if not one.group.ended]
            self._parked += [one for one in ended if one.group.whole and not self._closed]
        for one in ended:
            if not one.group.whole:
                one.group.close()

    def is_ready(self, shape: SessionShape) -> bool:
        """Whether a group of this shape serves or stands by."""
        return any(one.shape == shape for one in (self._serving, *self._parked))

    def make_room(self, kept: int) -> bool:
        """Close groups that stand by, so that with one more there are at most `kept` in all.

        Returns:
            False: one that was retired has not ended yet; it may be the one that is wanted.
        """
        now_s = time.perf_counter()
        if any(now_s - one.retired_s < STUCK_S for one in self._leaving):
            return False
        self._close_parked(max(0, kept - 2))
        return True

    def drop_surplus(self, kept: int) -> None:
        """Close groups that have stood by the longest, so that at most `kept` are left in all."""
        self._close_parked(max(0, kept - 1 - len(self._leaving)))

    def stand_by(self, shape: SessionShape, prepare: Callable[[], Prepared]) -> None:
        """Open a group that can serve from then on.

        Raises:
            BaseException: whatever `prepare` does.
        """
        group = Group(prepare(), self._source)
        with self._lock:
            if not self._closed:
                self._parked.append(_Named(shape, group))
                return
        group.close()

    def hand_over(self, shape: SessionShape, limits: Limits) -> bool:
        """Let the group of a shape that is ready serve, within these limits.

        The other takes no further batch, and ends when it has finished what it executes.

        Returns:
            False: the engine is closing, and the replicas stay as they are.

        Raises:
            RuntimeError: there can be no more threads; the group that served goes on.
        """
        with self._lock:
            if self._closed or self._source.closed:
                return False
            if self._serving.shape == shape:
                self._serving.group.limit(limits)
                return True
            following = next(one for one in self._parked if one.shape == shape)
            self._parked.remove(following)
            now_s = time.perf_counter()
            try:
                following.group.start(limits)
            except BaseException:
                self._leaving.append(following._replace(retired_s=now_s))
                raise
            # Only now: where one cannot start, the other goes on. Both take from the front.
            self._serving.group.retire()
            self._leaving.append(self._serving._replace(retired_s=now_s))
            self._serving = following
            return True

    def join(self, until_s: float | None) -> bool:
        """Wait for all replicas to end; return whether they did."""
        held = self._held()
        for one in held:
            one.group.join(until_s)
        return all(one.group.ended for one in held)

    def kill(self) -> None:
        """Let replicas that execute return at once, where that can be done."""
        for one in self._held():
            one.group.kill()

    def close(self) -> None:
        """Let go of all replicas, those of which the threads have ended; take no more of them."""
        with self._lock:
            self._closed = True
            held = self._all()
        for one in held:
            one.group.close()

    def _all(self) -> list[_Named]:
        return [self._serving, *self._leaving, *self._parked]

    def _held(self) -> list[_Named]:
        with self._lock:
            return self._all()

    def _close_parked(self, left: int) -> None:
        with self._lock:
            surplus = self._parked[: len(self._parked) - left] if left else self._parked
            self._parked = self._parked[len(surplus) :]
        for one in surplus:
            one.group.close()
