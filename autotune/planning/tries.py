"""Settings of a policy that are tried on a trace, and which of them stands for it."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from autotune.planning.attained import Scene, flow_through
from autotune.planning.ledger import cost_of
from autotune.planning.mixes import Mixes
from autotune.planning.provision import Counts, Fleet, fixed
from autotune.planning.spill_over import SpillOver


class Tried(NamedTuple):
    """Settings that were tried."""

    settings: dict[str, float]
    fleet: Fleet
    function: SpillOver | None = None
    """What takes what is too much; None: nothing does."""
    fill: float = 1.0
    """See `flow_through`."""


class Judged(NamedTuple):
    """What they lead to."""

    tried: Tried
    total: float
    """Cost."""
    share: float
    """Of the requests, within the SLO."""


def best_of(scene: Scene, tries: Iterable[Tried]) -> Tried:
    """Return the cheapest settings that meet the SLO, or those that come nearest.

    Raises:
        ValueError: there are none.
    """
    best: Judged | None = None
    for tried in tries:
        judged = judge(scene, tried)
        if best is None or order_of(scene, judged) < order_of(scene, best):
            best = judged
    if best is None:
        raise ValueError("nothing was tried")
    return best.tried


def judge(scene: Scene, tried: Tried) -> Judged:
    """Return what settings cost, and how many they serve in time."""
    flow = flow_through(scene, tried.fleet.ready, tried.function, fill=tried.fill)
    per_request = 0.0 if tried.function is None else tried.function.cost_per_request
    cost = cost_of(tried.fleet, scene.types, flow.to_function, per_request)
    return Judged(tried, cost.total, flow.attained)


def order_of(scene: Scene, judged: Judged) -> tuple[float, float]:
    """Return what is least for the cheapest that meets the SLO, or else for the most in time."""
    return max(0.0, scene.slo.quantile - judged.share), judged.total


def fixed_fleet(scene: Scene, machines: Counts) -> Fleet:
    """Return the same machines for the whole trace."""
    return fixed(machines, scene.types, scene.windows.steps, scene.windows.step_s)


def types_in(mixes: Mixes) -> float:
    """Return how many types take part."""
    return float(np.count_nonzero(mixes.counts.any(axis=0)))


def level_of(scene: Scene, mixes: Mixes, level: int) -> Tried:
    """Return the fixed fleet of a load of `mixes`, by its place."""
    settings = {"provided_rps": float(mixes.loads_rps[level]), "machine_types": types_in(mixes)}
    return Tried(settings, fixed_fleet(scene, mixes.counts[level]))
