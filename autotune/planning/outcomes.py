"""How a fleet did: tails of the whole trace, what it took, and a series to draw."""

import math
from typing import NamedTuple

import numpy as np

from autotune.outcome import Samples
from autotune.planning.attained import Flow, Scene, at_cells, type_weights, visited_cells
from autotune.planning.machines import shares_at
from autotune.planning.records import Moment
from autotune.planning.served import Served
from autotune.planning.spill_over import SpillOver, function_shares

MOMENTS = 600
"""Most points of a series."""
GRID = 400
"""Latencies at which the mixture is known."""
DELAY_LEVELS = 128
CELLS_AT_ONCE = 4096
"""Whose distributions are in memory."""


class Attained(NamedTuple):
    """What became of all requests of a trace."""

    attainment: float
    """Share answered within the SLO."""
    p50_s: float
    """Infinite where more were never answered; likewise:"""
    p95_s: float
    p99_s: float
    objective_s: float
    """At the SLO's percentile."""
    lost_share: float
    """Turned away by machines or by the function."""
    spilled_share: float
    """Answered by the function."""
    cold_share: float
    """That met a cold start."""
    cpu_s: float
    """CPU seconds of machines for each request that they answered; an idle machine's are not in."""


def attained(scene: Scene, flow: Flow, function: SpillOver | None = None) -> Attained:
    """Return what became of the requests of a flow.

    The latency of all is a mixture: of what a machine does at each rate and dispersion, by
    requests; of what it does at saturation behind a backlog's delay; and of the function, warm
    and cold.

    Args:
        scene: trace, types and SLO.
        flow: the requests through a fleet.
        function: that took what was too much.
    """
    served = float(flow.offered.sum() - flow.lost.sum())
    lost = float(flow.lost.sum())
    spilled = cold = 0.0
    if flow.spilled is not None:
        spilled, cold = float(flow.spilled.counts.sum()), float(flow.spilled.cold.sum())
        lost += float(flow.spilled.lost.sum())
    total = served + spilled + lost
    grid_s, answered, cpu_s = _answered(scene, flow)
    if function is not None and spilled:
        warm = function_shares(function, grid_s)
        late = function_shares(function, grid_s - function.cold_start_s)
        answered = answered + (spilled - cold) * warm + cold * late
    share = answered / total
    p50_s, p95_s, p99_s, objective_s = (
        _quantile(grid_s, share, quantile) for quantile in (0.5, 0.95, 0.99, scene.slo.quantile)
    )
    return Attained(
        attainment=flow.attained,
        p50_s=p50_s,
        p95_s=p95_s,
        p99_s=p99_s,
        objective_s=objective_s,
        lost_share=lost / total,
        spilled_share=spilled / total,
        cold_share=cold / total,
        cpu_s=cpu_s / served if served > 0 else 0.0,
    )


def _quantile(grid_s: Samples, share: Samples, quantile: float) -> float:
    """Return the latency that this share of the requests does not exceed."""
    if share[-1] < quantile:
        return math.inf
    at = int(np.searchsorted(share, quantile))
    if at == 0:
        return float(grid_s[0])
    rise = share[at] - share[at - 1]
    return float(grid_s[at - 1] + (grid_s[at] - grid_s[at - 1]) * (quantile - share[at - 1]) / rise)


def _answered(scene: Scene, flow: Flow) -> tuple[Samples, Samples, float]:
    """Return latencies, the requests that machines answered within each, and their CPU seconds."""
    visited = visited_cells(flow.cell)
    size = int(visited[-1]) + 1
    late = flow.overloaded
    grid_s = _grid(scene, flow)
    answered, cpu_s = np.zeros(len(grid_s)), 0.0
    admitted = np.maximum(flow.offered - flow.lost, 0.0)
    for place, weight in type_weights(scene, flow.ready, flow.capacity_rps):
        one = scene.types[place]
        own = admitted * weight[:, None]
        rates_rps, dispersions = at_cells(scene, one, flow.cells, visited)
        calm = np.bincount(flow.cell[~late], weights=own[~late], minlength=size)[visited]
        delayed = np.bincount(flow.cell[late], weights=own[late], minlength=size)[visited]
        cpu_s += float((calm + delayed) @ _cpu_s(one.served, rates_rps, dispersions))
        known_s = one.served.latency_s
        both = _mixture(one.served, (rates_rps, dispersions), np.array([calm, delayed]))
        answered += _on_grid(grid_s, known_s, both[0])
        if delayed.any():
            at_once = both[1] / delayed.sum()
            for delay_s, requests in _by_delay(flow.delays_s, own[late]):
                answered += requests * _on_grid(grid_s, known_s + delay_s, at_once)
    return grid_s, answered, cpu_s


def _mixture(served: Served, where: tuple[Samples, Samples], weights: Samples) -> Samples:
    """Return the requests answered within each latency of the type.

    Args:
        served: by the type.
        where: rates and dispersions, shape (cells,) each.
        weights: requests, shape (sorts, cells).
    """
    total = np.zeros((len(weights), len(served.latency_s)))
    for first in range(0, weights.shape[1], CELLS_AT_ONCE):
        part = slice(first, first + CELLS_AT_ONCE)
        total += weights[:, part] @ shares_at(served, where[0][part], where[1][part])
    return total


def _grid(scene: Scene, flow: Flow) -> Samples:
    """Return the latencies at which all is known: the types' own, and as far as delays go."""
    own_s = scene.types[0].served.latency_s
    longest_s = float(own_s[-1]) + float(flow.delays_s.max(initial=0.0))
    if longest_s <= own_s[-1]:
        return own_s
    fine = np.geomspace(own_s[0], longest_s * (1 + 1e-9), GRID)
    return np.union1d(own_s, fine)


def _on_grid(grid_s: Samples, known_s: Samples, values: Samples) -> Samples:
    return np.asarray(np.interp(grid_s, known_s, values, left=0.0))


def _by_delay(delays_s: Samples, requests: Samples) -> list[tuple[float, float]]:
    """Return levels of delay, and the requests that are delayed so.

    Args:
        delays_s: at a few moments of each window, shape (windows, moments).
        requests: of the windows, shape (windows,).
    """
    each = np.repeat(requests / delays_s.shape[1], delays_s.shape[1])
    flat_s = delays_s.ravel()
    shortest_s, longest_s = 1e-4, max(2e-4, float(flat_s.max()))
    scale = (DELAY_LEVELS - 1) / math.log(longest_s / shortest_s)
    level = np.rint(np.log(np.maximum(flat_s, shortest_s) / shortest_s) * scale).astype(np.int64)
    sums = np.bincount(level, weights=each, minlength=DELAY_LEVELS)
    levels_s = np.geomspace(shortest_s, longest_s, DELAY_LEVELS)
    return [(float(levels_s[at]), float(sums[at])) for at in np.flatnonzero(sums)]


def _cpu_s(served: Served, rates_rps: Samples, dispersions: Samples) -> Samples:
    """Return CPU seconds per request, at the nearest dispersion that is known."""
    middles = (served.dispersions[1:] + served.dispersions[:-1]) / 2
    column = np.searchsorted(middles, dispersions)
    found = np.empty(len(rates_rps))
    for place in np.unique(column):
        at = column == place
        found[at] = np.interp(rates_rps[at], served.rates_rps, served.cpu_s[:, place])
    return found


def moments_of(scene: Scene, flow: Flow) -> list[Moment]:
    """Return a series to draw: means over stretches of steps, at most `MOMENTS` of them."""
    steps = len(flow.ready)
    edges = np.unique(np.linspace(0, steps, min(steps, MOMENTS) + 1).astype(np.int64))
    first, lengths = edges[:-1], np.diff(edges)
    within = flow.within.sum(axis=1)
    requests = scene.windows.step_loads_rps * scene.windows.step_s
    spilled = np.zeros(steps)
    if flow.spilled is not None:
        within = within + flow.spilled.within.sum(axis=1)
        spilled = flow.spilled.counts.sum(axis=1)
    came, in_time, went = (np.add.reduceat(each, first) for each in (requests, within, spilled))
    capacity_rps = np.add.reduceat(flow.capacity_rps, first) / lengths
    machines = np.rint(np.add.reduceat(flow.ready, first, axis=0) / lengths[:, None])
    return [
        Moment(
            at_s=float(at * scene.windows.step_s),
            load_rps=float(came[place] / (lengths[place] * scene.windows.step_s)),
            capacity_rps=float(capacity_rps[place]),
            machines=[int(count) for count in machines[place]],
            within=float(in_time[place] / came[place]) if came[place] else 1.0,
            spilled=float(went[place] / came[place]) if came[place] else 0.0,
        )
        for place, at in enumerate(first)
    ]
