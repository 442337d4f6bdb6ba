"""What the starter's lessons say of each other: each architecture left out in turn.

    python benchmarks/starter/worth.py

prints, by family, how far (factor, root mean square) latency was from what was predicted of it, as
predicted and as corrected by the lessons of the other architectures; and likewise service times
from the law.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autotune.learn.experience import OVERLOADED, Experience
from autotune.learn.places import task_of
from autotune.lesson import Lesson
from autotune.outcome import Samples
from autotune.stages.learning import starter_lessons


class Row(NamedTuple):
    """One that was left out."""

    kind: str
    off: tuple[Samples, Samples, Samples, Samples]
    """Logarithms, for the table's columns."""


def main() -> None:
    """Leave each out, and print."""
    lessons = starter_lessons()
    print("| left out | latency: predicted | corrected | service time: law | corrected |")
    print("|" + "---|" * 5)
    every = []
    for number, own in enumerate(lessons):
        others = [*itertools.islice(lessons, number), *lessons[number + 1 :]]
        experience = Experience(others, own.model, own.machine, task_of(own))
        off = (*_latencies(own, experience), *_times(own, experience))
        every.append(Row(_kind(own), off))
    for kind in dict.fromkeys(row.kind for row in every):
        _print(kind, [row for row in every if row.kind == kind])
    _print("all", every)


def _kind(lesson: Lesson) -> str:
    """The operator that does most of the work."""
    counted = lesson.model.work or lesson.model.operators
    return max(counted, key=counted.__getitem__) if counted else "unknown"


def _latencies(own: Lesson, experience: Experience) -> tuple[Samples, Samples]:
    limit_ms = OVERLOADED * own.slo.latency_ms
    seen = [one for one in own.latencies if max(one.measured_ms, one.predicted_ms) <= limit_ms]
    off, left = [], []
    for one in seen:
        log = float(np.log(one.measured_ms / one.predicted_ms))
        errors = experience.errors(
            [one.load_rps], [one.config], np.array([[one.predicted_ms / 1e3]])
        )
        off.append(log)
        left.append(log - (0.0 if errors is None else float(errors.mean[0, 0])))
    return np.array(off), np.array(left)


def _times(own: Lesson, experience: Experience) -> tuple[Samples, Samples]:
    off = np.array([float(np.log(one.seconds / one.law_s)) for one in own.times])
    states = [(one.shape, float(one.batch_size), float(one.busy)) for one in own.times]
    return off, off - experience.law_errors(states).mean


def _print(kind: str, rows: Sequence[Row]) -> None:
    columns = zip(*(row.off for row in rows), strict=True)
    cells = [_factor(np.concatenate(column)) for column in columns]
    print(f"| {kind} ({len(rows)}) | {' | '.join(cells)} |")


def _factor(logs: Samples) -> str:
    return f"x{np.exp(np.sqrt(np.mean(logs**2))):.2f}" if len(logs) else "-"


if __name__ == "__main__":
    main()
