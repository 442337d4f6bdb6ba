"""Replicas of an engine in real processes, which are killed and opened again."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_under_faults import held, value_of, write_model

from autotune.engine.errors import EngineClosedError
from autotune.engine.group import Upkeep
from autotune.engine.live import Admission, LiveEngine
from autotune.engine.source import Tensors
from autotune.models.live_replicas import LiveReplicas
from autotune.models.worker import ReplicaDiedError
from autotune.spec import ModelSpec, ServingConfig

PATIENCE_S = 60.0


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[LiveReplicas]:
    config = ServingConfig(intra_op_threads=1, spinning=False, replicas_as="processes")
    before = held()
    opened = LiveReplicas(ModelSpec(path=str(write_model(tmp_path))), config.session_shape)
    yield opened
    opened.close()
    assert opened.infers == []
    assert held() == before


def one(number: int) -> Tensors:
    return {"x": np.full((1, 1), number)}


def open_engine(replicas: LiveReplicas) -> LiveEngine:
    upkeep = Upkeep(replicas.reopen, replicas.kill, replicas.close)
    return LiveEngine(replicas.infers, 4, 0.001, Admission(names=replicas.names), upkeep)


def test_a_process_that_is_killed_is_replaced_and_no_answer_is_lost(
    replicas: LiveReplicas,
) -> None:
    with open_engine(replicas) as engine:
        (killed,) = replicas.pids
        for number in range(8):
            if number == 3:
                os.kill(killed, signal.SIGKILL)
            answer = engine.submit(one(number)).result(timeout=PATIENCE_S)
            np.testing.assert_array_equal(answer["y"], value_of(one(number)["x"]))
        assert replicas.pids != [killed]
        assert engine.counters().replicas_replaced == 1


def test_a_close_without_patience_ends_a_process_that_does_not_answer(
    replicas: LiveReplicas,
) -> None:
    before = set(threading.enumerate())
    engine = open_engine(replicas)
    os.kill(replicas.pids[0], signal.SIGSTOP)
    future = engine.submit(one(1))
    engine.close(timeout_s=0.05)
    with pytest.raises(EngineClosedError):
        future.result(timeout=0)
    assert not set(threading.enumerate()) - before
    with pytest.raises(EngineClosedError):
        replicas.reopen(0)


def test_a_replica_that_loads_can_be_killed(replicas: LiveReplicas) -> None:
    raised: list[BaseException] = []

    def reopen() -> None:
        try:
            replicas.reopen(0)
        except ReplicaDiedError as error:
            raised.append(error)

    (first,) = replicas.pids
    thread = threading.Thread(target=reopen)
    thread.start()
    while replicas.pids == [first]:
        thread.join(timeout=0.001)
    replicas.kill()
    thread.join(timeout=PATIENCE_S)
    assert not thread.is_alive()
    assert len(raised) == 1


def test_replicas_in_this_process_have_none_to_kill(mlp: Path) -> None:
    config = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
    here = LiveReplicas(ModelSpec(path=str(mlp)), config.session_shape)
    assert (len(here.infers), here.pids, here.names) == (2, [], ["x"])
    assert not here.in_processes
    here.kill()
    here.close()
    assert here.infers == []
