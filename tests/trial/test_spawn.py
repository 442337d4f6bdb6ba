"""What a child says on its way, and that it buys no time by saying it."""

import sys
import time
from pathlib import Path

import pytest

from autotune.records import Failed
from autotune.spec import ModelSpec, ServingConfig
from autotune.trial import wire
from autotune.trial.bench import Bench
from autotune.trial.spawn import Child

SHAPE = ServingConfig(replicas=3, intra_op_threads=1).session_shape
REQUEST = wire.Open(model=ModelSpec(path="model.onnx"), shape=SHAPE)
TALKER = """#!{python}
import sys, time
from multiprocessing.connection import Connection
from autotune.trial import wire
pipe = Connection(int(sys.argv[4]))
pipe.recv_bytes()
for number in range({count}):
    pipe.send_bytes(wire.encode(wire.Opening(opened=number, of={count})))
    time.sleep(0.02)
pipe.send_bytes(wire.encode(wire.Opened(load_s=1.0, nodes={{}})))
time.sleep(60)
"""


def talker(folder: Path, count: int) -> str:
    """A program that runs in the child's place and says so often how far it has come."""
    program = folder / "talker"
    program.write_text(TALKER.format(python=sys.executable, count=count))
    program.chmod(0o755)
    return str(program)


def test_news_of_the_loading_are_told_and_then_the_answer_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", talker(tmp_path, 3))
    told: list[wire.Opening] = []
    child = Child()
    try:
        reply = child.ask(REQUEST, 30.0, tell=told.append)
    finally:
        child.close()
    assert reply == wire.Opened(load_s=1.0, nodes={})
    assert told == [wire.Opening(opened=number, of=3) for number in range(3)]


def test_a_child_that_only_ever_talks_is_killed_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", talker(tmp_path, 3000))
    told: list[wire.Opening] = []
    child = Child()
    started_s = time.monotonic()
    reply = child.ask(REQUEST, 2.0, tell=told.append)
    assert isinstance(reply, Failed)
    assert reply.kind == "timeout"
    assert told
    assert time.monotonic() - started_s < 30
    assert not Path(f"/proc/{child.pid}").exists()


def test_each_session_of_a_shape_is_told_until_all_stand(mlp: Path) -> None:
    told: list[wire.Opening] = []
    with Bench(ModelSpec(path=str(mlp))) as bench:
        bench.report_to(told.append)
        assert isinstance(bench.idle_cpu_share(SHAPE, 0.01), float)
        bench.idle_cpu_share(SHAPE, 0.01)
    assert told == [wire.Opening(opened=number, of=3) for number in range(4)]


def test_a_shape_that_cannot_be_opened_is_told_as_over(tmp_path: Path) -> None:
    told: list[wire.Opening] = []
    with Bench(ModelSpec(path=str(tmp_path / "gone.onnx"))) as bench:
        bench.report_to(told.append)
        assert isinstance(bench.idle_cpu_share(SHAPE, 0.01), Failed)
    assert told[0] == wire.Opening(opened=0, of=3)
    assert told[-1] == wire.Opening(opened=3, of=3)
