"""The state of a live queue: what waits, what executes, what is tried again, what has ended.

Knows no lock and wakes nobody: `autotune.engine.live_source.LiveSource`
does, and resolves the futures.
"""

import itertools
import math
import time
from collections import deque
from itertools import chain, islice
from typing import NamedTuple

from autotune.engine.counters import Counters
from autotune.engine.recent import RecentRequests
from autotune.engine.requests import RecentTimes, Request, Signature, tried_again


class Taken(NamedTuple):
    """What was taken to be executed together."""

    number: int
    """By which it is told when it ends; 0 where nothing was left to execute."""
    requests: list[Request]
    late: list[Request]
    """Requests that could not be answered in time any more, and count as expired."""


class LiveQueue:
    """Requests from `append` to their end, each in one place at a time. Not thread-safe."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.waiting: deque[Request] = deque()
        self.retries: deque[list[Request]] = deque()
        """Parts of batches that failed, each to be executed as it is."""
        self._executing: dict[int, list[Request]] = {}
        self._numbers = itertools.count(1)
        self._times = RecentTimes()
        self.recent = RecentRequests()
        """Those answered, and those dropped because they came or would have come too late."""
        self.rejected = 0
        self.replaced = 0
        """Replicas that died and stand again."""
        self._submitted = self._answered = self._failed = self._expired = self._cancelled = 0

    def append(self, request: Request) -> None:
        """Let a request wait."""
        self.waiting.append(request)
        self._submitted += 1

    @property
    def offered(self) -> int:
        """How many requests came, those rejected included."""
        return self._submitted + self.rejected

    @property
    def empty(self) -> bool:
        """Whether nothing is left: what executes may fail and come back."""
        return not (self.waiting or self.retries or self._executing)

    def matching(self, limit: int) -> int:
        """Return how many waiting requests, from the first, can be stacked with the first."""
        count = 0
        head: Signature | None = None
        for one in self.waiting:
            if count == limit or (count and (head is None or one.signature != head)):
                break
            head = one.signature
            count += 1
        return count

    def last_call_s(self, count: int) -> float:
        """Return until when the first requests may wait for company, for the sake of deadlines.

        Half of the time that each has to spare: at the end of it, it would be late by the least
        delay.
        """
        last_s = math.inf
        for one in islice(self.waiting, count):
            if one.deadline_s != math.inf:
                needed_s = self._times.least_s(count, time.perf_counter())
                last_s = min(last_s, (one.submitted_s + one.deadline_s - needed_s) / 2)
        return last_s

    def take(self, most: int) -> Taken:
        """Take a part of a failed batch, or else waiting requests that can be stacked."""
        late: list[Request] = []
        if self.retries:
            requests = self._in_time(self.retries.popleft(), late)
        else:
            requests = self._stackable(most, late)
        self._expire(late)
        if not requests:
            return Taken(0, requests, late)
        number = next(self._numbers)
        self._executing[number] = requests
        return Taken(number, requests, late)

    def answered(self, number: int, started_s: float) -> bool:
        """Note that a batch was answered; False: it was given up before."""
        requests = self._executing.pop(number, None)
        if requests is None:
            return False
        self._answered += len(requests)
        ended_s, add = time.perf_counter(), self.recent.add
        for one in requests:
            add(one.submitted_s, ended_s - one.submitted_s)
        self._times.add(len(requests), started_s, ended_s)
        return True

    def failed(self, number: int, error: Exception) -> list[Request]:
        """Let parts of a batch be tried again, or return those whose answer the error is."""
        requests = self._executing.pop(number, [])
        if again := tried_again(requests, error):
            self.retries.extend(again)
            return []
        self._failed += len(requests)
        return requests

    def overdue(self) -> list[Request]:
        """Drop waiting requests whose deadline has passed; return those still wanted."""
        now_s = time.perf_counter()
        late = [one for one in self.waiting if one.deadline_s < now_s]
        if late:
            self.waiting = deque(one for one in self.waiting if one.deadline_s >= now_s)
            late = [one for one in late if self._claimed(one)]
            self._expire(late)
        return late

    def give_up(self) -> list[Request]:
        """Drop everything that has no answer yet, as failed; return what is still wanted."""
        waiting = [one for one in self.waiting if self._claimed(one)]
        rest = [*waiting, *chain(*self.retries), *chain(*self._executing.values())]
        self.waiting.clear()
        self.retries.clear()
        self._executing.clear()
        self._failed += len(rest)
        return rest

    def counters(self) -> Counters:
        """Return what became of the requests so far."""
        return Counters(
            submitted=self._submitted,
            answered=self._answered,
            failed=self._failed,
            expired=self._expired,
            cancelled=self._cancelled,
            queued=len(self.waiting),
            executing=sum(map(len, chain(self._executing.values(), self.retries))),
            rejected=self.rejected,
            replicas_replaced=self.replaced,
        )

    def reject(self, submitted_s: float) -> None:
        """Note that a request was refused, for the queue is full."""
        self.rejected += 1
        self.recent.add(submitted_s, math.inf)

    def _expire(self, late: list[Request]) -> None:
        self._expired += len(late)
        for one in late:
            self.recent.add(one.submitted_s, math.inf)

    def _stackable(self, most: int, late: list[Request]) -> list[Request]:
        """Take what waits; where some are not wanted or too late, others fill their places."""
        waiting = self.waiting
        taken: list[Request] = []
        while waiting and len(taken) < most and (not taken or _alike(taken[0], waiting[0])):
            one = waiting.popleft()
            if self._claimed(one):
                taken.append(one)
                if len(taken) == most:
                    taken = self._in_time(taken, late)
        return taken if len(taken) == most else self._in_time(taken, late)

    def _claimed(self, one: Request) -> bool:
        """Whether a request is still wanted; then it cannot be cancelled any more."""
        wanted = one.future.set_running_or_notify_cancel()
        self._cancelled += not wanted
        return wanted

    def _in_time(self, requests: list[Request], late: list[Request]) -> list[Request]:
        """Return those that can be answered in time, together; others go to `late`."""
        for one in requests:
            if one.deadline_s != math.inf:
                break
        else:
            return requests
        now_s = time.perf_counter()
        ended_s = now_s + self._times.least_s(len(requests), now_s)
        late += [one for one in requests if one.deadline_s < ended_s]
        return [one for one in requests if one.deadline_s >= ended_s]


def _alike(one: Request, other: Request) -> bool:
    """Whether two requests can be stacked."""
    return one.signature is not None and one.signature == other.signature
