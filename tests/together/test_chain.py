"""A chain from end to end, from the logs of its steps."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import run_of

from autotune.outcome import Measured
from autotune.together.chain import joined


def step(
    finished_s: list[float], scheduled_s: list[float] | None = None, lost: int = 0
) -> Measured:
    ends = np.array(finished_s)
    begins = np.array(scheduled_s if scheduled_s is not None else np.zeros(len(ends)))
    run = run_of([0.0] * len(ends), lost)
    times = dict.fromkeys(("scheduled_s", "ready_s", "claimed_s", "started_s"), begins)
    return msgspec.structs.replace(run, **times, finished_s=ends)


def test_a_request_is_answered_when_all_its_executions_are() -> None:
    first = step([1.0, 2.0], [0.0, 0.5])
    second = step([1.5, 3.0, 2.5, 2.6])
    whole, steps = joined([first, second], [1, 2])
    assert whole.finished_s.tolist() == [3.0, 2.6]
    assert whole.latency_s.tolist() == [3.0, 2.1]
    assert steps[1].scheduled_s.tolist() == [1.0, 1.0, 2.0, 2.0]


def test_who_is_answered_first_comes_first_to_the_next_step() -> None:
    first = step([5.0, 2.0], [0.0, 1.0])
    whole, steps = joined([first, step([2.5, 5.5])], [1, 1])
    assert whole.finished_s.tolist() == [5.5, 2.5]
    assert steps[1].scheduled_s.tolist() == [2.0, 5.0]


def test_a_request_is_lost_where_one_of_its_executions_is() -> None:
    first = step([1.0, 2.0], [0.0, 0.5], lost=1)
    whole, steps = joined([first, step([1.5, 1.6, 2.5])], [1, 2])
    assert whole.finished_s.tolist() == [1.6]
    assert whole.lost == 2
    assert steps[1].lost == 1


def test_cpu_time_is_that_of_all_steps() -> None:
    first, second = step([1.0]), step([2.0])
    whole, _ = joined([first, second], [1, 1])
    assert whole.cpu_s == pytest.approx(first.cpu_s + second.cpu_s)


@given(st.lists(st.floats(0.1, 9), min_size=1, max_size=20), st.integers(1, 4), st.data())
def test_nothing_is_answered_before_its_first_step_and_nothing_vanishes(
    ends: list[float], times: int, data: st.DataObject
) -> None:
    first = step(ends)
    came = np.repeat(np.sort(ends), times)
    took = data.draw(st.lists(st.floats(0, 5), max_size=len(came)))
    second = step((came[: len(took)] + np.array(took)).tolist())
    whole, steps = joined([first, second], [1, times])
    assert whole.served + whole.lost == len(ends)
    assert steps[1].served + steps[1].lost == len(came)
    assert (whole.latency_s >= min(ends)).all()
