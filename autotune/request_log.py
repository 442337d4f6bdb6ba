"""The log of one run, in memory that the serving process and its parent share.

The serving process writes a request's times as they happen, and the parent reads them while the
run goes on: no thread of the system under test serialises or sends anything. Times are seconds
since the start of the run on the monotonic clock, which all processes of a machine share.
"""

import mmap
import os
import time
from typing import NamedTuple

import numpy as np

from autotune.outcome import Samples

_CONTROL = 2
_COLUMNS = 5
_BYTES = 8


class RequestLog(NamedTuple):
    """Arrays over the scheduled requests, in order of arrival; NaN until known."""

    control: Samples
    """Shape (2,): clock reading at the start of the run (NaN before), and the moment after which
    scheduled requests are not taken any more (infinite, unless the run is stopped early)."""
    ready_s: Samples
    """When the replica that took the request had become free to take one."""
    claimed_s: Samples
    """When that replica first knew of the first request of the batch."""
    started_s: Samples
    """When the batch began to execute."""
    finished_s: Samples
    batch_size: Samples

    def start_clock(self, at_s: float | None = None) -> None:
        """Let the run begin at a moment of `time.perf_counter`; None: now."""
        self.control[0] = time.perf_counter() if at_s is None else at_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start of the run; NaN before it."""
        return time.perf_counter() - float(self.control[0])

    @property
    def stop_after_s(self) -> float:
        """The moment after which scheduled requests are not taken."""
        return float(self.control[1])

    def stop(self, after_s: float) -> None:
        """Take no request that is scheduled after `after_s`; minus infinity: none at all."""
        self.control[1] = after_s


def new_log(count: int) -> RequestLog:
    """Return an empty log of `count` requests in this process's own memory."""
    return _blank(_over(bytearray(_size(count)), count))


def share_log(descriptor: int, count: int) -> RequestLog:
    """Size the open file at `descriptor` for `count` requests and return its log, empty."""
    os.ftruncate(descriptor, _size(count))
    return _blank(join_log(descriptor, count))


def join_log(descriptor: int, count: int) -> RequestLog:
    """Return the log of `count` requests that another process made in the open file."""
    return _over(mmap.mmap(descriptor, _size(count)), count)


def _size(count: int) -> int:
    return _BYTES * (_CONTROL + _COLUMNS * count)


def _over(memory: "bytearray | mmap.mmap", count: int) -> RequestLog:
    values = np.frombuffer(memory, dtype=np.float64)
    control, columns = values[:_CONTROL], values[_CONTROL:].reshape(_COLUMNS, count)
    return RequestLog(control, *columns)


def _blank(log: RequestLog) -> RequestLog:
    for column in log:
        column.fill(np.nan)
    log.control[1] = np.inf
    return log
