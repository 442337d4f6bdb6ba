import logging
import math
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.engine.errors import ReplicaGoneError
from autotune.engine.requests import (
    RECENT,
    RECENT_S,
    RecentTimes,
    Request,
    demand_inputs,
    new_request,
    resolve,
    signature_of,
    tried_again,
)
from autotune.engine.source import Tensors
from autotune.errors import UsageError

ROW = np.zeros((1, 2), np.float32)


def numbered(count: int) -> list[Request]:
    return [new_request({"x": np.full((1, 1), i)}, None) for i in range(count)]


def executed(requests: Sequence[Request], bad: set[int]) -> tuple[list[int], list[int], int]:
    """Execute as an engine does; return who was answered, who failed, in how many executions."""
    answered, failed, executions = list[int](), list[int](), 0
    batches = [list(requests)]
    while batches:
        batch = batches.pop(0)
        executions += 1
        numbers = [int(one.inputs["x"][0, 0]) for one in batch]
        if not bad & set(numbers):
            answered += numbers
        elif again := tried_again(batch, ValueError("bad")):
            batches += again
        else:
            failed += numbers
    return answered, failed, executions


@given(st.integers(1, 40), st.data())
@settings(max_examples=50, deadline=None)
def test_those_fail_that_are_bad_whatever_the_batch(count: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, count - 1)))
    answered, failed, executions = executed(numbered(count), bad)
    assert sorted(failed) == sorted(bad)
    assert sorted(answered) == sorted(set(range(count)) - bad)
    assert executions <= 2 * count - 1
    if len(bad) == 1:
        assert executions <= 1 + 2 * math.ceil(math.log2(count))


def test_a_request_that_was_alone_when_two_replicas_died_is_not_tried_again() -> None:
    gone = ReplicaGoneError("killed")
    (first, second) = tried_again(numbered(2), gone)
    assert (first[0].deaths, second[0].deaths) == (0, 0)  # it may have been the other
    (again,) = tried_again(first, gone)
    assert again[0].deaths == 1
    assert tried_again(again, gone) == []


def test_an_error_of_the_model_is_not_tried_again_alone() -> None:
    assert tried_again(numbered(1), ValueError("bad")) == []


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ([ROW], "inputs: must be a dict of arrays by input name, not list"),
        ({"x": [[0.0]], "y": ROW}, "input 'x': must be a numpy array, not list"),
        ({"x": ROW}, "input 'y': is missing; given: x"),
        ({}, "input 'x': is missing"),
        ({"x": ROW, "y": ROW, "yy": ROW}, "input 'yy': the model has none; did you mean 'y'?"),
    ],
)
def test_what_cannot_be_a_request_is_refused_in_one_line(inputs: Tensors, complaint: str) -> None:
    with pytest.raises(UsageError) as refused:
        demand_inputs(inputs, frozenset({"x", "y"}))
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_any_names_will_do_where_none_are_known() -> None:
    demand_inputs({"z": ROW}, None)
    demand_inputs({"y": ROW, "x": ROW}, frozenset({"x", "y"}))


def test_a_timeout_that_is_no_number_is_refused() -> None:
    with pytest.raises(UsageError, match="timeout_s"):
        new_request({"x": ROW}, math.nan)


def test_the_order_of_inputs_does_not_keep_requests_apart_and_types_and_shapes_do() -> None:
    wide, long = np.zeros((1, 3), np.float32), np.zeros((5, 2), np.float32)
    same = signature_of({"x": ROW, "y": wide})
    assert same == signature_of({"y": wide, "x": ROW})
    assert signature_of({"x": ROW}) == signature_of({"x": long})
    for other in (ROW.astype(np.float64), wide, np.zeros((1, 2, 1), np.float32)):
        assert signature_of({"x": other}) != signature_of({"x": ROW})
    assert signature_of({"z": ROW}) != signature_of({"x": ROW})


@pytest.mark.parametrize(
    "inputs",
    [{"x": np.array(1.0)}, {"x": ROW, "s": np.array(1.0)}, {"x": ROW, "y": np.zeros((2, 2))}, {}],
)
def test_requests_whose_rows_would_shift_are_never_stacked(inputs: Tensors) -> None:
    assert signature_of(inputs) is None


def test_the_shortest_of_recent_executions_of_a_size_is_expected() -> None:
    times = RecentTimes()
    assert times.least_s(4, 100.0) == 0.0
    for took_s in (0.3, 0.1, 0.2):
        times.add(4, 100.0 - took_s, 100.0)
    assert times.least_s(4, 100.0) == pytest.approx(0.1)
    assert times.least_s(3, 100.0) == 0.0
    for _ in range(RECENT):
        times.add(4, 100.0, 100.5)
    assert times.least_s(4, 101.0) == pytest.approx(0.5)
    assert times.least_s(4, 101.0 + RECENT_S) == 0.0  # one bad moment does not rule for ever


def test_a_future_is_resolved_once_and_what_its_callbacks_raise_ends_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def leave(future: "Future[Tensors]") -> None:
        raise SystemExit(3)

    future: Future[Tensors] = Future()
    future.add_done_callback(leave)
    with caplog.at_level(logging.ERROR, "autotune.engine"):
        resolve(future, {"y": ROW})
    resolve(future, ValueError("too late"))
    assert future.result()["y"] is ROW
    assert "callback" in caplog.text
