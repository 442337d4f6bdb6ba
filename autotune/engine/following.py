"""Requests that come from the step before, as that answers: one link of a chain.

The process of the step before writes into a pipe when it finished each request; a free replica of
this one reads that, so that nothing else stands between the two.
"""

import os
import select
import struct
from collections.abc import Sequence

from autotune.engine.source import NAP_S, Batch, Offer, ScheduleSource, Tensors
from autotune.request_log import RequestLog

MOMENT = struct.Struct("=d")
"""When a request was finished, on the monotonic clock."""
_MOST_BYTES = 4096 * MOMENT.size


class Feed:
    """The end of a pipe into which a step writes what it has answered."""

    def __init__(self, descriptor: int) -> None:
        """Write to this descriptor, which does not block."""
        self._descriptor = descriptor

    def tell(self, finished_s: float, requests: int) -> None:
        """Say when some requests were finished, by `time.perf_counter`.

        Raises:
            BlockingIOError: the step after is behind by more requests than a pipe holds.
        """
        os.write(self._descriptor, MOMENT.pack(finished_s) * requests)


class FollowingSource(ScheduleSource):
    """Executes `per_request` requests for each that the step before has answered."""

    def __init__(
        self,
        total: int,
        samples: Sequence[Tensors],
        log: RequestLog,
        order: Sequence[int],
        follow: tuple[int, int],
    ) -> None:
        """Serve up to `total` requests.

        Args:
            total: as many as the log has room for.
            samples: of requests.
            log: of this step.
            order: which sample each request is.
            follow: the descriptor to read, and the requests for each answer.
        """
        super().__init__([float("inf")] * total, samples, log, order)
        self._descriptor, self._per_request = follow
        self._arrived = 0

    def take(
        self, max_batch_size: int, batch_timeout_s: float, offer: Offer | None = None
    ) -> Batch | None:
        """Wait for an answer of the step before, then until the batch is full or it is time."""
        first, ready_s = self._next, self._elapsed_s()
        while self._arrived == first:
            if self.error is not None or not self._may_take() or first == len(self._arrivals_s):
                return None
            self._read(NAP_S)
        claimed_s = self._elapsed_s()
        close_s = self._arrivals_s[first] + batch_timeout_s
        limit = min(first + max_batch_size, self._stackable_until[first])
        self._read(0.0)
        while self._arrived < limit and (left_s := close_s - self._elapsed_s()) > 0:
            self._read(left_s)
        self._next = past = min(limit, self._arrived)
        inputs = [self._samples[self._order[i]] for i in range(first, past)]
        return Batch(first, inputs, [], ready_s, claimed_s)

    def _read(self, within_s: float) -> None:
        """Take in what was answered, waiting so long for the first of it."""
        if not select.select([self._descriptor], [], [], within_s)[0]:
            return
        data = os.read(self._descriptor, _MOST_BYTES)
        for (finished_s,) in MOMENT.iter_unpack(data):
            past = min(self._arrived + self._per_request, len(self._arrivals_s))
            for place in range(self._arrived, past):
                self._arrivals_s[place] = finished_s - self._control[0]
            self._arrived = past

    def _may_take(self) -> bool:
        return self._elapsed_s() <= self._control[1]
