"""Queues whose answers are known: exact percentiles, and many independent runs at once."""

import math

import numpy as np
from scipy.optimize import brentq

from autotune.outcome import Flags, Samples

_STATES = 4000
"""Customers in the system beyond which probabilities are nought, for loads up to 0.95."""


def mm1_quantile_s(load_rps: float, service_s: float, quantile: float) -> float:
    """Return a sojourn time quantile of M/M/1: exponential at rate 1 / service - load."""
    return -math.log(1 - quantile) / (1 / service_s - load_rps)


def mdc_quantile_s(load_rps: float, service_s: float, servers: int, quantile: float) -> float:
    """Return a sojourn time quantile of M/D/c by Franx's formula for the waiting time.

    Franx 2001, "A simple solution for the M/D/c waiting time distribution", Operations Research
    Letters 29: for (k - 1) D <= x < k D, with Q_m the probability that at most m wait,
    P(W <= x) = exp(-l (k D - x)) sum over j < k c of Q_(kc-j-1) (l (k D - x))^j / j!.
    """
    at_most = _waiting_at_most(load_rps * service_s, servers)

    def excess(wait_s: float) -> float:
        k = int(wait_s / service_s) + 1
        mean = load_rps * (k * service_s - wait_s)
        terms = _poisson(mean, k * servers)
        return float(np.sum(at_most[k * servers - 1 :: -1][: k * servers] * terms)) - quantile

    if excess(0.0) >= 0:
        return service_s
    highest = service_s
    while excess(highest) < 0:
        highest *= 2
    return service_s + float(brentq(excess, 0.0, highest))


def _waiting_at_most(offered: float, servers: int) -> Samples:
    """P(at most m wait), m = 0, 1, ..., from the number in the system one service time later.

    Crommelin 1932: whoever is served now is gone by then, and whoever then is served has come
    or waited: N(t + D) = max(N(t) - c, 0) + arrivals within D.
    """
    arrivals = _poisson(offered, 200)
    states = np.zeros(_STATES)
    states[0] = 1.0
    while True:
        stay = np.concatenate([[states[: servers + 1].sum()], states[servers + 1 :]])
        later = np.convolve(stay, arrivals)[:_STATES]
        later /= later.sum()
        if float(np.abs(later - states).sum()) < 1e-13:
            break
        states = later
    waiting = np.concatenate([[later[: servers + 1].sum()], later[servers + 1 :]])
    return np.cumsum(waiting)


def _poisson(mean: float, count: int) -> Samples:
    """P(0), P(1), ... of a Poisson variable."""
    number = np.arange(count)
    logs = number * math.log(mean) - mean - np.array([math.lgamma(n + 1) for n in number])
    return np.asarray(np.exp(logs)) if mean > 0 else (number == 0).astype(np.float64)


def serve(gaps_s: Samples, services_s: Samples, servers: int = 1) -> tuple[Samples, Flags]:
    """First come, first served: sojourn times, and which requests found a server free.

    Arrays of shape (queues, requests): many independent queues at once.
    """
    arrivals_s = np.cumsum(gaps_s, axis=1)
    free_s = np.zeros((len(gaps_s), servers))
    sojourn_s, fresh = np.empty_like(gaps_s), np.empty(gaps_s.shape, dtype=np.bool_)
    rows = np.arange(len(gaps_s))
    for i in range(gaps_s.shape[1]):
        server = free_s.argmin(axis=1)
        fresh[:, i] = free_s[rows, server] <= arrivals_s[:, i]
        begun_s = np.maximum(arrivals_s[:, i], free_s[rows, server])
        free_s[rows, server] = begun_s + services_s[:, i]
        sojourn_s[:, i] = begun_s + services_s[:, i] - arrivals_s[:, i]
    return sojourn_s, fresh
