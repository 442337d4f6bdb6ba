"""Searches that know of other searches, by other means than ours: what transfer is held against.

Each searches one load, and is told of the past as lessons: what was measured of which configuration
at which share of the load that is sustained. Where a configuration of another machine lies in this
space is the point nearest to it in the places of `autotune.learn.places`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from autotune.learn.places import Task, known_places, latency_place, search_place, task_of
from autotune.learn.regression import Learnt, Rows
from autotune.lesson import Lesson, SeenLatency
from autotune.outcome import Samples
from autotune.spec import ServingConfig
from autotune.stats.gaussian import log_expected_gain
from search.optuna_rivals import OptunaTpe
from search.spaces import Places, Space

BESTS = 5
"""Past bests that are tried first."""
REFIT = 4
"""Measurements after which a Gaussian process is fitted anew."""
NOISE = 0.05
OUT_OF_SEARCH = 2.0
"""Standard deviations by which a failure counts as slower than what was expected."""


class Given(NamedTuple):
    """What a search at one load is told beforehand."""

    space: Space
    load: int
    own: Lesson
    """Of the new search: its traits and its task."""
    past: Sequence[Lesson]
    seed: int

    @property
    def places(self) -> Samples:
        """Where the points lie, shape (points, features)."""
        load_rps = self.space.loads_rps[self.load]
        task = task_of(self.own)
        return np.array([_place(one, load_rps, task) for one in self.space.configs])


class WarmRival(Protocol):
    """A search for the point with the smallest value."""

    def ask(self) -> int | None:
        """Return the point to measure next, never one twice; None: gives up."""

    def tell(self, point: int, value_s: float | None) -> None:
        """Learn the value of a point; None: it failed."""


class Nearest:
    """The best configuration of the most similar search, then of the next, and so on."""

    def __init__(self, given: Given) -> None:
        """Rank the past."""
        self._left = past_bests(given)

    def ask(self) -> int | None:
        """Return the next of the past's bests."""
        return self._left.pop(0) if self._left else None

    def tell(self, point: int, value_s: float | None) -> None:
        """Learn nothing."""


class WarmTpe:
    """Optuna's TPE, the past's bests enqueued: measured first, nearest search first."""

    def __init__(self, given: Given) -> None:
        """Open a study."""
        self._places = Places(given.space.coordinates)
        self._tpe = OptunaTpe(self._places.lattice, given.seed)
        self._first = past_bests(given)[:BESTS]
        self._known: dict[int, float | None] = {}

    def ask(self) -> int | None:
        """Return what was enqueued, then what TPE proposes."""
        if self._first:
            return self._first.pop(0)
        for _ in range(5000):
            place = self._tpe.ask()
            if place is None:
                return None
            point = self._places.point(place)
            if point is not None and point not in self._known:
                return point
            self._tpe.tell(place, None if point is None else self._known[point])
        return None

    def tell(self, point: int, value_s: float | None) -> None:
        """Tell the study."""
        self._known[point] = value_s
        self._tpe.tell(self._places.place(point), value_s)


class MultiTaskGp:
    """A Gaussian process over all searches' latencies, with expected improvement.

    The covariance of searches goes by their traits, as in `autotune.learn.regression`; what is
    learnt are log latencies over the time of one request, and no prediction enters.
    """

    def __init__(self, given: Given) -> None:
        """Take in the past."""
        self._given, self._points = given, given.places
        self._base_s = given.own.base_s
        lessons = [*given.past, given.own]
        self._traits = known_places(
            [search_place(one.model, one.machine, one.base_s) for one in lessons]
        )
        self._past = [
            (_place(one.config, one.load_rps, task_of(lesson)), number, _log(one, lesson))
            for number, lesson in enumerate(given.past)
            for one in lesson.latencies
        ]
        self._told: dict[int, float] = {}
        self._worst = 0.0
        self._steps: Samples | None = None

    def ask(self) -> int | None:
        """Return the point of the largest expected improvement."""
        mean, deviation = self._learnt().at(self._points)
        best = min(self._told.values(), default=float(mean.min()))
        gain = log_expected_gain((best - mean) / deviation) + np.log(deviation)
        gain[list(self._told)] = -np.inf
        return int(np.argmax(gain)) if len(self._told) < len(gain) else None

    def tell(self, point: int, value_s: float | None) -> None:
        """Learn a value; a failure is as bad as the worst, and worse."""
        if value_s is not None:
            self._told[point] = math.log(value_s / self._base_s)
            self._worst = max(self._worst, self._told[point])
        else:
            self._told[point] = self._worst + OUT_OF_SEARCH

    def _learnt(self) -> Learnt:
        own = len(self._traits) - 1
        rows = [(self._points[point], own, value) for point, value in self._told.items()]
        places, searches, values = zip(*self._past, *rows, strict=True)
        found = Rows(
            np.array(places), np.array(searches), np.array(values), np.full(len(values), NOISE)
        )
        steps = None if len(self._told) % REFIT == 0 else self._steps
        learnt = Learnt(found, self._traits, own, steps)
        self._steps = learnt.steps
        return learnt


def past_bests(given: Given) -> list[int]:
    """Return the best points of past searches at the nearest share of load, the nearest first."""
    places = given.places
    lessons = [*given.past, given.own]
    traits = known_places([search_place(one.model, one.machine, one.base_s) for one in lessons])
    away = np.abs(traits[:-1] - traits[-1]).sum(axis=1)
    found: dict[int, None] = {}
    for number in np.argsort(away, kind="stable"):
        lesson = given.past[int(number)]
        best = _best_at(lesson, given)
        if best is not None:
            place = np.array(_place(best.config, best.load_rps, task_of(lesson)))
            place[-1] = places[0, -1]
            found[int(np.argmin(np.abs(places - place).sum(axis=1)))] = None
    return list(found)


def _best_at(lesson: Lesson, given: Given) -> SeenLatency | None:
    """Of a past search, the best at the load of the same rank."""
    loads_rps = sorted({one.load_rps for one in lesson.latencies})
    if given.load >= len(loads_rps):
        return None
    here = [one for one in lesson.latencies if one.load_rps == loads_rps[given.load]]
    return min(here, key=lambda one: one.measured_ms)


def _place(config: ServingConfig, load_rps: float, task: Task) -> list[float]:
    """As `latency_place`, but for what is predicted."""
    return latency_place(config, load_rps, task.base_s, task)[:-1]


def _log(one: SeenLatency, lesson: Lesson) -> float:
    return math.log(one.measured_ms / 1e3 / lesson.base_s)
