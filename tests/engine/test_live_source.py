"""The live queue: its bound, its deadlines, and that nothing in it is lost."""

import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest

from autotune.engine.errors import (
    DeadlineExceededError,
    EngineClosedError,
    QueueFullError,
    ReplicaGoneError,
)
from autotune.engine.live_source import LiveSource
from autotune.engine.source import Array, Batch, Tensors, split

GONE_S = 1e-9
"""A timeout that is over at once."""


def one(number: int = 0, width: int = 1) -> Tensors:
    return {"x": np.full((1, width), number)}


def numbers(batch: Batch | None) -> list[int]:
    assert batch is not None
    return [int(inputs["x"][0, 0]) for inputs in batch.inputs]


def answer(source: LiveSource, batch: Batch | None, took_s: float = 0.0) -> None:
    assert batch is not None
    source.complete(batch, batch.inputs, time.perf_counter() - took_s)


def assert_adds_up(source: LiveSource) -> None:
    found = source.counters()
    ended = found.answered + found.failed + found.expired + found.cancelled
    assert found.submitted == ended + found.queued + found.executing


def test_a_full_queue_rejects_and_goes_on_when_there_is_room() -> None:
    source = LiveSource(max_queued=2)
    futures = [source.submit(one(i)) for i in range(2)]
    with pytest.raises(QueueFullError, match="2 requests are queued"):
        source.submit(one(2))
    answer(source, source.take(1, 0.0))
    source.submit(one(3))
    assert futures[0].done()
    assert (source.counters().rejected, source.counters().submitted) == (1, 3)
    assert_adds_up(source)


def test_a_closed_source_refuses_and_still_gives_what_is_queued() -> None:
    source = LiveSource()
    source.submit(one(1))
    source.close()
    with pytest.raises(EngineClosedError, match="closed"):
        source.submit(one(2))
    assert isinstance(EngineClosedError(), RuntimeError)
    answer(source, source.take(1, 0.0))
    assert source.take(1, 0.0) is None


def test_a_request_whose_deadline_has_passed_is_dropped_and_another_takes_its_place() -> None:
    source = LiveSource()
    late = source.submit(one(0), timeout_s=GONE_S)
    negative = source.submit(one(1), timeout_s=-1.0)
    for i in (2, 3, 4):
        source.submit(one(i), timeout_s=60.0 if i == 3 else None)
    batch = source.take(2, 0.0)
    assert numbers(batch) == [2, 3]
    for future in (late, negative):
        with pytest.raises(DeadlineExceededError, match="not served within"):
            future.result(timeout=0)
    assert isinstance(late.exception(), TimeoutError)
    assert source.counters().expired == 2
    assert_adds_up(source)


def test_a_request_is_dropped_that_would_end_too_late() -> None:
    source = LiveSource()
    source.submit(one())
    answer(source, source.take(1, 0.0), took_s=5.0)
    hopeless, patient = source.submit(one(1), timeout_s=4.0), source.submit(one(2), timeout_s=60.0)
    endless = source.submit(one(3))
    assert numbers(source.take(1, 0.0)) == [2]
    assert numbers(source.take(1, 0.0)) == [3]
    assert isinstance(hopeless.exception(timeout=0), DeadlineExceededError)
    assert patient.running()
    assert endless.running()


def test_a_batch_size_that_is_not_known_drops_nothing_in_time() -> None:
    source = LiveSource()
    source.submit(one())
    answer(source, source.take(1, 0.0), took_s=5.0)
    for i in range(2):
        source.submit(one(i), timeout_s=4.0)
    assert numbers(source.take(2, 0.0)) == [0, 1]


def test_a_batch_waits_for_company_only_as_long_as_its_most_urgent_request_can() -> None:
    source = LiveSource()
    source.submit(one(0))
    source.submit(one(1), timeout_s=0.4)
    assert numbers(source.take(8, 60.0)) == [0, 1]


def test_an_empty_batch_comes_of_requests_that_are_all_dropped() -> None:
    source = LiveSource()
    source.submit(one(), timeout_s=GONE_S)
    assert source.submit(one()).cancel()
    batch = source.take(4, 0.0)
    assert batch is not None
    assert (batch.inputs, batch.futures) == ([], [])
    found = source.counters()
    assert (found.expired, found.cancelled, found.queued, found.executing) == (1, 1, 0, 0)


def test_a_failed_batch_comes_back_in_halves_before_what_waits() -> None:
    source = LiveSource()
    futures = [source.submit(one(i)) for i in range(6)]
    batch = source.take(4, 0.0)
    assert batch is not None
    source.fail(batch, ValueError("one of them"))
    assert source.counters().executing == 4
    halves = [source.take(4, 0.0), source.take(4, 0.0)]
    assert [numbers(half) for half in halves] == [[0, 1], [2, 3]]
    answer(source, halves[0])
    assert numbers(source.take(4, 0.0)) == [4, 5]
    assert [future.done() for future in futures[:4]] == [True, True, False, False]
    assert_adds_up(source)


def test_parts_of_a_failed_batch_are_dropped_when_they_would_come_too_late() -> None:
    source = LiveSource()
    urgent, other = source.submit(one(0), timeout_s=0.05), source.submit(one(1))
    batch = source.take(2, 0.0)
    assert batch is not None
    time.sleep(0.06)
    source.fail(batch, ValueError("one of them"))
    assert numbers(source.take(2, 0.0)) == []
    assert isinstance(urgent.exception(timeout=0), DeadlineExceededError)
    answer(source, source.take(2, 0.0))
    assert other.done()
    assert_adds_up(source)


def test_a_batch_that_waits_for_company_lets_parts_of_a_failed_one_pass() -> None:
    source = LiveSource()
    for i in range(2):
        source.submit(one(i))
    failing = source.take(2, 0.0)
    assert failing is not None
    source.submit(one(7))
    taken: list[Batch | None] = []
    thread = threading.Thread(target=lambda: taken.append(source.take(2, 600.0)))
    thread.start()
    source.fail(failing, ValueError("one of them"))
    thread.join(timeout=30)
    assert not thread.is_alive()
    assert sorted(numbers(taken[0]) + numbers(source.take(2, 0.0))) == [0, 1]


def test_no_taker_leaves_while_a_batch_executes_that_may_come_back() -> None:
    source = LiveSource()
    future = source.submit(one())
    batch = source.take(1, 0.0)
    assert batch is not None
    source.close()
    taken: list[Batch | None] = []
    thread = threading.Thread(target=lambda: taken.append(source.take(1, 0.0)))
    thread.start()
    source.fail(batch, ReplicaGoneError("killed"))
    thread.join(timeout=30)
    assert numbers(taken[0]) == [0]
    answer(source, taken[0])
    assert future.done()
    assert source.take(1, 0.0) is None


def test_what_is_abandoned_fails_and_its_late_answer_is_dropped() -> None:
    source = LiveSource()
    executing, waiting, unwanted = (source.submit(one(i)) for i in range(3))
    batch = source.take(1, 0.0)
    assert batch is not None
    assert unwanted.cancel()
    source.abandon("no more time")
    for future in (executing, waiting):
        with pytest.raises(EngineClosedError, match="no more time"):
            future.result(timeout=0)
    answer(source, batch)
    source.fail(batch, ValueError("late"))
    found = source.counters()
    assert (found.failed, found.cancelled, found.answered, found.executing) == (2, 1, 0, 0)
    assert source.take(1, 0.0) is None
    assert_adds_up(source)


def test_requests_expire_while_nobody_takes_any() -> None:
    source = LiveSource()
    late, patient = source.submit(one(0), timeout_s=GONE_S), source.submit(one(1))
    assert not source.pause(0.0)
    assert isinstance(late.exception(timeout=0), DeadlineExceededError)
    assert not patient.done()
    source.close()
    assert source.pause(600.0)


def test_requests_of_unequal_rows_are_executed_alone() -> None:
    source = LiveSource()
    crooked: Tensors = {"x": np.zeros((1, 1)), "y": np.zeros((2, 1))}
    for inputs in (crooked, crooked, {"x": np.zeros((1, 1)), "y": np.zeros((1, 1))}):
        source.submit(inputs)
    batches = [source.take(4, 0.0) for _ in range(3)]
    assert [len(batch.inputs) for batch in batches if batch is not None] == [1, 1, 1]


@pytest.mark.parametrize("output", [np.zeros((2, 1)), np.zeros((4, 1)), np.array(1.0), [1, 2]])
def test_rows_that_are_not_those_of_the_batch_are_nobodys(output: Array) -> None:
    with pytest.raises(ValueError, match=r"output 'y': \d rows for a batch of 3"):
        split({"y": output}, [one(), {"x": np.zeros((2, 1))}])


def test_a_single_request_takes_what_its_model_gives() -> None:
    given: Tensors = {"y": np.zeros((7, 1))}
    assert split(given, [one()]) == [given]


def test_answers_are_counted_before_they_are_given() -> None:
    source, seen = LiveSource(), list[int]()
    future = source.submit(one())

    def look(done: "Future[Tensors]") -> None:
        seen.append(source.counters().answered)

    future.add_done_callback(look)
    answer(source, source.take(1, 0.0))
    assert seen == [1]
