"""The seam between the search and the rest: ask for a pair to measure, tell what came of it."""

import math
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from autotune.outcome import Samples


class Pair(NamedTuple):
    """One thing to measure: a load level and a point of the lattice, by index."""

    load: int
    point: int


class Observation(NamedTuple):
    """What a measurement said about a pair."""

    value: float | None
    """What is to be small, on the search's scale (log seconds); None: the configuration failed."""
    noise: float = 0.0
    """Standard error of `value`, as far as it is known; what goes beyond it is learnt."""
    excess: float | None = None
    """By how much a limit is exceeded, on the same kind of scale; below 0 it is kept."""
    excess_noise: float = 0.0


PRIOR_ERROR = 0.2
"""A prediction that states no deviation is trusted to within a factor of exp(0.2)."""


class Prediction(NamedTuple):
    """What is expected of all pairs before any is measured, arrays of shape (loads, points)."""

    value: Samples
    """On the scale of `Observation.value`."""
    deviation: Samples | float = PRIOR_ERROR
    """Standard deviation of its error."""
    taught: "Prediction | None" = None
    """What is expected by what was learnt in other searches, which may mislead; None: nothing."""


def over_limit(latency: Prediction, limit: float) -> Prediction:
    """Return by how much (log) predicted values exceed a limit, what was taught included."""
    log_limit, taught = math.log(limit), latency.taught
    return Prediction(
        latency.value - log_limit,
        latency.deviation,
        None if taught is None else over_limit(taught, limit),
    )


class SearchSettings(NamedTuple):
    """When to stop, and what to presume. Values in log units where `log_scale`."""

    min_gain: float = 0.03
    """An improvement below this share is not worth finding."""
    max_doubt: float = 0.05
    """Largest chance that something better remains unmeasured."""
    max_risk: float | None = None
    """Ask only for pairs whose chance of exceeding the limit is below this."""
    log_scale: bool = True
    """Whether values are logarithms, so that a share is a difference."""
    adaptive: bool = True
    """Whether regions adapt."""
    reach: float | tuple[float, ...] = 0.6
    """Of a region to begin with, in spans of a knob: for the load and each knob, or for all."""
    seed: int = 0


class Setting(NamedTuple):
    """What a search is begun with."""

    coordinates: Samples
    """Of the points, shape (points, knobs), on a scale that suits each knob."""
    loads: Samples
    """Logarithms to base 2 of the load levels in requests/s, ascending, shape (loads,)."""
    predicted: Prediction
    predicted_excess: Prediction | None = None
    """By how much a limit is exceeded; None: there is none to keep."""
    settings: SearchSettings = SearchSettings()


class Strategy(Protocol):
    """A search over (load, point) pairs. Deterministic given its seed and what it was told.

    One that has a method `expect(predicted, predicted_excess)`, as `Search` has, is given the
    predictions again whenever they know more.
    """

    def ask(self, cost_s: Samples | None = None) -> Pair | None:
        """Return the pair to measure next; None when no further measurement is worth it.

        Args:
            cost_s: seconds that measuring each pair would take now, shape (loads, points); None:
                all the same.
        """

    def tell(self, pair: Pair, observation: Observation) -> None:
        """Learn from a measurement; one of a pair that was never asked for counts as well."""

    def best(self, load: int) -> list[int]:
        """Return the measured points that work at this load, best first."""

    def estimate(self, load: int) -> Samples:
        """Return the expected value of every point at a load, shape (points,)."""


class Search(Strategy, Protocol):
    """A strategy that can also say what it believes, as the steps of a search want to know."""

    @property
    def trust(self) -> float | None:
        """The chance that what was learnt in other searches holds here; None: nobody knows."""

    def expect(self, predicted: Prediction, predicted_excess: Prediction | None = None) -> None:
        """Replace the predictions by some that know more."""

    def doubts(self) -> tuple[float | None, ...]:
        """Return the chance that something better remains at each load; None: nobody knows."""

    def risk(self, load: int) -> Samples:
        """Return each point's chance of exceeding the limit at a load, shape (points,)."""

    def regions(self, load: int) -> npt.NDArray[np.int64]:
        """Return the measured point by which each is judged, shape (points,); -1: by none."""
