"""Real replicas, in this process and in others, that take over from each other under load."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from engine_under_faults import held, value_of, write_model

from autotune.engine import follow
from autotune.engine.follow import Level, Rule
from autotune.engine.live import Admission, LiveEngine
from autotune.engine.source import Tensors
from autotune.models import live_replicas
from autotune.models.live_replicas import LiveReplicas, open_following
from autotune.spec import ModelSpec, ServingConfig

PATIENCE_S = 60.0
PROCESSES = [
    Level(
        100.0 * replicas,
        ServingConfig(
            replicas=replicas,
            intra_op_threads=1,
            spinning=False,
            max_batch_size=2,
            replicas_as="processes",
        ),
    )
    for replicas in (1, 2)
]


def one(number: int) -> Tensors:
    return {"x": np.full((1, 1), number)}


def serve_until(engine: LiveEngine, numbers: range, done: Callable[[], bool]) -> None:
    for number in numbers:
        answer = engine.submit(one(number)).result(timeout=PATIENCE_S)
        np.testing.assert_array_equal(answer["y"], value_of(one(number)["x"]))
        if done():
            return
    raise AssertionError("it took too long")


def test_processes_take_over_die_while_they_stand_by_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = 0
    monkeypatch.setattr(follow.Chooser, "choose", lambda *arguments: wanted)
    opened = list[LiveReplicas]()

    class Noted(LiveReplicas):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            opened.append(self)

    monkeypatch.setattr(live_replicas, "LiveReplicas", Noted)
    spec = ModelSpec(path=str(write_model(tmp_path)))
    before = held()
    first, following = open_following(spec, PROCESSES, 0)
    following = following._replace(rule=Rule(tick_s=0.01))
    admission, upkeep = Admission(names=first.names), first.prepared.upkeep
    # The list of its replicas is the engine's alone: who holds one that died keeps its memory.
    with LiveEngine(first.infers, 2, 0.0, admission, upkeep, following) as engine:
        wanted = 1
        serve_until(engine, range(100_000), lambda: len(engine.switches()) == 1)
        os.kill(opened[0].pids[0], signal.SIGKILL)
        serve_until(engine, range(20), lambda: True)
        wanted = 0
        serve_until(engine, range(100_000), lambda: len(engine.switches()) == 2)
        serve_until(engine, range(100_000), lambda: engine.counters().replicas_replaced == 1)
        there, back = engine.switches()
        assert there.prepare_s > 0
        assert back.prepare_s == 0
        wanted = 1  # and the end comes in the middle of it
    assert [one.infers for one in opened] == [[], []]
    assert held() == before


def test_what_cannot_warm_up_is_closed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(replicas: LiveReplicas, batch_sizes: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(LiveReplicas, "warm_up", fail)
    before = held()
    with pytest.raises(MemoryError, match="no room"):
        open_following(ModelSpec(path=str(write_model(tmp_path))), PROCESSES, 0)
    assert held() == before


def test_replicas_are_warmed_with_every_size_that_matters(
    mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[int]] = []
    monkeypatch.setattr(LiveReplicas, "warm_up", lambda replicas, sizes: seen.append(set(sizes)))
    config = ServingConfig(intra_op_threads=1, spinning=False)
    batching = ServingConfig(
        intra_op_threads=1, spinning=False, max_batch_size=4, batch_timeout_ms=1.0
    )
    two = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
    levels = [Level(10.0, config), Level(20.0, batching), Level(30.0, two)]
    first, following = open_following(ModelSpec(path=str(mlp)), levels, 0)
    following.prepare(two.session_shape).upkeep.close()
    first.close()
    assert seen == [{1, 4}, {1}]


def test_warming_up_executes_each_replica_with_each_size(mlp: Path) -> None:
    config = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
    replicas = LiveReplicas(ModelSpec(path=str(mlp)), config.session_shape)
    rows: list[int] = []

    def noted(inputs: Tensors) -> Tensors:
        rows.append(len(inputs["x"]))
        return inputs

    replicas._here = [noted, noted]
    replicas.warm_up([4, 1])
    replicas.close()
    assert rows == [1] * 6 + [4] * 6
