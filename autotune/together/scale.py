"""How far loads that cannot be met together must be scaled down."""

from collections.abc import Sequence

import numpy as np

from autotune.together.joints import Joint, latencies, slowed_by, worst
from autotune.together.question import Service
from autotune.together.survey import Ground, Known, effort

STEPS = 6
"""Of bisection: to within 2 % of the loads that were asked for."""


def largest_scale(
    ground: Ground, services: Sequence[Service], joints: Sequence[Joint], error: float
) -> float:
    """Return the largest share of all loads at which every SLO is predicted to be kept; 0: none.

    Args:
        ground: what is known at the loads asked for.
        services: as asked for.
        joints: how all may run.
        error: log of measured over predicted latency, of what was measured to be the best.
    """
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _best(_at(ground, middle), services, joints) + error <= 0:
            low = middle
        else:
            high = middle
    return low


def _best(ground: Ground, services: Sequence[Service], joints: Sequence[Joint]) -> float:
    """Return the least log of the worst latency over its SLO that is predicted."""
    slowed = np.array([slowed_by(ground, joint) for joint in joints]).T
    points = np.array([joint.points for joint in joints]).T
    latency_s = [
        latencies(ground, number, points[number], own) for number, own in enumerate(slowed)
    ]
    return float(worst(services, ground.known, latency_s).min())


def _at(ground: Ground, scale: float) -> Ground:
    return ground._replace(known=tuple(_slowly(one, ground.cores, scale) for one in ground.known))


def _slowly(one: Known, cores: int, scale: float) -> Known:
    """Return a model whose requests come at a share of its load."""
    threads, busy = effort(one.lattice.configs, one.lanes, one.info, cores, scale * one.rate_rps)
    return one._replace(
        arrivals_s=one.arrivals_s / scale,
        threads=threads,
        busy_cores=busy,
        rate_rps=scale * one.rate_rps,
    )
