"""RRL with one of its ideas taken out, to see what the idea is worth."""

from autotune.outcome import Samples
from autotune.strategy.protocol import SearchSettings
from autotune.strategy.rrl import Rrl

FIXED_REACH = 0.25
"""Of the span of each knob."""


def without_prediction(
    coordinates: Samples, loads: Samples, settings: SearchSettings | None = None
) -> Rrl:
    """Return a search that is told nothing beforehand. Arguments as those of `Rrl`."""
    return Rrl(coordinates, loads, settings=settings)


def with_fixed_regions(
    coordinates: Samples, loads: Samples, settings: SearchSettings | None = None
) -> Rrl:
    """Return a search that is told nothing and whose regions keep one size: the idea of 2019."""
    fixed = (settings or SearchSettings())._replace(adaptive=False, reach=FIXED_REACH)
    return Rrl(coordinates, loads, settings=fixed)
