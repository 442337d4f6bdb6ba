"""The least that any scaling could cost, had it known what comes: a bound, nothing to deploy."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.outcome import Samples
from autotune.planning.attained import Flow, Scene, flow_through
from autotune.planning.ledger import per_hour
from autotune.planning.mixes import Mixes
from autotune.planning.provision import Counts, Fleet, machines_for
from autotune.planning.spill_over import SpillOver
from autotune.units import HOUR_S

PROVIDED = (*(0.5 * 1.12**power for power in range(17)), 0.0)
"""Loads that a step may be provided for, over its own mean: 0.5 to 3.1, and no machines at all."""
FILLS = (1.0, 1.25, np.inf)
"""Utilisations beyond which requests may go to the function."""
_HALVINGS = 60


class Oracle(NamedTuple):
    """What it does."""

    fleet: Fleet
    flow: Flow
    spilled: float
    """Requests that went to the function."""
    missed_price: float
    """Of a request that is late: at this price, those in time are just as many as they must be."""
    gap: float
    """Share of its cost by which an even cheaper choice of the same machines cannot be excluded."""


class _Choices(NamedTuple):
    """What may be done in each step; arrays of shape (steps, choices)."""

    cost: Samples
    missed: Samples
    ways: list[tuple[float, float]]
    """For which multiple of the load it provides, and how full the machines are filled."""


def foresee(scene: Scene, mixes: list[Mixes], function: SpillOver | None) -> Oracle:
    """Return the cheapest choice of machines in every step that keeps the SLO over the trace.

    It knows each step's load, has machines without delay, pays for them while they serve, and
    finds the function warm; no backlog outlasts a window. Steps are independent then, and the
    choice is a Lagrangian one (Everett 1963): in each step what costs least with a price on every
    late request, the price bisected until the share in time is the SLO's. Where no choice reaches
    it, the one that misses fewest.

    Args:
        scene: trace, types and SLO.
        mixes: machines by load, each list of them a choice of its own.
        function: for what the machines do not take; None: there is none.
    """
    warm = None if function is None else function._replace(cold_start_s=0.0)
    choices = [_choices(scene, one, warm) for one in mixes]
    cost = np.concatenate([one.cost for one in choices], axis=1)
    missed = np.concatenate([one.missed for one in choices], axis=1)
    allowed = (1 - scene.slo.quantile) * scene.windows.requests
    price, chosen, gap = _bisected(cost, missed, allowed)
    steps = np.arange(len(cost))
    ready = np.zeros((len(cost), len(scene.types)), dtype=np.int64)
    fill = np.empty(len(cost))
    place = 0
    loads_rps = scene.windows.step_loads_rps
    for ladder, one in zip(mixes, choices, strict=True):
        for provided, full in one.ways:
            here = steps[chosen == place]
            ready[here] = machines_for(loads_rps[here] * provided, ladder)
            fill[here] = full
            place += 1
    flow = flow_through(scene, ready, warm, fill=fill, carry=False)
    starts = int(np.maximum(np.diff(ready, axis=0, prepend=0), 0).sum())
    fleet = Fleet(ready, ready.sum(axis=0) * scene.windows.step_s, starts)
    return Oracle(fleet, flow, flow.to_function, price, gap)


def _choices(scene: Scene, mixes: Mixes, function: SpillOver | None) -> _Choices:
    loads_rps = scene.windows.step_loads_rps
    requests = loads_rps * scene.windows.step_s
    price_s = per_hour(scene.types) / HOUR_S * scene.windows.step_s
    cost, missed, ways = [], [], []
    for provided in PROVIDED:
        ready: Counts = machines_for(loads_rps * provided, mixes)
        for fill in FILLS if function is not None else (np.inf,):
            flow = flow_through(scene, ready, function, fill=fill, carry=False)
            spent, within = ready @ price_s, flow.within.sum(axis=1)
            if function is not None and flow.spilled is not None:
                spent = spent + flow.spilled.counts.sum(axis=1) * function.cost_per_request
                within = within + flow.spilled.within.sum(axis=1)
            cost.append(spent)
            missed.append(np.maximum(requests - within, 0.0))
            ways.append((provided, fill))
    return _Choices(np.array(cost).T, np.array(missed).T, ways)


def _bisected(
    cost: Samples, missed: Samples, allowed: float
) -> tuple[float, npt.NDArray[np.int64], float]:
    """Return the price of a miss, the choice by step, and the share of its cost left open.

    Args:
        cost: shape (steps, choices).
        missed: likewise.
        allowed: misses, in all.
    """
    rows = np.arange(len(cost))

    def at(price: float) -> tuple[npt.NDArray[np.int64], float, float]:
        chosen = np.argmin(cost + price * missed, axis=1)
        return chosen, float(cost[rows, chosen].sum()), float(missed[rows, chosen].sum())

    low, high = 0.0, _highest_price(cost, missed)
    chosen, spent, late = at(0.0)
    if late <= allowed:
        return 0.0, chosen, 0.0
    bound = spent - low * allowed
    chosen, spent, late = at(high)
    bound = max(bound, spent + high * (late - allowed))
    if late > allowed:
        return high, chosen, 0.0
    for _ in range(_HALVINGS):
        price = (low * high) ** 0.5 if low > 0 else high / 1024
        tried, cheaper, later = at(price)
        bound = max(bound, cheaper + price * (later - allowed))
        if later <= allowed:
            high, chosen, spent = price, tried, cheaper
        else:
            low = price
        if low > 0 and high / low < 1 + 1e-9:
            break
    return high, chosen, max(0.0, 1 - bound / spent) if spent > 0 else 0.0


def _highest_price(cost: Samples, missed: Samples) -> float:
    """Return a price of a miss at which nothing is missed that can be helped."""
    positive = missed[missed > 0]
    least = float(positive.min()) if len(positive) else 1.0
    return (float(cost.max()) + 1e-12) / max(least, 1e-9) * 1e3
