"""What every rival is: a search of one load's lattice that asks for a place and is told a value."""

import importlib
import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import numpy as np

Place = tuple[int, ...]
"""The index of the value of each axis."""

Lattice = dict[str, list[float]]
"""The values of each axis, ascending."""

NOT_INSTALLED = "{} is not installed: pip install -c constraints.txt '.[race]'"
TWICE = math.log(2.0)


class Rival(Protocol):
    """A search for the place with the smallest value."""

    def ask(self) -> Place | None:
        """Return the place to measure next, never one twice; None: gives up, or has finished."""

    def tell(self, place: Place, value: float | None) -> None:
        """Learn the value of a place, in seconds; None: it failed, or is not legal."""


def shape_of(lattice: Lattice) -> Place:
    """Return how many values each axis has."""
    return tuple(len(values) for values in lattice.values())


def unravel(index: int, shape: Place) -> Place:
    """Return the place with this number, the last axis fastest."""
    place = []
    for length in reversed(shape):
        index, position = divmod(index, length)
        place.append(position)
    return tuple(reversed(place))


def load_library(module: str) -> Any:
    """Import a module of a rival's library; an ImportError says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(NOT_INSTALLED.format(module.partition(".")[0])) from error


class Remembering(ABC):
    """A rival around a library that may propose a place again.

    A known place is not measured again: the library is told once more what is known of it, and
    asked for another. After `patience` known ones in a row, or when the library has nothing to
    propose, the place is drawn from those not known.

    Scores are logarithms of the values. A failure scores as twice the worst value yet, which keeps
    a library from coming back to it; before anything has worked there is no such value, and it
    waits for one.
    """

    patience: ClassVar[int] = 16

    def __init__(self, lattice: Lattice, seed: int) -> None:
        """Start with nothing known."""
        self.shape = shape_of(lattice)
        self._size = math.prod(self.shape)
        self._rng = np.random.default_rng(seed)
        self._scores: dict[Place, float | None] = {}
        self._worst: float | None = None

    @abstractmethod
    def propose(self) -> Place | None:
        """Return what the library would measure next; None: nothing."""

    @abstractmethod
    def learn(self, place: Place, score: float) -> None:
        """Tell the library a score, of the place it proposed last or of another."""

    def ask(self) -> Place | None:
        """Return the place to measure next; None once all are known."""
        if len(self._scores) == self._size:
            return None
        for _ in range(self.patience):
            place = self.propose()
            if place is None:
                break
            if place not in self._scores:
                return place
            self.repeat(place, self._scores[place])
        return self._draw()

    def tell(self, place: Place, value: float | None) -> None:
        """Learn the value of a place; None: it failed."""
        if value is None:
            self.fail(place)
            return
        score = math.log(value)
        waiting = [p for p, s in self._scores.items() if s is None] if self._worst is None else []
        self._worst = score if self._worst is None else max(score, self._worst)
        self._scores[place] = score
        self.learn(place, score)
        for failed in waiting:
            self.fail(failed)

    def fail(self, place: Place) -> None:
        """Learn that a place failed."""
        self._scores[place] = None
        if self._worst is not None:
            self._scores[place] = self._worst + TWICE
            self.learn(place, self._worst + TWICE)

    def repeat(self, place: Place, score: float | None) -> None:
        """Learn that a place was proposed whose score is known; None: that it failed."""
        if score is not None:
            self.learn(place, score)

    def _draw(self) -> Place:
        # From a random place on to the first unknown one: no list of a million places is kept.
        index = int(self._rng.integers(self._size))
        while (place := unravel(index, self.shape)) in self._scores:
            index = (index + 1) % self._size
        return place
