"""Suspensions and a machine that changes, from the side of a bench."""

from typing import cast

import pytest

from autotune.errors import MeasureError
from autotune.probes.cores import Cores
from autotune.trial import circumstances
from autotune.trial.circumstances import MOST_SUSPENDED, Circumstances
from autotune.trial.spawn import Child


class Looked:
    """A child that was stopped as often as told."""

    def __init__(self, stops: int) -> None:
        self.stops = stops

    def was_stopped(self) -> bool:
        self.stops -= 1
        return self.stops >= 0


def measured(around: Circumstances, child: Looked) -> list[int]:
    numbers: list[int] = []

    def take() -> int:
        numbers.append(len(numbers))
        around.look_at(cast(Child, child))
        return numbers[-1]

    assert around.unsuspended(take) == numbers[-1]
    return numbers


def test_what_nothing_befell_is_measured_once() -> None:
    assert measured(Circumstances(), Looked(0)) == [0]


def test_what_a_suspension_fell_into_is_measured_again() -> None:
    assert measured(Circumstances(), Looked(2)) == [0, 1, 2]


def test_suspensions_without_end_end_it() -> None:
    with pytest.raises(MeasureError, match="SIGSTOP"):
        measured(Circumstances(), Looked(MOST_SUSPENDED))


def test_a_machine_that_slept_was_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([10.0, 10.0, 75.0, 75.0, 75.0])
    monkeypatch.setattr(circumstances, "asleep_s", lambda: next(readings))
    around = Circumstances()
    assert measured(around, Looked(0)) == [0]
    assert measured(around, Looked(0)) == [0, 1]


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (Cores(affinity=1, quota=None), "2 cores became 1 core:"),
        (Cores(affinity=2, quota=1.5), "2 cores became 2 cores under a quota of 1.5:"),
    ],
)
def test_a_machine_that_changed_ends_it(
    monkeypatch: pytest.MonkeyPatch, now: Cores, words: str
) -> None:
    monkeypatch.setattr(circumstances, "usable_cores", lambda: Cores(affinity=2, quota=None))
    around = Circumstances()
    monkeypatch.setattr(circumstances, "usable_cores", lambda: now)
    with pytest.raises(MeasureError, match=words):
        measured(around, Looked(0))
