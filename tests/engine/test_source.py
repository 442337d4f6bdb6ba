import math
import threading
import time

import numpy as np
import pytest

from autotune.engine.live_source import LiveSource
from autotune.engine.replica import start_replicas
from autotune.engine.source import ScheduleSource, Tensors, split, stack
from autotune.request_log import new_log

SAMPLES: list[Tensors] = [{"x": np.full((1, 2), i)} for i in range(3)]


def test_a_schedule_serves_every_request_once_in_order() -> None:
    log = new_log(4)
    source = ScheduleSource([0.0, 0.001, 0.002, 0.003], SAMPLES, log)
    for thread in start_replicas([lambda inputs: inputs] * 2, source, 1, 0.0):
        thread.join()
    assert (np.diff(log.started_s) >= 0).all()
    assert (log.finished_s >= log.started_s).all()
    assert (log.started_s >= log.claimed_s).all()
    assert (log.claimed_s >= log.ready_s).all()


def test_a_batch_takes_what_has_arrived_up_to_the_maximum() -> None:
    source = ScheduleSource([0.0] * 5, SAMPLES, new_log(5))
    sizes = [len(batch.inputs) for batch in iter(lambda: source.take(2, 0.0), None)]
    assert sizes == [2, 2, 1]


def test_a_batch_waits_for_company_until_its_timeout_counted_from_its_first_arrival() -> None:
    log = new_log(3)
    source = ScheduleSource([0.0, 0.02, 5.0], SAMPLES, log)
    batch = source.take(3, 0.05)
    assert batch is not None
    assert len(batch.inputs) == 2
    assert 0.05 <= log.elapsed_s < 1.0


def test_a_full_batch_does_not_wait() -> None:
    log = new_log(2)
    source = ScheduleSource([0.0, 0.0], SAMPLES, log)
    batch = source.take(2, 30.0)
    assert batch is not None
    assert len(batch.inputs) == 2
    assert log.elapsed_s < 5


def test_a_stopped_schedule_serves_what_was_due_before_and_nothing_after() -> None:
    arrivals_s = [0.0, 0.001, 0.02, 30.0]
    log = new_log(len(arrivals_s))
    source = ScheduleSource(arrivals_s, SAMPLES, log)
    threads = start_replicas([lambda inputs: inputs], source, 1, 0.0)
    time.sleep(0.05)
    log.stop(after_s=1.0)
    for thread in threads:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in threads)
    assert np.isnan(log.finished_s).tolist() == [False, False, False, True]


def test_an_abandoned_schedule_ends_with_requests_waiting() -> None:
    def slow(inputs: Tensors) -> Tensors:
        time.sleep(0.005)
        return inputs

    log = new_log(1000)
    threads = start_replicas([slow], ScheduleSource([0.0] * 1000, SAMPLES, log), 1, 0.0)
    time.sleep(0.05)
    log.stop(after_s=-math.inf)
    for thread in threads:
        thread.join(timeout=10)
    done = ~np.isnan(log.finished_s)
    assert 0 < done.sum() < 200
    assert done[: done.sum()].all()


def test_requests_of_other_shapes_close_a_batch_when_they_arrive() -> None:
    samples: list[Tensors] = [{"x": np.zeros((1, 2))}, {"x": np.zeros((1, 5))}]
    source = ScheduleSource([0.0] * 6, samples, new_log(6), order=[0, 0, 1, 0, 1, 1])
    sizes = [len(batch.inputs) for batch in iter(lambda: source.take(4, 0.05), None)]
    assert sizes[:3] == [2, 1, 1]


def test_the_order_says_which_sample_a_request_is() -> None:
    source = ScheduleSource([0.0] * 3, SAMPLES, new_log(3), order=[2, 2, 0])
    batch = source.take(3, 0.0)
    assert batch is not None
    assert [inputs["x"][0, 0] for inputs in batch.inputs] == [2, 2, 0]


def test_a_model_that_raises_ends_the_schedule_with_its_error() -> None:
    log = new_log(9)
    source = ScheduleSource([0.0] * 9, SAMPLES, log)

    def broken(inputs: Tensors) -> Tensors:
        raise ValueError("no such row")

    for thread in start_replicas([broken], source, 1, 0.0):
        thread.join()
    assert isinstance(source.error, ValueError)
    assert np.isnan(log.finished_s).all()


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
