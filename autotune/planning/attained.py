"""A trace through a fleet: how many requests are answered in time, and how late the others."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.outcome import Flags, Samples
from autotune.planning.backlog import backlogs
from autotune.planning.load_windows import Windows
from autotune.planning.machines import MachineType, share_within, shares_at
from autotune.planning.provision import Counts
from autotune.planning.spill_over import Spilled, SpillOver, spill
from autotune.spec import Slo

QUEUE_BOUND = 1024
"""Requests that wait at one machine; the engine turns away what comes beyond."""
FINER = 1.004
"""From one level of utilisation to the next."""
LOWEST_UTILISATION = 0.01
CAPACITIES = 96
"""Fleets' capacities that are told apart, for how much of the clustering a machine sees; beyond,
they are grouped to `COARSER`."""
COARSER = 1.05
DELAYS = 33
"""Levels of the delay behind a backlog, up to the SLO."""
MIDPOINTS = (0.125, 0.375, 0.625, 0.875)
"""Of a window, where its delay is looked at."""

Places = npt.NDArray[np.int64]


class Scene(NamedTuple):
    """What every policy is played through on."""

    windows: Windows
    types: list[MachineType]
    slo: Slo

    @property
    def slo_s(self) -> float:
        """Latency of the SLO."""
        return self.slo.latency_ms / 1000


class Cells(NamedTuple):
    """Which utilisation of which capacity a window is at; see `Flow.cell`."""

    utilisations: Samples
    """Load over capacity, shape (U,)."""
    capacities_rps: Samples
    """Of a fleet, shape (C,)."""


class Flow(NamedTuple):
    """Requests through a fleet; shapes (steps, windows of a step) unless noted."""

    ready: Counts
    """Shape (steps, types)."""
    capacity_rps: Samples
    """Shape (steps,): within the SLO, as if each machine were alone."""
    offered: Samples
    """Requests that came to the machines."""
    lost: Samples
    """Of them, those that were turned away; likewise:"""
    within: Samples
    """Answered within the SLO."""
    overloaded: Flags
    """Whether requests wait because more came than could be served."""
    delays_s: Samples
    """Shape (overloaded windows, 4): what is waited for in a backlog."""
    cells: Cells
    cell: Places
    """Place in capacities x utilisations."""
    spilled: Spilled | None
    """What went to the function; None: there is none."""

    @property
    def attained(self) -> float:
        """Share of all requests that are answered within the SLO."""
        within, offered = float(self.within.sum()), float(self.offered.sum())
        if self.spilled is not None:
            within += float(self.spilled.within.sum())
            offered += float(self.spilled.counts.sum() + self.spilled.lost.sum())
        return within / offered

    @property
    def to_function(self) -> float:
        """Requests that the function answered."""
        return 0.0 if self.spilled is None else float(self.spilled.counts.sum())


def flow_through(
    scene: Scene,
    ready: Counts,
    function: SpillOver | None = None,
    *,
    fill: npt.ArrayLike = 1.0,
    carry: bool = True,
) -> Flow:
    """Return what becomes of the requests.

    Requests are spread at random in proportion to capacity: a machine with the share p of the
    fleet's capacity sees a stream of dispersion 1 + p (d - 1) (thinning), and all machines are as
    utilised as the fleet. Within a window a machine answers as many in time as it does in the
    long run at the window's rate and that dispersion. Where more come than the machines can serve,
    the rest waits: a fluid queue shared by all, bounded by `QUEUE_BOUND` for each machine; those
    in it run at saturation, and latencies are longer by backlog over saturation. With a function,
    what is above the fleet's capacity (times `fill`) goes there instead. Nobody gives up waiting.

    Args:
        scene: trace, types and SLO.
        ready: machines that serve, shape (steps, types).
        function: that takes what is too much; None: nothing does.
        fill: utilisation beyond which it does, one or shape (steps,); infinite: never.
        carry: whether a backlog lasts; without, each window begins with an empty queue.
    """
    windows = scene.windows
    loads_rps = windows.loads_rps
    capacity_rps = ready @ np.array([one.capacity_rps for one in scene.types])
    saturation_rps = ready @ np.array([one.served.saturation_rps for one in scene.types])
    spilled = None
    if function is not None:
        limit_rps = np.where(np.isinf(fill), np.inf, capacity_rps * np.nan_to_num(fill, posinf=0))
        taken_rps = np.minimum(loads_rps, limit_rps[:, None])
        spilled = spill(loads_rps - taken_rps, windows, function, scene.slo_s)
        loads_rps = taken_rps
    offered = loads_rps * windows.window_s
    change = offered - saturation_rps[:, None] * windows.window_s
    most = QUEUE_BOUND * ready.sum(axis=1).astype(np.float64)
    before, after, lost = _queue(change, most, carry)
    overloaded = (before > 0) | (change > 0)
    per_step = np.divide(1.0, capacity_rps, out=np.zeros_like(capacity_rps), where=capacity_rps > 0)
    used = loads_rps * per_step[:, None]
    used = np.where(overloaded, (saturation_rps * per_step)[:, None], used)
    cells, cell = _cells(used, capacity_rps)
    share = _shares_within(scene, ready, capacity_rps, (cells, cell))
    delays_s = np.empty((0, len(MIDPOINTS)))
    if overloaded.any():
        rows = np.nonzero(overloaded)[0]
        delays_s = _delays(before[overloaded], after[overloaded], saturation_rps[rows])
        share[overloaded] = _late(scene, ready, capacity_rps, rows, delays_s)
    return Flow(
        ready=ready,
        capacity_rps=capacity_rps,
        offered=offered,
        lost=lost,
        within=share * np.maximum(offered - lost, 0.0),
        overloaded=overloaded,
        delays_s=delays_s,
        cells=cells,
        cell=cell,
        spilled=spilled,
    )


def _queue(change: Samples, most: Samples, carry: bool) -> tuple[Samples, Samples, Samples]:
    """Return what waits before and after each window, and what is turned away in it."""
    shape = change.shape
    bound = np.repeat(most, shape[1])
    if not carry:
        wanted = np.maximum(change, 0.0)
        after = np.minimum(wanted, bound.reshape(shape))
        return np.zeros(shape), after, wanted - after
    after, lost = backlogs(change.ravel(), bound)
    before = np.concatenate([[0.0], after[:-1]])
    return before.reshape(shape), after.reshape(shape), lost.reshape(shape)


def _cells(used: Samples, capacity_rps: Samples) -> tuple[Cells, Places]:
    """Return the grid of utilisations and capacities, and where each window is in it.

    Levels are the same whatever the fleet, so that fleets are not told apart by their rounding.
    """
    scale = 1 / np.log(FINER)
    level = np.log(np.maximum(used, LOWEST_UTILISATION) / LOWEST_UTILISATION) * scale
    place = np.rint(level).astype(np.int64)
    utilisations = LOWEST_UTILISATION * np.exp(np.arange(int(place.max()) + 1) / scale)
    distinct, which = np.unique(capacity_rps, return_inverse=True)
    if len(distinct) > CAPACITIES:
        powers = np.rint(np.log(np.maximum(distinct, 1e-9)) / np.log(COARSER))
        grouped, group = np.unique(powers, return_inverse=True)
        distinct, which = np.exp(grouped * np.log(COARSER)), group[which]
    return Cells(utilisations, distinct), place + len(utilisations) * which[:, None]


def _shares_within(
    scene: Scene, ready: Counts, capacity_rps: Samples, where: tuple[Cells, Places]
) -> Samples:
    """Return the share answered within the SLO in each window, as if nothing waited."""
    cells, cell = where
    share = np.zeros(cell.shape)
    visited = visited_cells(cell)
    for place, weight in type_weights(scene, ready, capacity_rps):
        one = scene.types[place]
        rates_rps, dispersions = at_cells(scene, one, cells, visited)
        table = np.zeros(int(visited[-1]) + 1)
        table[visited] = share_within(one.served, rates_rps, dispersions)
        share += weight[:, None] * table[cell]
    return share


def visited_cells(cell: Places) -> Places:
    """Return the cells that windows are in, ascending."""
    return np.flatnonzero(np.bincount(cell.ravel()))


def type_weights(scene: Scene, ready: Counts, capacity_rps: Samples) -> list[tuple[int, Samples]]:
    """Return the types that take part, each with its share of the requests by step."""
    found = []
    for place in np.flatnonzero(ready.any(axis=0)):
        own_rps = ready[:, place] * scene.types[place].capacity_rps
        nothing = np.zeros_like(capacity_rps)
        weight = np.divide(own_rps, capacity_rps, out=nothing, where=capacity_rps > 0)
        found.append((int(place), weight))
    return found


def at_cells(
    scene: Scene, one: MachineType, cells: Cells, visited: Places
) -> tuple[Samples, Samples]:
    """Return the rate of one machine and its dispersion in the cells."""
    row, column = np.divmod(visited, len(cells.utilisations))
    rates_rps = one.capacity_rps * cells.utilisations[column]
    return rates_rps, _seen(scene, one, cells.capacities_rps[row])


def _seen(scene: Scene, one: MachineType, capacity_rps: Samples) -> Samples:
    """Return the dispersion that a machine of a fleet of this capacity sees."""
    nothing = np.zeros_like(capacity_rps)
    part = np.divide(one.capacity_rps, capacity_rps, out=nothing, where=capacity_rps > 0)
    return np.asarray(1 + np.minimum(part, 1.0) * (scene.windows.dispersion - 1))


def _delays(before: Samples, after: Samples, saturation_rps: Samples) -> Samples:
    """Return the wait in a backlog at a few moments of each window, shape (windows, 4)."""
    waiting = before[:, None] + (after - before)[:, None] * np.array(MIDPOINTS)
    # Where there are no machines everything is lost, and nothing waits.
    nothing = np.zeros_like(saturation_rps)
    per_s = np.divide(1.0, saturation_rps, out=nothing, where=saturation_rps > 0)
    return np.asarray(waiting * per_s[:, None])


def _late(
    scene: Scene, ready: Counts, capacity_rps: Samples, rows: Places, delays_s: Samples
) -> Samples:
    """Return the share within the SLO of windows with a backlog: at saturation, and delayed."""
    level = np.rint(delays_s / scene.slo_s * (DELAYS - 1))
    in_time = level < DELAYS - 1
    level = np.where(in_time, level, 0).astype(np.int64)
    distinct, which = np.unique(capacity_rps, return_inverse=True)
    left_s = scene.slo_s * (1 - np.arange(DELAYS) / (DELAYS - 1))
    share = np.zeros(len(rows))
    for place, weight in type_weights(scene, ready, capacity_rps):
        one = scene.types[place]
        rates_rps = np.full(len(distinct), one.served.saturation_rps)
        shares = shares_at(one.served, rates_rps, _seen(scene, one, distinct))
        grid_s = one.served.latency_s
        table = np.array([np.interp(left_s, grid_s, row, left=0.0) for row in shares])
        each = np.where(in_time, table[which[rows][:, None], level], 0.0)
        share += weight[rows] * each.mean(axis=1)
    return share
