import os
import time
from collections.abc import Iterator

import numpy as np
import pytest

from autotune.request_log import join_log, new_log, share_log


@pytest.fixture
def descriptor() -> Iterator[int]:
    opened = os.memfd_create("log")
    yield opened
    os.close(opened)


def test_two_mappings_of_one_file_see_each_others_writes(descriptor: int) -> None:
    parent, child = share_log(descriptor, 3), join_log(descriptor, 3)
    child.finished_s[1] = 0.5
    child.batch_size[2] = 4.0
    assert parent.finished_s[1] == 0.5
    assert parent.batch_size[2] == 4.0
    parent.stop(2.5)
    assert child.stop_after_s == 2.5
    child.start_clock()
    assert parent.elapsed_s == pytest.approx(child.elapsed_s, abs=0.1)


def test_columns_do_not_overlap(descriptor: int) -> None:
    parent, child = share_log(descriptor, 2), join_log(descriptor, 2)
    for number, column in enumerate(child):
        column[:] = [10 * number, 10 * number + 1]
    assert [column.tolist() for column in parent] == [
        [10 * number, 10 * number + 1] for number in range(6)
    ]


def test_a_blank_log_knows_nothing_and_stops_nothing(descriptor: int) -> None:
    for log in (share_log(descriptor, 3), new_log(3)):
        for column in log[1:]:
            assert np.isnan(column).all()
            assert column.shape == (3,)
        assert np.isnan(log.elapsed_s)
        assert log.stop_after_s == np.inf


@pytest.mark.parametrize("count", [5, 2])
def test_a_new_run_finds_nothing_of_the_last_however_long_it_was(
    descriptor: int, count: int
) -> None:
    last = share_log(descriptor, 3)
    last.finished_s[:] = 1.0
    last.start_clock()
    last.stop(-np.inf)
    log = share_log(descriptor, count)
    assert np.isnan(log.finished_s).all()
    assert np.isnan(log.elapsed_s)
    assert log.stop_after_s == np.inf


def test_the_clock_counts_from_its_start() -> None:
    log = new_log(1)
    log.start_clock()
    before_s = log.elapsed_s
    time.sleep(0.01)
    assert 0 <= before_s < before_s + 0.009 < log.elapsed_s < 60
