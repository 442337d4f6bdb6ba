"""What past searches say of a new one: its service times, and how its predictions will err."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autotune.learn.places import (
    Task,
    known_places,
    latency_place,
    room,
    search_place,
    task_of,
    time_place,
)
from autotune.learn.regression import Learnt, Rows
from autotune.lesson import Lesson
from autotune.outcome import Samples
from autotune.spec import ServingConfig, SessionShape
from autotune.traits import MachineTraits, ModelTraits

STATE_NOISE, EXECUTION_NOISE = 0.05, 0.30
"""Standard deviations (log) of a state, however often seen, and of a single execution."""
LEAST_EXECUTIONS = 10
"""A state that was seen less often tells of chance alone."""
LEAST_ROWS = 8
"""Fewer say nothing of a new search."""
MOST_LESSONS = 200
"""The most kindred are gone by."""
OVERLOADED = 2.0
"""Times the SLO: beyond, a queue grows, and latency says but how long one looked."""
FAR_OFF = 1.0
"""What differs from law or prediction by more (log) is a matter of its own: models of some
microseconds, whose threads cost more to wake than they work, or a run that something spoilt."""


class Expected(NamedTuple):
    """What is expected, by what was learnt: arrays of one shape."""

    mean: Samples
    deviation: Samples


class Experience:
    """What lessons say of one new search."""

    def __init__(
        self, lessons: Sequence[Lesson], model: ModelTraits, machine: MachineTraits, task: Task
    ) -> None:
        """Learn from the lessons that are most like the new search."""
        self._task = task
        new = search_place(model, machine, task.base_s)
        self.lessons = _most_kindred(lessons, new)
        """What was learnt from."""
        groups = [_group(lesson.model, lesson.machine, n) for n, lesson in enumerate(self.lessons)]
        own = _group(model, machine, -1)
        number = {group: place for place, group in enumerate(dict.fromkeys([*groups, own]))}
        places = [[0.0]] * len(number)
        for lesson, group in zip(self.lessons, groups, strict=True):
            places[number[group]] = search_place(lesson.model, lesson.machine, lesson.base_s)
        places[number[own]] = new
        traits, searches = known_places(places), [number[group] for group in groups]
        self._times = _learnt(_time_rows(self.lessons, searches), traits, number[own])
        self._latencies = _learnt(_latency_rows(self.lessons, searches), traits, number[own])

    @property
    def knows_times(self) -> bool:
        """Whether anything is known of service times."""
        return self._times is not None

    def law_errors(self, states: Sequence[tuple[SessionShape, float, float]]) -> Expected:
        """Return the log of seconds over the law's of (sessions, batch size, busy replicas).

        Where threads have to share cores, errors are those with as many busy as have room: what an
        execution takes that is interrupted depends on how it compares with a time slice, and is
        not alike for other models.

        Raises:
            ValueError: nothing is known.
        """
        if self._times is None:
            raise ValueError("no executions were seen")
        task = self._task
        places = [
            time_place(shape, size, min(busy, room(shape, task)), task)
            for shape, size, busy in states
        ]
        return Expected(*self._times.at(np.array(places)))

    def errors(
        self, loads_rps: Sequence[float], configs: Sequence[ServingConfig], predicted_s: Samples
    ) -> Expected | None:
        """Return the log of measured over predicted latency; None: nothing is known of it.

        Args:
            loads_rps: at which.
            configs: of which.
            predicted_s: latency predicted, shape (loads, points), which is that of the answer.
        """
        if self._latencies is None:
            return None
        places = [
            latency_place(config, load_rps, float(predicted_s[load, point]), self._task)
            for load, load_rps in enumerate(loads_rps)
            for point, config in enumerate(configs)
        ]
        mean, deviation = self._latencies.at(np.array(places))
        shape = predicted_s.shape
        return Expected(mean.reshape(shape), deviation.reshape(shape))


def _most_kindred(lessons: Sequence[Lesson], new: list[float]) -> list[Lesson]:
    if len(lessons) <= MOST_LESSONS:
        return list(lessons)
    places = [search_place(one.model, one.machine, one.base_s) for one in lessons]
    known = known_places([*places, new])
    away = np.abs(known[:-1] - known[-1]).sum(axis=1)
    return [lessons[place] for place in np.argsort(away, kind="stable")[:MOST_LESSONS]]


def _group(model: ModelTraits, machine: MachineTraits, number: int) -> object:
    """What is the same for searches that are one: a graph, whatever its weights, on one machine."""
    return number if model.graph_sha256 is None else (model.graph_sha256, machine.cores)


def _time_rows(lessons: Sequence[Lesson], searches: list[int]) -> Rows:
    found = []
    for lesson, search in zip(lessons, searches, strict=True):
        task = task_of(lesson)
        for one in lesson.times:
            place = time_place(one.shape, float(one.batch_size), float(one.busy), task)
            value = float(np.log(one.seconds / one.law_s))
            tells = one.executions >= LEAST_EXECUTIONS and one.busy <= room(one.shape, task)
            if tells and abs(value) <= FAR_OFF:
                noise = np.hypot(STATE_NOISE, EXECUTION_NOISE / np.sqrt(one.executions))
                found.append((place, search, value, float(noise)))
    return _rows(found)


def _latency_rows(lessons: Sequence[Lesson], searches: list[int]) -> Rows:
    found = []
    for lesson, search in zip(lessons, searches, strict=True):
        task = task_of(lesson)
        for one in lesson.latencies:
            place = latency_place(one.config, one.load_rps, one.predicted_ms / 1e3, task)
            value = float(np.log(one.measured_ms / one.predicted_ms))
            queues = max(one.measured_ms, one.predicted_ms) > OVERLOADED * lesson.slo.latency_ms
            if abs(value) <= FAR_OFF and not queues:
                found.append((place, search, value, one.noise))
    return _rows(found)


def _rows(found: list[tuple[list[float], int, float, float]]) -> Rows:
    places, searches, values, noise = zip(*found, strict=True) if found else ([], [], [], [])
    return Rows(
        np.array(places, dtype=float),
        np.array(searches, dtype=np.int64),
        np.array(values, dtype=float),
        np.array(noise, dtype=float),
    )


def _learnt(rows: Rows, traits: Samples, own: int) -> Learnt | None:
    return Learnt(rows, traits, own) if len(rows.values) >= LEAST_ROWS else None
