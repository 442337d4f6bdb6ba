"""Rivals that need no library: random, exhaustive, and Model Analyzer's quick search."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from search.rival_base import Lattice, Place, shape_of, unravel

RADIUS = 3
STEP_FROM = (0.09, 0.3, 1.0)


class RandomSearch:
    """Every place once, in a random order; what any search has to beat."""

    def __init__(self, lattice: Lattice, seed: int) -> None:
        """Shuffle the numbers of the places."""
        self._shape = shape_of(lattice)
        self._order = np.random.default_rng(seed).permutation(math.prod(self._shape))
        self._asked = 0

    def ask(self) -> Place | None:
        """Return the next place; None after the last."""
        if self._asked == len(self._order):
            return None
        self._asked += 1
        return unravel(int(self._order[self._asked - 1]), self._shape)

    def tell(self, place: Place, value: float | None) -> None:
        """Nothing is learnt."""


class Exhaustive:
    """Every place once, in lexicographic order, the last axis fastest, as a brute sweep does."""

    def __init__(self, lattice: Lattice, seed: int) -> None:
        """Start at the smallest place; the seed changes nothing."""
        self._places = itertools.product(*map(range, shape_of(lattice)))

    def ask(self) -> Place | None:
        """Return the next place; None after the last."""
        return next(self._places, None)

    def tell(self, place: Place, value: float | None) -> None:
        """Nothing is learnt."""


class HillClimb:
    """Triton Model Analyzer's quick search, after its code, and on until no neighbour is better.

    Source: `config/generate/quick_run_config_generator.py` and `neighborhood.py` of
    github.com/triton-inference-server/model_analyzer, with its constants. From the smallest
    configuration on: measure places within a radius of 3, those with the most values not seen yet
    first, until one more than there are axes is known (3 there, for 2 axes); weigh each by its gain
    over the home, relative to the mean of both; step along their sum, by 0 to 3 places on each
    axis. A home that fails is left for the neighbour nearest to the best place, where all adjacent
    places are measured and the best is stepped to; where nothing has worked yet, a neighbour that
    does is sought first. It ends where a step leads nowhere or, a third time, to the same place.

    There Model Analyzer stops. With five axes that is far from any optimum, so this goes on in its
    slow mode, which it has for constraints: from the best place, measure the adjacent places and
    step to the best, until none is better. Then it has converged, and gives up.

    Left out: constraints and several models (a rival sees one value), the default configuration
    that it measures first (a lattice has none), and measuring again what is known. As there, gains
    are of the values, not of their logarithms. The seed changes nothing.
    """

    def __init__(self, lattice: Lattice, seed: int) -> None:
        """Start at the smallest configuration."""
        self._shape = shape_of(lattice)
        self._enough = 1 + max(2, sum(length > 1 for length in self._shape))
        self._values: dict[Place, float | None] = {}
        self._search = self._walk()

    def ask(self) -> Place | None:
        """Return the next place; None once it has converged."""
        return next(self._search, None)

    def tell(self, place: Place, value: float | None) -> None:
        """Keep the value for the next step."""
        self._values[place] = value

    def _walk(self) -> Iterator[Place]:
        yield from self._leap()
        home, best = None, self._best_of(list(self._values))
        while best is not None and best != home:
            home = best
            yield from self._unknown(self._adjacent(home))
            best = self._best_of([home, *self._adjacent(home)])

    def _leap(self) -> Iterator[Place]:
        home: Place = (0,) * len(self._shape)
        visits = Counter[Place]()
        after_failure = False
        while True:
            yield from self._unknown([home])
            failed = self._values[home] is None
            if failed:
                yield from self._measure_some(home, self._around(home), not self._any_worked())
                step = self._nearest_to_best(home)
            elif after_failure:
                yield from self._unknown(self._adjacent(home))
                step = self._best_of([home, *self._adjacent(home)]) or home
            else:
                around = self._around(home)
                yield from self._measure_some(home, around, self._enough)
                if len(self._worked(home, around)) < self._enough:
                    return
                step = self._along_gains(home, around)
            if step == home or visits[step] >= 2:
                return
            home, after_failure = step, failed
            visits[home] += 1

    def _any_worked(self) -> bool:
        return any(value is not None for value in self._values.values())

    def _unknown(self, places: list[Place]) -> Iterator[Place]:
        return (place for place in places if place not in self._values)

    def _around(self, home: Place) -> list[Place]:
        def lengths(axis: int, left: int) -> Iterator[Place]:
            if axis == len(home):
                yield ()
                return
            reach = max(home[axis], self._shape[axis] - 1 - home[axis])
            for length in range(min(math.isqrt(left), reach) + 1):
                for rest in lengths(axis + 1, left - length * length):
                    yield (length, *rest)

        # In Model Analyzer's order, as ties are decided by it.
        return [
            place
            for step in lengths(0, RADIUS * RADIUS)
            for signed in itertools.product(*((v, -v) if v else (0,) for v in step))
            if self._legal(place := tuple(h + v for h, v in zip(home, signed, strict=True)))
        ]

    def _legal(self, place: Place) -> bool:
        return all(0 <= v < length for v, length in zip(place, self._shape, strict=True))

    def _adjacent(self, home: Place) -> list[Place]:
        steps = ((axis, step) for axis in range(len(home)) for step in (-1, 1))
        places = ((*home[:axis], home[axis] + step, *home[axis + 1 :]) for axis, step in steps)
        return [place for place in places if self._legal(place)]

    def _worked(self, home: Place, around: list[Place]) -> dict[Place, float]:
        found = ((place, self._values.get(place)) for place in around if place != home)
        return {place: value for place, value in found if value is not None}

    def _measure_some(self, home: Place, around: list[Place], enough: int) -> Iterator[Place]:
        while len(worked := self._worked(home, around)) < enough:
            unknown = list(self._unknown(around))
            if not unknown:
                return
            yield _newest(unknown, list(worked))

    def _along_gains(self, home: Place, around: list[Place]) -> Place:
        at_home = self._values[home]
        assert at_home is not None
        gain = np.zeros(len(home))
        distance = np.zeros(len(home))
        for place, value in self._worked(home, around).items():
            step = np.subtract(place, home)
            gain += np.sign(step) * 2 * (at_home - value) / (at_home + value)
            distance += np.abs(step)
        slope = gain / np.maximum(distance, 1)
        steps = np.sign(slope) * np.sum(np.abs(slope)[:, None] > STEP_FROM, axis=1)
        moved = np.clip(np.add(home, steps), 0, np.subtract(self._shape, 1))
        return tuple(int(v) for v in moved)

    def _best_of(self, places: list[Place]) -> Place | None:
        worked = {p: v for p in places if (v := self._values.get(p)) is not None}
        return min(worked, key=lambda p: worked[p], default=None)

    def _nearest_to_best(self, home: Place) -> Place:
        best = self._best_of(list(self._values)) or home
        return min(self._around(home), key=lambda place: math.dist(place, best))


def _newest(places: list[Place], known: list[Place]) -> Place:
    covered = [set(values) for values in zip(*known, strict=True)] or [set()] * len(places[0])
    return max(places, key=lambda p: sum(v not in c for v, c in zip(p, covered, strict=True)))
