"""What every rival is: a search of one load's lattice that asks for a place and is told a value."""

import importlib
import math
from abc import ABC, abstractmethod
from typing import Any, Protocol

import numpy as np

Place = tuple[int, ...]
"""The index of the value of each axis."""

Lattice = dict[str, list[float]]
"""The values of each axis, ascending."""

NOT_INSTALLED = "{} is not installed: pip install -c constraints.txt '.[race]'"
REPEATS = 16
WORSE_THAN_ALL = math.log(2.0)


class Rival(Protocol):
    """A search for the place with the smallest value."""

    def ask(self) -> Place | None:
        """Return the place to measure next, none of them twice; None: gives up, or has finished."""

    def tell(self, place: Place, value: float | None) -> None:
        """Learn the value of a place, in seconds; None: it failed, or is not legal."""


def shape_of(lattice: Lattice) -> Place:
    """Return how many values each axis has."""
    return tuple(len(values) for values in lattice.values())


def load_library(module: str) -> Any:
    """Import a rival's library; an ImportError says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(NOT_INSTALLED.format(module.partition(".")[0])) from error


class Remembering(ABC):
    """A rival around a library that may propose places again, and does not know of failures.

    A known place is not measured again: the library is told what is known, and asked for another;
    after `REPEATS` of these the place is drawn from those not yet measured. Scores are logarithms
    of the values. A failure scores as twice the worst value yet, as the library would otherwise
    come back to it; before anything has worked there is no such value, and it waits for one.
    """

    def __init__(self, shape: Place, seed: int) -> None:
        """Start with nothing told."""
        self.shape = shape
        self.size = math.prod(shape)
        self.rng = np.random.default_rng(seed)
        self.scores: dict[Place, float] = {}
        self._failed: set[Place] = set()

    @abstractmethod
    def propose(self) -> Place | None:
        """Return what the library would measure next; None: nothing."""

    @abstractmethod
    def learn(self, place: Place, score: float) -> None:
        """Pass a score on to the library; of a place that was proposed, or of another."""

    def known(self, place: Place) -> bool:
        """Return whether a place has been told, failures among them."""
        return place in self.scores or place in self._failed

    def ask(self) -> Place | None:
        """Return the place to measure next; None once all are known."""
        if len(self.scores) + len(self._failed) >= self.size:
            return None
        for _ in range(REPEATS):
            place = self.propose()
            if place is None:
                break
            if not self.known(place):
                return place
            if place in self.scores:
                self.learn(place, self.scores[place])
        return self._draw_unknown()

    def tell(self, place: Place, value: float | None) -> None:
        """Learn the value of a place; None: it failed."""
        if value is None and not self.scores:
            self._failed.add(place)
            return
        score = self._penalty() if value is None else math.log(value)
        self.scores[place] = score
        self.learn(place, score)
        for waiting in sorted(self._failed):
            self.scores[waiting] = self._penalty()
            self.learn(waiting, self.scores[waiting])
        self._failed.clear()

    def _penalty(self) -> float:
        return max(self.scores.values()) + WORSE_THAN_ALL

    def _draw_unknown(self) -> Place:
        # From a random place on to the first one not known: no list of a million places is kept.
        index = int(self.rng.integers(self.size))
        while self.known(place := unravel(index, self.shape)):
            index = (index + 1) % self.size
        return place


def unravel(index: int, shape: Place) -> Place:
    """Return the place with this number, the last axis fastest."""
    place = []
    for length in reversed(shape):
        index, position = divmod(index, length)
        place.append(position)
    return tuple(reversed(place))
