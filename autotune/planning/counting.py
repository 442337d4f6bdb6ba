"""Requests counted: the matrices that say how many of a two-phase process arrive in a time.

P(n, t)[i, j] is the probability that n requests arrive within t and the phase is j then, given
that it is i at first. With D0 the rates of changes without a request and D1 those with one,

    dP(n, t)/dt = P(n, t) D0 + P(n - 1, t) D1,    P(0, 0) = I                            (1)

(Neuts 1979, "A versatile Markovian point process"; Lucantoni 1991, "New results on the single
server queue with a batch Markovian arrival process"). Uniformisation solves it without
subtractions: with theta the largest rate of any change,

    P(n, t) = sum over k of exp(-theta t) (theta t)^k / k! U_k(n)                        (2)
    U_k+1(n) = U_k(n) (I + D0 / theta) + U_k(n - 1) D1 / theta,    U_0(0) = I            (3)
"""

import numpy as np
from scipy.special import gammaln, xlogy

from autotune.outcome import Samples
from autotune.planning.mmpp import Mmpp

_BLOCK = 64
"""Steps of (3) that are weighed together."""
_SPREADS = 9.0
"""Standard deviations of the Poisson weights in (2), beyond which they are nought."""


def counts_at(arrivals: Mmpp, times_s: Samples, most: int) -> Samples:
    """Return P(n, t) for n below `most`, by equations (2) and (3).

    Args:
        arrivals: the process.
        times_s: shape (times,).
        most: counts, from none on.

    Returns:
        Shape (times, most, 2, 2).
    """
    theta = float(-np.diag(arrivals.d0).min())
    events = theta * times_s
    highest = float(events.max(initial=0.0))
    steps = int(highest + _SPREADS * np.sqrt(highest) + 25)
    stay, come = np.eye(2) + arrivals.d0 / theta, arrivals.d1 / theta
    power = np.zeros((most, 2, 2))
    power[0] = np.eye(2)
    total = np.zeros((len(times_s), most * 4))
    block = np.empty((_BLOCK, most, 2, 2))
    for begin in range(0, steps, _BLOCK):
        for place in range(_BLOCK):
            block[place] = power
            after = power @ stay
            after[1:] += power[:-1] @ come
            power = after
        number = np.arange(begin, begin + _BLOCK)
        log_weights = xlogy(number, events[:, None]) - events[:, None] - gammaln(number + 1)
        total += np.exp(log_weights) @ block.reshape(_BLOCK, -1)
    return total.reshape(len(times_s), most, 2, 2)


def durations(arrivals: Mmpp, counts: Samples) -> Samples:
    """Return the integrals of P(n, u) over u from 0 to t: seconds spent at each count.

    Equation (1) integrated: I(n) = (delta(n, 0) I + I(n - 1) D1 - P(n, t)) (-D0)^-1.

    Args:
        arrivals: the process.
        counts: P(n, t) from n = 0 on, shape (times, counts, 2, 2).

    Returns:
        The same shape, in seconds.
    """
    inverse = np.linalg.inv(-arrivals.d0)
    found = np.empty_like(counts)
    before = np.broadcast_to(np.eye(2), counts[:, 0].shape)
    for number in range(counts.shape[1]):
        found[:, number] = np.maximum((before - counts[:, number]) @ inverse, 0.0)
        before = found[:, number] @ arrivals.d1
    return found


def until_next(arrivals: Mmpp) -> Samples:
    """Return how the phase at the next request depends on the phase now: (-D0)^-1 D1."""
    return np.asarray(np.linalg.solve(-arrivals.d0, arrivals.d1))


def stationary_of(kernel: Samples) -> Samples:
    """Return the stationary law of a chain of two states; of two that never mix, halves."""
    leaves = np.array([kernel[0, 1], kernel[1, 0]])
    both = float(leaves.sum())
    return leaves[::-1] / both if both > 0 else np.full(2, 0.5)
