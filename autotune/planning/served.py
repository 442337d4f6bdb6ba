"""What one machine of a type answers in time, by how many requests reach it and how clustered."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.outcome import Samples

STEPS_A_DECADE = 32
"""Of latency, so that steps are 7 % apart."""
BELOW_SLO, ABOVE_SLO = 5, 2
"""Decades of latency that are told apart, around the SLO's."""


class Served(NamedTuple):
    """One machine at R rates in traffic of D dispersions, running the best of its policy.

    Past saturation, where queues grow without end, it is what a stretch of requests meets that
    begins with an empty queue.
    """

    rates_rps: Samples
    """Shape (R,), ascending, up to past saturation."""
    dispersions: Samples
    """Shape (D,), ascending from 1."""
    config_of: npt.NDArray[np.int64]
    """Shape (R, D): which of the file's `service.configs` runs."""
    latency_s: Samples
    """Shape (X,), ascending: the grid of `shares`, the same for all types; the SLO's is in it."""
    shares: Samples
    """Shape (R, D, X): share of the requests answered within `latency_s`."""
    within: Samples
    """Shape (R, D): share answered within the SLO."""
    cpu_s: Samples
    """Shape (R, D): CPU seconds per request."""
    saturation_rps: float
    """Above it the queue grows without end, whatever the policy runs."""


def latency_grid(slo_s: float, shortest_s: float) -> Samples:
    """Return latencies from about the shortest, in even ratios, on to far above the SLO's."""
    least = np.floor(np.log10(min(shortest_s / slo_s, 1.0)) * STEPS_A_DECADE)
    steps = np.arange(max(least, -BELOW_SLO * STEPS_A_DECADE), ABOVE_SLO * STEPS_A_DECADE + 1)
    return np.asarray(slo_s * 10 ** (steps / STEPS_A_DECADE))


def share_within(served: Served, rate_rps: Samples, dispersion: Samples) -> Samples:
    """Return the share of requests answered within the SLO, shape (N,).

    Straight lines lie between the rates and between the dispersions that are known; beyond the
    first and the last the share stays as it is there.

    Args:
        served: by one machine.
        rate_rps: that reaches the machine, shape (N,).
        dispersion: of what reaches it, shape (N,).
    """
    return _between(served, served.within[:, :, None], rate_rps, dispersion)[:, 0]


def shares_at(served: Served, rate_rps: Samples, dispersion: Samples) -> Samples:
    """Return the share answered within each of `served.latency_s`, shape (N, X).

    As `share_within`.
    """
    return _between(served, served.shares, rate_rps, dispersion)


def quantile_s(served: Served, quantile: float, rate_rps: float, dispersion: float) -> float:
    """Return the latency within which this share is answered; infinite beyond the grid's last."""
    shares = shares_at(served, np.array([rate_rps]), np.array([dispersion]))[0]
    at = int(np.searchsorted(shares, quantile))
    if at == len(shares):
        return float("inf")
    if at == 0:
        return float(served.latency_s[0])
    part = (quantile - shares[at - 1]) / (shares[at] - shares[at - 1])
    return float(
        served.latency_s[at - 1] * (served.latency_s[at] / served.latency_s[at - 1]) ** part
    )


def capacity_at(served: Served, quantile: float, dispersion: float) -> float:
    """Return the highest rate at which this share is answered within the SLO; 0: at none.

    Below saturation, as nothing is answered in time for long above it.
    """
    last = int(np.searchsorted(served.rates_rps, served.saturation_rps, side="left"))
    rates_rps = np.append(served.rates_rps[:last], served.saturation_rps)
    within = share_within(served, rates_rps, np.full(len(rates_rps), dispersion))
    enough = np.flatnonzero(within >= quantile)
    if not len(enough):
        return 0.0
    at = int(enough[-1])
    if at == len(rates_rps) - 1:
        return float(rates_rps[-1])
    part = (within[at] - quantile) / (within[at] - within[at + 1])
    return float(rates_rps[at] + part * (rates_rps[at + 1] - rates_rps[at]))


def _between(served: Served, table: Samples, rate_rps: Samples, dispersion: Samples) -> Samples:
    """Values of a table of shape (R, D, ...) at N places."""
    low, rise = _place(served.rates_rps, rate_rps)
    left, aside = _place(served.dispersions, dispersion)
    high = np.minimum(low + 1, len(served.rates_rps) - 1)
    right = np.minimum(left + 1, len(served.dispersions) - 1)
    rise, aside = rise[:, None], aside[:, None]
    lower = table[low, left] * (1 - aside) + table[low, right] * aside
    upper = table[high, left] * (1 - aside) + table[high, right] * aside
    return np.asarray(lower * (1 - rise) + upper * rise)


def _place(grid: Samples, values: Samples) -> tuple[npt.NDArray[np.int64], Samples]:
    """Where values lie in a grid: the place before them and how far on to the next."""
    position = np.interp(values, grid, np.arange(len(grid)))
    low = position.astype(np.int64)
    return low, position - low
