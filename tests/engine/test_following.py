"""A step of a chain: it executes what the step before answered."""

import os
import time
from collections.abc import Iterator

import numpy as np
import pytest

from autotune.engine.following import Feed, FollowingSource
from autotune.engine.replica import start_replicas
from autotune.engine.source import ScheduleSource, Tensors
from autotune.request_log import RequestLog, new_log

SAMPLES: list[Tensors] = [{"x": np.full((1, 2), i)} for i in range(3)]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe2(os.O_NONBLOCK)
    yield read, write
    os.close(read)
    os.close(write)


def following(log: RequestLog, read: int, per_request: int = 1) -> FollowingSource:
    count = len(log.finished_s)
    return FollowingSource(count, SAMPLES, log, [0] * count, (read, per_request))


def test_each_answer_of_the_step_before_is_executed_so_many_times(pipe: tuple[int, int]) -> None:
    before, log = new_log(3), new_log(6)
    source = following(log, pipe[0], per_request=2)
    first = ScheduleSource([0.0, 0.01, 0.02], SAMPLES, before)
    first.feed = Feed(pipe[1])
    threads = start_replicas([lambda inputs: inputs] * 2, source, 1, 0.0)
    threads += start_replicas([lambda inputs: inputs], first, 1, 0.0)
    for thread in threads:
        thread.join(timeout=10)
    assert not np.isnan(log.finished_s).any()
    started = before.control[0] + before.finished_s
    assert (log.control[0] + log.started_s >= np.repeat(started, 2)).all()


def test_what_was_answered_at_once_is_executed_together(pipe: tuple[int, int]) -> None:
    source = following(new_log(5), pipe[0])
    Feed(pipe[1]).tell(time.perf_counter(), 5)
    sizes = [len(batch.inputs) for batch in iter(lambda: source.take(4, 0.0), None)]
    assert sizes == [4, 1]


def test_a_batch_waits_for_company_no_longer_than_its_timeout(pipe: tuple[int, int]) -> None:
    log = new_log(2)
    source = following(log, pipe[0])
    Feed(pipe[1]).tell(time.perf_counter(), 1)
    batch = source.take(2, 0.05)
    assert batch is not None
    assert len(batch.inputs) == 1
    assert 0.05 <= log.elapsed_s < 1.0


def test_a_run_that_is_stopped_ends_though_nothing_comes(pipe: tuple[int, int]) -> None:
    log = new_log(2)
    source = following(log, pipe[0])
    log.stop(after_s=0.0)
    assert source.take(1, 0.0) is None


def test_a_step_that_is_too_far_behind_ends_the_run(pipe: tuple[int, int]) -> None:
    source = ScheduleSource([0.0] * 100_000, SAMPLES, new_log(100_000))
    source.feed = Feed(pipe[1])
    for thread in start_replicas([lambda inputs: inputs], source, 1, 0.0):
        thread.join(timeout=30)
    assert isinstance(source.error, BlockingIOError)
