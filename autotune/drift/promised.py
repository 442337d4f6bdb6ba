"""What a policy promises at any load of its table: latencies that a share of requests keeps.

A latency in the file was measured, so the truth lies within an interval. What is promised is its
far end, at the confidence that the false alarms ask for, and a tolerance beyond it: then the
promise's own noise raises no alarm either.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from autotune.config_file import PolicyEntry, TunedFile
from autotune.outcome import Samples
from autotune.records import Percentile
from autotune.stats.summary import CONFIDENCE

QUANTILES = (0.5, 0.95, 0.99)
FASTER_AT = 0.5
"""Where faster is looked for: beyond high quantiles there is little to be faster than."""
NEAR = 0.9
"""Share of a load, from which on batches fill about as they did when measured."""


class Bounds(NamedTuple):
    """Of every entry of the policy, in ms; shape (quantiles, entries), NaN where not known."""

    upper_ms: Samples
    """The latency that the quantile does not exceed."""
    lower_ms: Samples
    """The latency that it does not fall below."""


def bounds(tuned: TunedFile, alpha: float, tolerance: float) -> Bounds:
    """Return what every entry promises.

    Args:
        tuned: the file.
        alpha: chance that any of the bounds is wrong.
        tolerance: share by which the truth may lie beyond the interval.
    """
    known = [_percentiles(entry) for entry in tuned.policy]
    several = max(1, sum(one is not None for entry in known for one in entry))
    reach = float(ndtri(1 - alpha / 2 / several) / ndtri((1 + CONFIDENCE) / 2))
    upper_ms = np.array([[_end(one, True, reach) for one in row] for row in known])
    lower_ms = np.array([[_end(one, False, reach) for one in row] for row in known])
    return Bounds((1 + tolerance) * upper_ms.T, lower_ms.T / (1 + tolerance))


def upper_ms(tuned: TunedFile, found: Bounds, quantile: int, load_rps: Samples) -> Samples:
    """Return the latency promised at each load, within the table; NaN: nothing is.

    Between two entries of one configuration, on the line between them: a queue's latency is a
    convex function of its load, so it lies below. Else the upper entry's, for fewer requests wait
    less; where batches wait for company, by so much more.
    """
    places = np.searchsorted([one.load_rps for one in tuned.policy], load_rps)
    values = np.empty(len(load_rps))
    for i, (place, at_rps) in enumerate(zip(places, load_rps, strict=True)):
        entry = tuned.policy[place]
        here = found.upper_ms[quantile, place]
        below = tuned.policy[place - 1] if place else None
        there = found.upper_ms[quantile, place - 1] if place else math.nan
        if below is not None and below.config == entry.config and not math.isnan(there):
            part = (at_rps - below.load_rps) / (entry.load_rps - below.load_rps)
            values[i] = there + part * (here - there)
            continue
        waits = entry.config.max_batch_size > 1 and at_rps < NEAR * entry.load_rps
        values[i] = here + entry.config.batch_timeout_ms * waits
    return values


def lower_ms(tuned: TunedFile, found: Bounds, place: int, load_rps: Samples) -> Samples:
    """Return the least median promised at each load of an entry; NaN: nothing is.

    That of the highest entry below with the same configuration, for more requests wait longer.
    Where batches wait for company they may as well wait less, so nothing is promised.
    """
    config = tuned.policy[place].config
    values = np.full(len(load_rps), math.nan)
    if config.max_batch_size > 1:
        return values
    quantile = QUANTILES.index(FASTER_AT)
    for below in range(place + 1):
        one = tuned.policy[below]
        if one.config == config and not math.isnan(found.lower_ms[quantile, below]):
            values[load_rps >= one.load_rps] = found.lower_ms[quantile, below]
    return values


def _percentiles(entry: PolicyEntry) -> list[Percentile | None]:
    one = entry.measured
    return [None] * len(QUANTILES) if one is None else [one.p50, one.p95, one.p99]


def _end(one: Percentile | None, upper: bool, reach: float) -> float:
    """An end of the interval at another confidence, as if noise of logarithms were normal."""
    if one is None or not one.value_ms:
        return math.nan
    end_ms = one.high_ms if upper else one.low_ms
    if not end_ms:
        return math.nan
    return float(one.value_ms * (end_ms / one.value_ms) ** reach)
