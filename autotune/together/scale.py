"""How far loads that cannot be met together must be scaled down, by prediction."""

import math
from collections.abc import Callable

from autotune.together.survey import Ground, Known, effort

STEPS = 64
"""Between nothing and the loads that were asked for: to within 2 % of these is good enough."""
WINDOWS = 4
"""Of measuring, at most, for the largest scale."""
UNKNOWN = 0.5
"""Measured first where no scale is predicted to do: half way between none and all."""
FARTHEST = 2.0
"""Up to which loads are predicted, as a share of those asked for."""


def largest_share(over_at: Callable[[float], float], below: float) -> float:
    """Return the largest share of all loads at which something that grows is not above zero.

    Args:
        over_at: gives it for a share.
        below: the share looked for is smaller.

    Returns:
        A multiple of 1 / `STEPS`; 0: none is large enough.
    """
    low, high = 0, math.ceil(below * STEPS)
    while high - low > 1:
        middle = (low + high) // 2
        if over_at(middle / STEPS) <= 0:
            low = middle
        else:
            high = middle
    return low / STEPS


def at(ground: Ground, scale: float) -> Ground:
    """Return what is known, with a share of all loads."""
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
