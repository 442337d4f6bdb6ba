"""What machines cannot take goes to a function platform: who is served there, and how late."""

import math
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter1d

from autotune.outcome import Samples
from autotune.planning.load_windows import Windows
from autotune.planning.prices import FunctionPrice
from autotune.planning.records import FunctionPlanned


class SpillOver(NamedTuple):
    """A function that takes requests, as `autotune.planning.functions` chose it."""

    cost_per_request: float
    mean_batch: float
    """Requests of an invocation."""
    execution_s: float
    """Of the mean batch."""
    tail_s: float
    """Latency at the percentile that it was chosen for, warm."""
    quantile: float
    """That percentile, as a share."""
    cold_start_s: float
    keep_alive_s: float
    """How long an instance stays warm that nobody uses."""
    most: int | None
    """Instances at a time; None: no limit."""


def spill_over_to(planned: FunctionPlanned, price: FunctionPrice) -> SpillOver:
    """Return a function that was chosen, as what takes the rest.

    Its cost and batches are those of the load that it was chosen for; at another one batches are
    of another size.

    Args:
        planned: the choice.
        price: of it.
    """
    return SpillOver(
        cost_per_request=planned.cost_per_million / 1e6,
        mean_batch=planned.mean_batch_size,
        execution_s=planned.execution_ms / 1000,
        tail_s=max(planned.analytic_ms, planned.simulated_ms) / 1000,
        quantile=planned.percentile / 100,
        cold_start_s=price.cold_start_s,
        keep_alive_s=price.keep_alive_s,
        most=price.most,
    )


class Spilled(NamedTuple):
    """Requests that went to the function, by window; shapes (steps, windows of a step)."""

    counts: Samples
    cold: Samples
    """Of them, those that met a cold start; likewise:"""
    within: Samples
    """Of them, those answered within the SLO."""
    lost: Samples
    """Of them, those beyond the most instances."""


def spill(overflow_rps: Samples, windows: Windows, function: SpillOver, slo_s: float) -> Spilled:
    """Return how the function serves what the machines did not take.

    Instances needed in a window are the overflow times the seconds of an execution over its
    requests (Little's law). Warm are the most that were needed between `keep_alive_s` and
    `cold_start_s` ago: one that begins to start now takes no request before; until then, each
    request beyond the warm meets a cold start, whose latency is added. The first overflow of a
    trace is cold. Warm requests meet the SLO as often as the function was chosen to, no more.

    Args:
        overflow_rps: shape (steps, windows of a step).
        windows: of the trace.
        function: that takes it.
        slo_s: latency of the SLO.
    """
    per_instance_rps = function.mean_batch / function.execution_s
    most_rps = math.inf if function.most is None else function.most * per_instance_rps
    offered = overflow_rps.ravel()
    taken = np.minimum(offered, most_rps)
    needed = np.ceil(taken / per_instance_rps - 1e-9)
    warm = _warm(needed, windows.window_s, function)
    cold_share = np.divide(
        np.maximum(needed - warm, 0.0), needed, out=np.zeros_like(needed), where=needed > 0
    )
    counts = taken * windows.window_s
    cold = counts * cold_share
    cold_within = 0.0 if function.cold_start_s + function.execution_s > slo_s else 1.0
    warm_within = function.quantile if function.tail_s <= slo_s else 0.0
    within = (counts - cold) * warm_within + cold * cold_within * warm_within
    shape = overflow_rps.shape
    return Spilled(
        counts=counts.reshape(shape),
        cold=cold.reshape(shape),
        within=within.reshape(shape),
        lost=((offered - taken) * windows.window_s).reshape(shape),
    )


def _warm(needed: Samples, window_s: float, function: SpillOver) -> Samples:
    """Return the instances that are warm in each window: the most of a past stretch."""
    latest = max(1, math.ceil(function.cold_start_s / window_s))
    earliest = max(latest, math.floor(function.keep_alive_s / window_s))
    if latest >= len(needed):
        return np.zeros_like(needed)
    span = min(earliest - latest + 1, len(needed))
    # Of windows k - span + 1 .. k; before the trace nothing was needed.
    recent = maximum_filter1d(needed, span, origin=(span - 1) // 2, mode="constant", cval=0.0)
    warm = np.zeros_like(needed)
    warm[latest:] = recent[:-latest]
    return warm


def function_shares(function: SpillOver, grid_s: Samples) -> Samples:
    """Return the share of warm requests answered within each latency, for the tail of a mixture.

    Known of it are an execution's seconds and one percentile: between them lies a straight line,
    and beyond an exponential tail, as of waits that would all be exponential.
    """
    wait_s = max(function.tail_s - function.execution_s, 1e-3 * function.execution_s)
    waits = (grid_s - function.execution_s) / wait_s
    below = function.quantile * waits
    beyond = 1 - (1 - function.quantile) ** np.maximum(waits, 1.0)
    return np.asarray(np.clip(np.where(waits < 1, below, beyond), 0.0, 1.0))
