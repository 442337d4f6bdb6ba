"""Simulated annealing as a strategy of autotune: `autotune search ... --strategy annealing`.

After Kirkpatrick, Gelatt and Vecchi, Science 1983, doi 10.1126/science.220.4598.671. At each load
a walk starts where the prediction is best and looks at a neighbour that was not measured yet; it
moves there if that is better, and if it is worse by d with the chance exp(-d / temperature), which
falls with every step.
"""

import math

import numpy as np

from autotune.outcome import Samples
from autotune.strategy.protocol import Observation, Pair, Prediction, Setting

STEPS = 12
"""Measurements at each load."""
NEIGHBOURS = 4
"""A step goes to one of so many nearest points that were not measured."""
FIRST_TEMPERATURE, COOLING = 0.3, 0.75
"""Of logarithms: a point that is worse by 35 % is at first moved to in one of e cases."""


class Annealing:
    """A walk at each load, the shortest goes on.

    All that it does follows from the seed and from what it was told, in whatever order that came:
    a search that was killed is resumed by telling again, without asking.
    """

    def __init__(self, setting: Setting) -> None:
        """Know where the points lie and what is predicted of them."""
        spans = np.ptp(setting.coordinates, axis=0)
        self._places = setting.coordinates / np.where(spans > 0, spans, 1.0)
        self._predicted = setting.predicted.value
        self._seed = setting.settings.seed
        self._told: dict[Pair, Observation] = {}
        self._failed: set[int] = set()
        self._here: dict[int, int] = {}

    def ask(self, cost_s: Samples | None = None) -> Pair | None:
        """Return the next step of the shortest walk; None when all have come to their end."""
        walks = sorted((self._steps(load), load) for load in range(len(self._predicted)))
        for steps, load in walks:
            left = self._left(load)
            if len(left) and (load not in self._here or steps < STEPS):
                return Pair(load, self._next(load, left))
        return None

    def tell(self, pair: Pair, observation: Observation) -> None:
        """Move there, or stay."""
        steps = self._steps(pair.load)
        self._told[pair] = observation
        if observation.value is None:
            self._failed.add(pair.point)
            self._here = {load: at for load, at in self._here.items() if at != pair.point}
            return
        here = self._here.get(pair.load)
        if here is not None:
            worse = self._height(pair) - self._height(Pair(pair.load, here))
            temperature = FIRST_TEMPERATURE * COOLING**steps
            if worse > 0 and self._random(pair.load, steps).random() > math.exp(
                -worse / temperature
            ):
                return
        self._here[pair.load] = pair.point

    def expect(self, predicted: Prediction, predicted_excess: Prediction | None = None) -> None:
        """Go by predictions that know more."""
        self._predicted = predicted.value

    def best(self, load: int) -> list[int]:
        """Return what was measured and works, within the limit first."""
        estimates = self.estimate(load)
        worked = [pair for pair in self._told if pair.load == load]
        worked = [pair for pair in worked if pair.point not in self._failed]
        worked.sort(key=lambda pair: (self._excess(pair) > 0, estimates[pair.point]))
        return [pair.point for pair in worked]

    def estimate(self, load: int) -> Samples:
        """Return what was measured; elsewhere what is predicted, corrected by its mean error."""
        seen = {pair.point: one.value for pair, one in self._told.items() if pair.load == load}
        values = {point: value for point, value in seen.items() if value is not None}
        points = list(values)
        found = np.array(self._predicted[load])
        if points:
            found += np.mean(np.array(list(values.values())) - found[points])
            found[points] = list(values.values())
        return found

    def _steps(self, load: int) -> int:
        return sum(pair.load == load for pair in self._told)

    def _left(self, load: int) -> list[int]:
        points = range(self._predicted.shape[1])
        open_ = [point for point in points if Pair(load, point) not in self._told]
        return [point for point in open_ if point not in self._failed]

    def _next(self, load: int, left: list[int]) -> int:
        here = self._here.get(load)
        if here is None:
            return min(left, key=lambda point: float(self._predicted[load, point]))
        distance = np.abs(self._places[left] - self._places[here]).sum(axis=1)
        nearest = np.argsort(distance, kind="stable")[:NEIGHBOURS]
        return left[int(self._random(load, self._steps(load)).choice(nearest))]

    def _height(self, pair: Pair) -> float:
        """What the walk wants low: the value, and what exceeds the limit on top."""
        return (self._told[pair].value or 0.0) + max(0.0, self._excess(pair))

    def _excess(self, pair: Pair) -> float:
        return self._told[pair].excess or 0.0

    def _random(self, load: int, steps: int) -> np.random.Generator:
        return np.random.default_rng((self._seed, load, steps))


def make(setting: Setting) -> Annealing:
    """Return a search; what the entry point names."""
    return Annealing(setting)
