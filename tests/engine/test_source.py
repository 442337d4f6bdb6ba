import threading
import time

import numpy as np
import pytest

from autotune.engine.replica import start_replicas
from autotune.engine.source import LiveSource, ScheduleSource, Tensors, split, stack
from autotune.spec import GiveUp

NEVER = GiveUp(delay_s=60, hold_s=60)
SAMPLES: list[Tensors] = [{"x": np.full((1, 2), i)} for i in range(3)]


def test_a_schedule_serves_every_request_once_in_order() -> None:
    source = ScheduleSource([0.0, 0.001, 0.002, 0.003], SAMPLES, NEVER)
    for thread in start_replicas([lambda inputs: inputs] * 2, source, 1, 0.0):
        thread.join()
    assert sorted(record.first for record in source.records) == [0, 1, 2, 3]
    assert not source.diverged


def test_a_batch_takes_what_has_arrived_up_to_the_maximum() -> None:
    source = ScheduleSource([0.0] * 5, SAMPLES, NEVER)
    sizes = [len(batch.inputs) for batch in iter(lambda: source.take(2, 0.0), None)]
    assert sizes == [2, 2, 1]


def test_a_batch_waits_for_company_until_its_timeout_counted_from_its_first_arrival() -> None:
    source = ScheduleSource([0.0, 0.02, 5.0], SAMPLES, NEVER)
    source.restart_clock()
    batch = source.take(3, 0.05)
    assert batch is not None
    assert len(batch.inputs) == 2
    assert 0.05 <= source.elapsed_s() < 1.0


def test_a_full_batch_does_not_wait() -> None:
    source = ScheduleSource([0.0, 0.0], SAMPLES, NEVER)
    source.restart_clock()
    batch = source.take(2, 30.0)
    assert batch is not None
    assert len(batch.inputs) == 2
    assert source.elapsed_s() < 5


def test_a_growing_queue_is_given_up() -> None:
    source = ScheduleSource(
        [i * 0.001 for i in range(1000)], SAMPLES, GiveUp(delay_s=0.02, hold_s=0.05)
    )

    def slow(inputs: Tensors) -> Tensors:
        time.sleep(0.005)
        return inputs

    source.restart_clock()
    for thread in start_replicas([slow], source, 1, 0.0):
        thread.join()
    assert source.diverged
    assert 0 < len(source.records) < 200


def test_a_model_that_raises_ends_the_schedule_with_its_error() -> None:
    source = ScheduleSource([0.0] * 9, SAMPLES, NEVER)

    def broken(inputs: Tensors) -> Tensors:
        raise ValueError("no such row")

    for thread in start_replicas([broken], source, 1, 0.0):
        thread.join()
    assert isinstance(source.error, ValueError)
    assert source.records == []


def test_each_live_request_gets_its_own_rows_back() -> None:
    source = LiveSource()
    futures = [source.submit({"x": np.full((rows, 2), rows)}) for rows in (1, 3, 2)]
    source.close()
    for thread in start_replicas([lambda inputs: inputs], source, 8, 0.0):
        thread.join()
    for rows, future in zip((1, 3, 2), futures, strict=True):
        np.testing.assert_array_equal(future.result()["x"], np.full((rows, 2), rows))


def test_live_requests_of_other_shapes_are_not_stacked() -> None:
    source = LiveSource()
    for width in (2, 2, 5):
        source.submit({"x": np.zeros((1, width))})
    first, second = source.take(8, 10.0), source.take(8, 0.0)
    assert first is not None
    assert second is not None
    assert [len(first.inputs), len(second.inputs)] == [2, 1]


def test_a_live_error_reaches_its_requests_and_the_engine_goes_on() -> None:
    source = LiveSource()

    def picky(inputs: Tensors) -> Tensors:
        if inputs["x"][0, 0] < 0:
            raise ValueError("negative")
        return inputs

    bad, good = (source.submit({"x": np.full((1, 1), sign)}) for sign in (-1, 1))
    source.close()
    for thread in start_replicas([picky], source, 1, 0.0):
        thread.join()
    with pytest.raises(ValueError, match="negative"):
        bad.result()
    assert good.result()["x"] == 1


def test_a_cancelled_request_is_not_executed() -> None:
    source, seen = LiveSource(), []
    futures = [source.submit({"x": np.full((1, 1), i)}) for i in range(3)]
    assert futures[1].cancel()
    source.close()

    def remember(inputs: Tensors) -> Tensors:
        seen.append(int(inputs["x"][0, 0]))
        return inputs

    for thread in start_replicas([remember], source, 1, 0.0):
        thread.join()
    assert seen == [0, 2]


def test_closing_wakes_idle_replicas_and_refuses_requests() -> None:
    source = LiveSource()
    threads = start_replicas([lambda inputs: inputs] * 3, source, 1, 0.0)
    source.close()
    for thread in threads:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in threads)
    assert threading.active_count() >= 1
    with pytest.raises(RuntimeError, match="closed"):
        source.submit({})


def test_split_undoes_stack() -> None:
    requests: list[Tensors] = [{"x": np.arange(rows * 2).reshape(rows, 2)} for rows in (2, 1, 4)]
    for request, back in zip(requests, split(stack(requests), requests), strict=True):
        np.testing.assert_array_equal(request["x"], back["x"])
