"""The search for anybody: any ordinal lattice, any objective, told by hand."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.errors import UsageError
from autotune.outcome import Samples
from autotune.strategy.protocol import PRIOR_ERROR, Observation, Pair, Prediction, SearchSettings
from autotune.strategy.rrl import Rrl

Value = float | int | str | bool
Config = dict[str, Any]
"""A value of each knob."""
Expected = Callable[[Config], float] | npt.ArrayLike
"""By configuration, or as an array with an axis for each knob of the lattice."""

MOST_POINTS = 10_000_000
LOG_SPAN = 4.0
"""Values of a knob that span this factor are steps of a ratio rather than of a difference."""


class _Told(NamedTuple):
    point: int
    objective: float | None
    """To be small; None: failed."""
    constraint: float | None


class LatticeSearch:
    """Find the best point of a lattice with few measurements: ask, measure, tell.

        search = LatticeSearch({"threads": [1, 2, 4, 8], "batch": [1, 4, 16]}, limit=0.050)
        while not search.settled() and (config := search.ask()):
            search.tell(config, objective=cost(config), constraint=latency_s(config))
        print(search.best())

    The method is that of `autotune.strategy.rrl`. Objectives that are all above 0 are compared by
    ratio, others by difference. The same tells give the same asks.
    """

    def __init__(
        self,
        lattice: Mapping[str, Sequence[Value]],
        *,
        maximize: bool = False,
        limit: float | None = None,
        predicted: Expected | None = None,
        settings: SearchSettings | None = None,
    ) -> None:
        """Span the lattice.

        Args:
            lattice: the values of each knob, ascending; equal ones count once. Values that are not
                numbers are in the order given.
            maximize: whether the objective is to be large instead of small.
            limit: what `constraint` must not exceed; None: there is no constraint.
            predicted: what the objective is expected to be; None: nothing is known.
            settings: when to stop, and the seed.

        Raises:
            UsageError: the lattice is empty, too large or not ascending, or a value or a prediction
                is not finite.
        """
        self._values = {name: _ascending(name, values) for name, values in lattice.items()}
        if not self._values:
            raise UsageError("the lattice has no knobs: give {name: values}")
        self._shape = tuple(len(values) for values in self._values.values())
        if math.prod(self._shape) > MOST_POINTS:
            raise UsageError(f"the lattice has more than {MOST_POINTS:,} points: drop some values")
        self._places = {name: _place(values) for name, values in self._values.items()}
        axes = [_coordinates(values) for values in self._values.values()]
        self._coordinates = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
        self._sign, self._limit = (-1.0 if maximize else 1.0), limit
        self._settings = settings or SearchSettings()
        self._predicted = self._expected(predicted)
        self._told: list[_Told] = []
        self._log = self._predicted is None or bool(self._predicted.min() > 0)
        self._rrl = self._search()

    def ask(self) -> Config | None:
        """Return the configuration to measure next; None when all that may be asked were told.

        The search goes on asking when it is settled, in case more is to be found out.
        """
        pair = self._rrl.ask_on()
        return None if pair is None else self._config(pair.point)

    def tell(
        self,
        config: Mapping[str, Value],
        objective: float | None = None,
        constraint: float | None = None,
        *,
        failure: bool = False,
    ) -> None:
        """Learn what a measurement said; any point may be told, asked for or not, and repeatedly.

        An objective or constraint that is NaN or infinite is a failure. A configuration that failed
        once is not trusted again; values that differ are averaged.

        Raises:
            UsageError: the configuration is not of the lattice, the objective is missing, or the
                constraint is missing where there is a limit, or given where there is none.
        """
        point = self._point(config)
        if not failure and objective is None:
            raise UsageError("tell an objective, or failure=True")
        if objective is not None and (self._limit is None) != (constraint is None):
            missing = "is needed: there is" if constraint is None else "cannot be told: there is no"
            raise UsageError(f"a constraint {missing} limit")
        numbers = [value for value in (objective, constraint) if value is not None]
        failed = failure or not all(math.isfinite(value) for value in numbers)
        told = _Told(point, None if failed else objective, None if failed else constraint)
        self._told.append(told)
        if self._log and told.objective is not None and told.objective <= 0:
            self._log = False  # begin again on the other scale, with all that was told
            self._rrl = self._search()
            for earlier in self._told:
                self._learn(earlier)
        else:
            self._learn(told)

    def best(self) -> Config | None:
        """Return the best configuration told that keeps the limit; None where there is none yet."""
        points = self._rrl.best(0)
        if self._limit is not None:
            points = [point for point in points if self._keeps_limit(point)]
        if not points:
            return None
        expected = self._rrl.estimate(0, np.array(points))
        return self._config(points[int(np.argmin(expected))])

    def settled(self) -> bool:
        """Whether the chance that something untold is better by `min_gain` is below `max_doubt`."""
        return self._rrl.settled()

    def _search(self) -> Rrl:
        prediction = None
        if self._predicted is not None:
            expected = self._scaled(self._predicted)[None]
            size = 1.0 if self._log else float(np.abs(expected).mean()) or 1.0
            prediction = Prediction(expected, PRIOR_ERROR * size)
        settings = self._settings._replace(log_scale=self._log)
        return Rrl(self._coordinates, np.zeros(1), prediction, settings=settings)

    def _learn(self, told: _Told) -> None:
        if told.objective is None:
            self._rrl.tell(Pair(0, told.point), Observation(None))
            return
        excess = None
        if told.constraint is not None and self._limit is not None:
            excess = _excess(told.constraint, self._limit)
        value = float(self._scaled(np.array(told.objective)))
        self._rrl.tell(Pair(0, told.point), Observation(value, excess=excess))

    def _scaled(self, objective: Samples) -> Samples:
        return np.asarray(self._sign * (np.log(objective) if self._log else objective))

    def _keeps_limit(self, point: int) -> bool:
        told = [one.constraint for one in self._told if one.point == point]
        seen = [value for value in told if value is not None]
        return self._limit is not None and float(np.mean(seen)) <= self._limit

    def _expected(self, predicted: Expected | None) -> Samples | None:
        if predicted is None:
            return None
        if callable(predicted):
            points = range(math.prod(self._shape))
            found = np.array([predicted(self._config(point)) for point in points], dtype=float)
        else:
            found = np.asarray(predicted, dtype=float)
            if found.shape != self._shape:
                raise UsageError(
                    f"predicted has shape {found.shape}, the lattice {self._shape}: one for each"
                )
        if not np.isfinite(found).all():
            raise UsageError("predicted is NaN or infinite somewhere: predict a finite value")
        return found.ravel()

    def _config(self, point: int) -> Config:
        indices = np.unravel_index(point, self._shape)
        return {
            name: values[int(index)]
            for (name, values), index in zip(self._values.items(), indices, strict=True)
        }

    def _point(self, config: Mapping[str, Value]) -> int:
        if set(config) != set(self._values):
            raise UsageError(
                f"{dict(config)} is not of the lattice, whose knobs are {', '.join(self._values)}"
            )
        indices = []
        for name, places in self._places.items():
            if config[name] not in places:
                values = ", ".join(map(str, self._values[name]))
                raise UsageError(f"{name}={config[name]} is not of the lattice: it has {values}")
            indices.append(places[config[name]])
        return int(np.ravel_multi_index(indices, self._shape))


def _ascending(name: str, values: Sequence[Value]) -> list[Value]:
    found = list(dict.fromkeys(values))
    if not found:
        raise UsageError(f"{name} has no values")
    if all(isinstance(value, int | float) for value in found):
        numbers = np.array(found, dtype=float)
        if not np.isfinite(numbers).all():
            raise UsageError(f"{name} has a value that is NaN or infinite")
        if (np.diff(numbers) < 0).any():
            raise UsageError(f"{name} must be ascending: {', '.join(map(str, found))}")
    return found


def _place(values: list[Value]) -> dict[Value, int]:
    return {value: index for index, value in enumerate(values)}


def _coordinates(values: list[Value]) -> Samples:
    if not all(isinstance(value, int | float) for value in values):
        return np.arange(len(values), dtype=float)
    numbers = np.array(values, dtype=float)
    ratios = numbers[0] > 0 and numbers[-1] / numbers[0] >= LOG_SPAN
    return np.log(numbers) if ratios else numbers


def _excess(constraint: float, limit: float) -> float:
    """Over the limit, by ratio where both are above 0, else relative to the limit's size."""
    if limit > 0 and constraint > 0:
        return math.log(constraint / limit)
    return (constraint - limit) / (abs(limit) or 1.0)
