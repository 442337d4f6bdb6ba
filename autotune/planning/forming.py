"""Batches that form while a replica waits for them: how long their requests wait for company.

A batch begins with its first request, in phase law phi, and closes when it is full (B requests)
or after the timeout T. With P(n, t) as in `planning.counting` and I(n, t) its integral, requests of
a batch are counted by their lag, from their arrival to the moment it closes. Timed out with n more
requests, n < B - 1: the first has lag T, and with a lag up to y there are, on average,

    sum over m <= n of m phi P(n - m, T - y) P(m, y) 1                                   (1)

further ones. Full: the closing one has lag 0, and others have a lag up to y in number

    sum over m of m phi I(B - 2 - m, T - y) P(m, y) D1 1                                 (2)
        + (B - 1) phi I(B - 2, y) D1 1                                                   (3)

(2) for batches that take longer than y to fill, (3) for the others, the first request among them.
Phi is stationary for the phase from one batch's first request to the next one's,

    K = (sum over n < B - 1 of P(n, T) + I(B - 2, T) D1) (-D0)^-1 D1                     (4)

which holds while there is always a free replica. That is the model of Ali, Pinciroli, Yan and
Smirni 2020, "BATCH: Machine Learning Inference Serving on Serverless Platforms with Adaptive
Batching" (SC'20), for a Markov-modulated Poisson process of two phases; the matrices stand in
Neuts 1979, Lucantoni 1991 and Fischer and Meier-Hellstern 1993, "The Markov-modulated Poisson
process (MMPP) cookbook".
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.outcome import Samples
from autotune.planning.counting import counts_at, durations, stationary_of, until_next
from autotune.planning.mmpp import Mmpp

LAGS = 256
"""Cells of lags between none and the timeout: in each, requests count as in its middle."""


class Formed(NamedTuple):
    """Requests of the mean batch, by lag and the size of their batch; arrays of shape (points,)."""

    lag_s: Samples
    size: npt.NDArray[np.int64]
    requests: Samples
    """Expected in a batch."""
    mean_batch: float
    size_share: Samples
    """Share of the batches of 1, 2, ... B requests, shape (B,)."""


def form(arrivals: Mmpp, sizes: list[int], timeout_s: float) -> list[Formed]:
    """Return the requests of batches up to each of these sizes, where a replica is always free.

    Exact but for the cells, by equations (1) to (4); the counts are found once for all sizes.
    """
    most = max(sizes)
    if timeout_s == 0 or most == 1:
        return [_single(size) for size in sizes]
    times_s = np.linspace(0.0, timeout_s, LAGS + 1)
    counts = counts_at(arrivals, times_s, most - 1)
    spent_s = durations(arrivals, counts)
    return [
        _single(size) if size == 1 else _form(arrivals, counts[:, : size - 1], spent_s, timeout_s)
        for size in sizes
    ]


def first_phase(arrivals: Mmpp, counts: Samples, spent_s: Samples) -> Samples:
    """Return the phase at a batch's first request, by equation (4).

    Args:
        arrivals: the process.
        counts: P(n, T) for n below B - 1, shape (B - 1, 2, 2).
        spent_s: I(B - 2, T), shape (2, 2).
    """
    closing = counts.sum(axis=0) + spent_s @ arrivals.d1
    return stationary_of(closing @ until_next(arrivals))


def _single(size: int) -> Formed:
    share = np.zeros(size)
    share[0] = 1.0
    return Formed(np.zeros(1), np.ones(1, np.int64), np.ones(1), 1.0, share)


def _form(arrivals: Mmpp, counts: Samples, spent_s: Samples, timeout_s: float) -> Formed:
    size = counts.shape[1] + 1
    phi = first_phase(arrivals, counts[-1], spent_s[-1, size - 2])
    within = counts.sum(axis=3)  # P(m, y) 1
    closing = (counts @ arrivals.d1).sum(axis=3)  # P(m, y) D1 1
    before = (phi @ counts)[::-1]  # phi P(n, T - y)
    timed_out = np.zeros((LAGS + 1, size - 1))
    for number in range(1, size - 1):
        some = before[:, : size - 1 - number] * within[:, number, None]
        timed_out[:, number:] += number * some.sum(axis=2)  # (1)
    before = (phi @ spent_s)[::-1]
    filled = (size - 1) * (phi @ spent_s[:, size - 2] @ arrivals.d1).sum(axis=1)  # (3)
    for number in range(1, size - 1):
        filled += number * (before[:, size - 2 - number] * closing[:, number]).sum(axis=1)  # (2)
    ends = (phi @ counts[-1]).sum(axis=1)
    full = float((phi @ spent_s[-1, size - 2] @ arrivals.d1).sum())
    middle_s = (np.arange(LAGS) + 0.5) * timeout_s / LAGS
    upto = np.concatenate([timed_out, filled[:, None]], axis=1)
    lags_s = [np.repeat(middle_s[:, None], size, axis=1).ravel(), np.full(size - 1, timeout_s)]
    of_size = np.arange(1, size + 1)
    sizes = [np.tile(of_size, LAGS), of_size[:-1], of_size[-1:]]
    requests = [np.diff(upto, axis=0).clip(min=0).ravel(), ends, np.array([full])]
    share = np.append(ends, full)
    return Formed(
        np.concatenate([*lags_s, np.zeros(1)]),
        np.concatenate(sizes),
        np.concatenate(requests),
        float(share @ of_size / share.sum()),
        share / share.sum(),
    )
