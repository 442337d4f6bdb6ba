import msgspec
import numpy as np
import pytest
from made import run_of

from autotune.spec import ServingConfig
from autotune.stats.service import REST_S, busy_with_room, executions_of, rested, service_states


def test_batches_are_told_apart_and_counted_once() -> None:
    run = msgspec.structs.replace(
        run_of([0.010] * 6),
        started_s=np.array([0.0, 0.0, 0.005, 0.020, 0.020, 0.020]),
        finished_s=np.array([0.010, 0.010, 0.015, 0.040, 0.040, 0.040]),
        batch_size=np.array([2.0, 2.0, 1.0, 3.0, 3.0, 3.0]),
    )
    found = executions_of([run])
    assert list(found.batch_size) == [2, 1, 3]
    assert list(found.busy) == [1, 2, 1]
    np.testing.assert_allclose(found.seconds, [0.010, 0.010, 0.020])


def test_a_batch_that_begins_as_another_ends_is_alone() -> None:
    run = msgspec.structs.replace(
        run_of([0.010] * 2), started_s=np.array([0.0, 0.01]), finished_s=np.array([0.01, 0.02])
    )
    assert list(executions_of([run]).busy) == [1, 1]


def test_states_are_the_typical_execution_most_frequent_first() -> None:
    started_s = np.arange(5) * 1.0
    run = msgspec.structs.replace(
        run_of([0.1] * 5),
        started_s=started_s,
        finished_s=started_s + np.array([0.1, 0.3, 0.2, 0.7, 0.5]),
        batch_size=np.array([1.0, 1.0, 1.0, 2.0, 2.0]),
    )
    first, second = service_states(executions_of([run, run]))
    assert (first.batch_size, first.busy, first.executions) == (1, 1, 6)
    assert (second.batch_size, second.executions) == (2, 4)
    np.testing.assert_allclose([first.median_s, second.median_s], [0.2, 0.6])


def test_states_say_how_rested_replicas_were() -> None:
    run = msgspec.structs.replace(
        run_of([0.1] * 2),
        ready_s=np.array([0.0, 0.9]),
        started_s=np.array([0.0, 1.0]),
        finished_s=np.array([0.9, 1.9]),
    )
    np.testing.assert_allclose(executions_of([run]).rest_s, [0.0, 0.1])
    (state,) = service_states(executions_of([run]))
    assert state.rested == pytest.approx(0.5, abs=1e-9)
    np.testing.assert_allclose(rested(np.array([0.0, REST_S, 9.0])), [0, 1 - np.exp(-1), 1])


def test_replicas_have_room_while_every_thread_has_a_core() -> None:
    two = ServingConfig(replicas=4, intra_op_threads=2).session_shape
    assert busy_with_room(two, cores=8, default_threads=8) == 4
    assert busy_with_room(two, cores=2, default_threads=2) == 1
    assert busy_with_room(ServingConfig().session_shape, cores=2, default_threads=4) == 1


def test_no_runs_served_nothing() -> None:
    assert service_states(executions_of([run_of([])])) == []
