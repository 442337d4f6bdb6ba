"""Tails of latency by analysis: batches of requests that come as a two-phase process.

`tail_unlimited` is exact, for a platform that always has a free replica; see `planning.forming`.
`tail_replicas` is for replicas that share a queue. With one, the wait for it is found by a chain
embedded where batches begin (see `planning.waiting`): exact unless a timeout outlasts the execution
of a full batch. With c, that chain is solved for one replica c times as fast, which is right where
all are busy and waits too often where they are not. In M/M/c, and nearly in M/D/c, those who wait
at all wait as for one replica c times as fast, and their share is C(c, c u), Erlang's probability
that all of c are busy when each is for a share u of the time (Lee and Longton 1959, "Queueing
processes associated with airline passenger check-in"; Whitt 1993, "Approximations for the GI/G/m
queue"). So while a phase lasts and serves what comes, its tail is

    F = w fast + (1 - w) free,    w = C(c, c u) / (share that finds the fast replica busy)    (1)

with `free` that of unlimited replicas, and u that of this mixture. Phases change: requests of a
phase find the fast replica busy more often than if it had always lasted, and the excess b of
those that do is what earlier bursts left, where all replicas are busy. So in all

    F = fast + sum over phases of share (1 - b) (1 - w) (free - fast),                       (2)

the last two of the phase alone. Phases shorter than the execution of a full batch are no such
thing: then (1) holds for the process as it is.

That is exact for one replica (w = 1) and for very many (fast = free). Between, against long
simulations (`benchmarks/tails.py`): off by less than 1 % in the median with Poisson arrivals and by
less than 5 % with bursts, one in ten by more than 2 % and 10 %, to either side; too short where few
requests wait. Where batches never wait for company (timeout 0) they are as large as what the ends
of executions leave, which bunch: there it is off by 3 to 9 % in the median, more often too long
than too short, and one in ten by a third.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autotune.outcome import Samples
from autotune.planning.forming import Formed, form
from autotune.planning.mmpp import Mmpp, poisson
from autotune.planning.waiting import Waited, wait_for_one

STEP = 0.0005
"""Of the logarithm of latency, in the tail of replicas."""
_EVEN: tuple[float, ...] = (1.0,)


class Batching(NamedTuple):
    """When a batch is closed: full, or its first request has waited for so long."""

    max_batch: int
    timeout_s: float


class Tail(NamedTuple):
    """A cumulative distribution of latency over requests; arrays of shape (points,)."""

    latency_s: Samples
    """Ascending."""
    share: Samples
    """Of the requests that are answered within it; ends below 1 where the rest never are."""
    mean_batch: float

    def quantile_s(self, quantile: float) -> float:
        """Return the latency in seconds that this share stays within; infinite: none does."""
        place = int(np.searchsorted(self.share, quantile - 1e-9))
        return float(self.latency_s[place]) if place < len(self.share) else math.inf

    def share_within(self, latency_s: float) -> float:
        """Return the share of the requests that are answered within these seconds."""
        place = int(np.searchsorted(self.latency_s, latency_s * (1 + 1e-9), side="right"))
        return float(self.share[place - 1]) if place else 0.0


def tail_unlimited(
    arrivals: Mmpp, batching: Batching, batch_s: Samples, ratios: Sequence[float] = _EVEN
) -> Tail:
    """Return the tail where a replica is always free: exact.

    Args:
        arrivals: the process.
        batching: when batches close.
        batch_s: seconds of batches of 1, 2, ... `max_batch` requests.
        ratios: of an execution to those, each as likely: its jitter.
    """
    (formed,) = form(arrivals, [batching.max_batch], batching.timeout_s)
    return tail_of(formed, batch_s, ratios)


def tail_of(formed: Formed, batch_s: Samples, ratios: Sequence[float] = _EVEN) -> Tail:
    """Return the tail of batches that formed like this; arguments as in `tail_unlimited`."""
    executed_s = batch_s[formed.size - 1]
    latency_s = (formed.lag_s + np.multiply.outer(np.array(ratios), executed_s)).ravel()
    requests = np.tile(formed.requests, len(ratios))
    return _tail(latency_s, requests, formed.mean_batch)


def tail_replicas(arrivals: Mmpp, batching: Batching, batch_s: Samples, replicas: int) -> Tail:
    """Return the tail where replicas share the queue, by the rule of the engine.

    The first replica to be free takes what has arrived, up to the maximum, and waits for company
    until the batch is full or its first request's timeout is over. Nobody gives up waiting.
    Where more arrives than can be served, no request has an answer in the long run.

    Args:
        arrivals: the process.
        batching: when batches close.
        batch_s: seconds of batches of 1, 2, ... `max_batch` requests, whoever else executes.
        replicas: as many.
    """
    most = batching.max_batch
    if arrivals.mean_rps * batch_s[-1] >= replicas * most:
        return Tail(np.zeros(1), np.zeros(1), float(most))
    timeout_s = batching.timeout_s
    whole = wait_for_one(arrivals, timeout_s, batch_s, replicas)
    parts = [(whole.latency_s, whole.requests.sum(axis=1) / whole.mean_batch)]
    inverse_batch = 1 / whole.mean_batch
    if replicas > 1:
        lasting = min(arrivals.phase_s) >= batch_s[-1] and not arrivals.is_poisson
        shares = _of_phases(arrivals) if lasting else [1.0]
        for phase, share in enumerate(shares):
            rate_rps = arrivals.rates_rps[phase] if lasting else arrivals.mean_rps
            if share == 0 or rate_rps * batch_s[-1] >= replicas * most:
                continue
            local = poisson(rate_rps) if lasting else arrivals
            fast = wait_for_one(local, timeout_s, batch_s, replicas) if lasting else whole
            free = wait_for_one(local, timeout_s, batch_s, None)
            seen = float(whole.busy[phase]) if lasting else fast.busy_share
            backlog = max(0.0, (seen - fast.busy_share) / (1 - fast.busy_share))
            moved = share * (1 - backlog) * (1 - _share_waiting(fast, free, batch_s, replicas))
            for one, sign in ((free, moved), (fast, -moved)):
                parts.append((one.latency_s, sign * one.requests.sum(axis=1) / one.mean_batch))
                inverse_batch += sign / one.mean_batch
    latency_s, requests = _merged(*map(np.concatenate, zip(*parts, strict=True)))
    mean_batch = min(max(1.0, 1 / inverse_batch), float(most))
    return _tail(latency_s, requests, mean_batch)


def _share_waiting(fast: Waited, free: Waited, batch_s: Samples, replicas: int) -> float:
    """Return the share w that lives with the fast replica, where the load is consistent.

    Batches of the others are smaller, so that replicas are busier: the load is that of the
    mixture. It falls with w, and so does the right-hand side, so there is one solution.
    """
    busy = fast.busy_share
    per_request = [float(one.size_share @ batch_s) / one.mean_batch for one in (fast, free)]
    low, high = 0.0, 1.0
    for _ in range(30):
        share = (low + high) / 2
        load = busy * (share + (1 - share) * per_request[1] / per_request[0])
        if busy > 0 and share * busy < _erlang(replicas, load):
            low = share
        else:
            high = share
    return high


def _tail(latency_s: Samples, requests: Samples, mean_batch: float) -> Tail:
    order = np.argsort(latency_s, kind="stable")
    upto = np.cumsum(requests[order])
    return Tail(latency_s[order], upto / upto[-1], mean_batch)


def _merged(latency_s: Samples, requests: Samples) -> tuple[Samples, Samples]:
    """Return the same by steps of latency; no step has less than nothing.

    Where parts were taken away that differ a little from what is there, sums may fall: halfway
    between the least rising curve above and the greatest below is what neither favours.
    """
    step = np.rint(np.log(latency_s) / STEP).astype(np.int64)
    steps, place = np.unique(step, return_inverse=True)
    upto = np.cumsum(np.bincount(place, weights=requests))
    above, below = np.maximum.accumulate(upto), np.minimum.accumulate(upto[::-1])[::-1]
    rising = ((above + below) / 2).clip(min=0)
    return np.exp(steps * STEP), np.diff(rising, prepend=0.0)


def _of_phases(arrivals: Mmpp) -> list[float]:
    """Share of the requests in each phase."""
    flow = np.asarray(arrivals.stationary) * arrivals.rates_rps
    return [float(one) for one in flow / flow.sum()]


def _erlang(replicas: int, load: float) -> float:
    """C(c, c u) by the recursion of Erlang's loss formula: 1 / B(k) = 1 + k / (c u) / B(k - 1)."""
    if load >= 1:
        return 1.0
    inverse = 1.0
    for number in range(1, replicas + 1):
        inverse = min(1e15, 1 + inverse * number / (replicas * load))
    return 1 / (inverse * (1 - load) + load)
