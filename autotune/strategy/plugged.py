"""A strategy of another package, as a search: watched, and complemented by what it cannot say."""

import operator
import reprlib
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from autotune.errors import UsageError
from autotune.outcome import Samples
from autotune.strategy.plugins import Plugin, in_a_line
from autotune.strategy.protocol import Observation, Pair, Prediction, Setting, Strategy

T = TypeVar("T")
NEEDED = ("ask", "tell", "best", "estimate")
LEAST_DEVIATION = 1e-9


class Plugged:
    """A search by a strategy of another package.

    Of what the strategy does not say, no doubt is known, no point is judged by another, and the
    risk is that of the prediction, or of the measurement where there is one. Where a risk is
    bounded, a pair beyond it is not measured: the strategy is told what is predicted of it
    instead, with the prediction's deviation as noise, and asked again.
    """

    def __init__(self, plugin: Plugin, setting: Setting) -> None:
        """Make the strategy.

        Raises:
            UsageError: it cannot be made, or is none. So do all methods where it fails, asks for
                what does not exist or was measured, or answers what makes no sense; each names
                the strategy and its package.
        """
        self._plugin = plugin
        self._shape = (len(setting.loads), len(setting.coordinates))
        self._max_risk = setting.settings.max_risk
        self._value, self._excess = setting.predicted, setting.predicted_excess
        self._told: dict[Pair, Observation] = {}
        self._foretold: set[Pair] = set()
        self._strategy: Strategy = self._run("making it", lambda: plugin.make(_own(setting)))
        missing = [name for name in NEEDED if not callable(getattr(self._strategy, name, None))]
        if missing:
            kind = type(self._strategy).__name__
            raise self._fault(f"makes a {kind}, which has no method {' or '.join(missing)}")
        for load in range(self._shape[0]):  # before there is anything to lose
            self.estimate(load)
            self.best(load)

    @property
    def trust(self) -> None:
        """Nobody knows."""

    def ask(self, cost_s: Samples | None = None) -> Pair | None:
        """Return the next pair of the strategy's that may be measured."""
        while (pair := self._asked(cost_s)) is not None:
            if self._max_risk is None or self.risk(pair.load)[pair.point] < self._max_risk:
                return pair
            self._foretell(pair)
        return None

    def tell(self, pair: Pair, observation: Observation) -> None:
        """Pass on what a measurement said."""
        self._told[pair] = observation
        self._run("tell()", lambda: self._strategy.tell(pair, observation))

    def best(self, load: int) -> list[int]:
        """Return the strategy's ranking of what was measured."""
        found = self._run("best()", lambda: [*map(operator.index, self._strategy.best(load))])
        ranked = [point for point in found if Pair(load, point) not in self._foretold]
        seen = self._told
        for place, point in enumerate(ranked):
            told = seen.get(Pair(load, point))
            if told is None or told.value is None or point in ranked[:place]:
                what = "twice" if told and told.value is not None else "that it was not told works"
                raise self._fault(f"ranks point {point} at load {load} {what}")
        return ranked

    def estimate(self, load: int) -> Samples:
        """Return the strategy's estimate of every point at a load, shape (points,)."""
        found = self._run(
            "estimate()", lambda: np.asarray(self._strategy.estimate(load), dtype=np.float64)
        )
        if found.shape != self._shape[1:]:
            raise self._fault(f"estimates shape {found.shape}, not {self._shape[1:]}")
        if not np.isfinite(found).all():
            point = int(np.argmin(np.isfinite(found)))
            raise self._fault(f"estimates {found[point]} of point {point} at load {load}")
        return found

    def expect(self, predicted: Prediction, predicted_excess: Prediction | None = None) -> None:
        """Replace the predictions; the strategy is given them if it has such a method."""
        self._value, self._excess = predicted, predicted_excess or self._excess
        expect = getattr(self._strategy, "expect", None)
        if callable(expect):
            self._run("expect()", lambda: expect(_copy(predicted), _copy_or_none(predicted_excess)))

    def doubts(self) -> tuple[float | None, ...]:
        """Return None for each load: nobody knows."""
        return (None,) * self._shape[0]

    def risk(self, load: int) -> Samples:
        """Return each point's chance of exceeding the limit, shape (points,); 0 without one."""
        if self._excess is None:
            return np.zeros(self._shape[1])
        excess, deviation = _broadcast(self._excess, self._shape)
        chance = ndtr(excess[load] / deviation[load].clip(min=LEAST_DEVIATION))
        for pair, seen in self._told.items():
            if pair.load == load and seen.excess is not None:
                noise = max(seen.excess_noise, LEAST_DEVIATION)
                chance[pair.point] = ndtr(seen.excess / noise)
        return np.asarray(chance)

    def regions(self, load: int) -> npt.NDArray[np.int64]:
        """Return -1 for every point: it is judged by no other."""
        return np.full(self._shape[1], -1, dtype=np.int64)

    def _asked(self, cost_s: Samples | None) -> Pair | None:
        """What the strategy asks for, made sure of."""
        found: Any = self._run(
            "ask()", lambda: self._strategy.ask(None if cost_s is None else cost_s.copy())
        )
        if found is None:
            return None
        try:
            load, point = map(operator.index, found)
        except (TypeError, ValueError):
            raise self._fault(
                f"asks for {reprlib.repr(found)}, which is no pair of a load and a point"
            ) from None
        pair, (loads, points) = Pair(load, point), self._shape
        if not (0 <= load < loads and 0 <= point < points):
            there = f"there are {loads} loads and {points} points, counted from 0"
            raise self._fault(f"asks for point {point} at load {load}, where {there}")
        if pair in self._told or pair in self._foretold:
            raise self._fault(f"asks again for point {point} at load {load}, which it was told of")
        return pair

    def _foretell(self, pair: Pair) -> None:
        """Tell the strategy what is predicted of a pair that may not be measured."""
        self._foretold.add(pair)
        value, noise = (float(of[pair]) for of in _broadcast(self._value, self._shape))
        told = Observation(value, noise)
        if self._excess is not None:
            excess, doubt = (float(of[pair]) for of in _broadcast(self._excess, self._shape))
            told = told._replace(excess=excess, excess_noise=doubt)
        self._run("tell()", lambda: self._strategy.tell(pair, told))

    def _run(self, what: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except Exception as error:  # anything may happen in a foreign module
            raise self._fault(f"fails in {what}: {in_a_line(error)}") from error

    def _fault(self, text: str) -> UsageError:
        return self._plugin.fault(text)


def _broadcast(predicted: Prediction, shape: tuple[int, int]) -> tuple[Samples, Samples]:
    """What is predicted and its deviation, both of shape (loads, points)."""
    value, deviation = predicted.value, np.asarray(predicted.deviation)
    return np.broadcast_to(value, shape), np.broadcast_to(deviation, shape)


def _own(setting: Setting) -> Setting:
    """Return a copy, with which a strategy may do what it likes."""
    return setting._replace(
        coordinates=setting.coordinates.copy(),
        loads=setting.loads.copy(),
        predicted=_copy(setting.predicted),
        predicted_excess=_copy_or_none(setting.predicted_excess),
    )


def _copy(predicted: Prediction) -> Prediction:
    deviation = predicted.deviation
    return predicted._replace(
        value=np.array(predicted.value),
        deviation=deviation.copy() if isinstance(deviation, np.ndarray) else deviation,
        taught=_copy_or_none(predicted.taught),
    )


def _copy_or_none(predicted: Prediction | None) -> Prediction | None:
    return None if predicted is None else _copy(predicted)
