"""What it costs."""

from typing import NamedTuple

import numpy as np

from autotune.outcome import Samples
from autotune.planning.machines import MachineType
from autotune.planning.provision import Fleet
from autotune.units import HOUR_S


class Cost(NamedTuple):
    """In the currency of the price list, over the whole trace."""

    machines: Samples
    """Shape (types,)."""
    function: float

    @property
    def total(self) -> float:
        """All of it."""
        return float(self.machines.sum()) + self.function

    def per_million(self, requests: int) -> float:
        """Return the cost of a million requests, where so many were offered in all."""
        return 1e6 * self.total / requests


def cost_of(
    fleet: Fleet, types: list[MachineType], spilled: float = 0.0, per_request: float = 0.0
) -> Cost:
    """Return what machines and a function cost.

    Args:
        fleet: machines over time.
        types: of them.
        spilled: requests that went to the function.
        per_request: what the function costs for each.
    """
    return Cost(fleet.billed_s / HOUR_S * per_hour(types), spilled * per_request)


def per_hour(types: list[MachineType]) -> Samples:
    """Return the prices, shape (types,)."""
    return np.array([one.price.per_hour for one in types])
