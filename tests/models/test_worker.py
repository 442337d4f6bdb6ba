"""Replicas in real processes: what they answer, what they refuse, and how they end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import save, value
from onnx import TensorProto, helper

from autotune.engine.assembly import OwnBuffers, own_buffers
from autotune.engine.live import LiveEngine
from autotune.engine.source import Tensors
from autotune.errors import ModelError
from autotune.models.loading import open_replica
from autotune.models.replicas import Replicas, open_replicas
from autotune.models.worker import RemoteReplica, ReplicaDiedError, ReplicaError
from autotune.spec import ModelSpec, ServingConfig, SessionShape

Opens = Callable[[Path, int], list[RemoteReplica]]


def shape_of(replicas: int) -> SessionShape:
    config = ServingConfig(
        replicas=replicas, intra_op_threads=1, spinning=False, replicas_as="processes"
    )
    return config.session_shape


@pytest.fixture
def opens() -> Iterator[Opens]:
    """Open replicas in processes of their own, and close them in the end."""
    opened: list[Replicas] = []

    def start(path: Path, count: int) -> list[RemoteReplica]:
        opened.append(open_replicas(ModelSpec(path=str(path)), shape_of(count)))
        return opened[-1].workers

    yield start
    for replicas in opened:
        replicas.close()


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def comes_true(condition: Callable[[], bool], within_s: float = 10.0) -> bool:
    deadline_s = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return condition()


def rows(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal((count, 256)).astype(np.float32)


def test_a_worker_gives_the_answers_of_a_replica_here_whatever_the_batch(
    mlp: Path, opens: Opens
) -> None:
    (worker,) = opens(mlp, 1)
    here = open_replica(ModelSpec(path=str(mlp)), shape_of(1)).infer
    for count in (1, 700, 3, 0):  # grows the memory of inputs and outputs, and shrinks its use
        inputs = {"x": rows(count, seed=count)}
        np.testing.assert_allclose(worker(inputs)["y"], here(inputs)["y"], rtol=1e-5, atol=1e-6)


def test_an_answer_stays_when_the_next_comes(mlp: Path, opens: Opens) -> None:
    (worker,) = opens(mlp, 1)
    first = worker({"x": rows(1, 1)})["y"]
    before = first.copy()
    worker({"x": rows(1, 2)})
    np.testing.assert_array_equal(first, before)


def test_inputs_may_be_strided_and_of_several_types(stateful: Path, opens: Opens) -> None:
    (worker,) = opens(stateful, 1)
    here = open_replica(ModelSpec(path=str(stateful)), shape_of(1)).infer
    wide = np.arange(128, dtype=np.float32).reshape(1, 128) / 128
    inputs: Tensors = {
        "x": wide[:, ::2],
        "h": np.asfortranarray(wide[:, 64:]),
        "s": np.array(2, np.float32),
    }
    plain = {
        name: np.ascontiguousarray(array).reshape(array.shape) for name, array in inputs.items()
    }
    assert worker(inputs).keys() == {"y", "next"}
    np.testing.assert_allclose(worker(inputs)["y"], here(plain)["y"], rtol=1e-6)


def test_texts_travel_both_ways(tmp_path: Path, opens: Opens) -> None:
    path = save(
        tmp_path / "texts.onnx",
        [helper.make_node("Identity", ["t"], ["u"]), helper.make_node("Identity", ["x"], ["y"])],
        [value("t", ["batch", 2], TensorProto.STRING), value("x", ["batch"], TensorProto.INT64)],
        [value("u", ["batch", 2], TensorProto.STRING), value("y", ["batch"], TensorProto.INT64)],
    )
    (worker,) = opens(path, 1)
    texts = np.array([["a", "ä"], ["", "long" * 20_000]], dtype=object)
    answer = worker({"t": texts, "x": np.array([1, 2])})
    assert list(answer) == ["u", "y"]
    assert answer["u"].tolist() == texts.tolist()
    assert answer["y"].tolist() == [1, 2]


def test_sequences_of_tensors_come_back_as_such(tmp_path: Path, opens: Opens) -> None:
    sequence = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    path = save(
        tmp_path / "sequence.onnx",
        [helper.make_node("SplitToSequence", ["x"], ["y"], axis=0)],
        [value("x", ["batch", 2])],
        [sequence],
    )
    (worker,) = opens(path, 1)
    parts = worker({"x": np.array([[1, 2], [3, 4]], np.float32)})["y"]
    assert [part.tolist() for part in parts] == [[[1, 2]], [[3, 4]]]


def test_batches_are_put_together_in_the_shared_memory(mlp: Path, opens: Opens) -> None:
    (worker,) = opens(mlp, 1)
    assert isinstance(own_buffers(worker), OwnBuffers)
    like = {"x": rows(1)}
    buffers = worker.buffers(like, 8)
    buffers["x"][:8] = rows(8)
    whole = worker({"x": rows(8)})["y"]
    np.testing.assert_array_equal(worker(buffers)["y"], whole)
    np.testing.assert_array_equal(worker({"x": buffers["x"][:3]})["y"].shape, (3, 256))
    # Found where they lie: writing to them changes what the worker sees, and nothing is copied.
    buffers["x"][:] = 0
    assert not worker(buffers)["y"].any()
    assert worker._inputs.find(buffers["x"]) is not None
    assert worker._inputs.find(buffers["x"][::2]) is None
    assert worker._inputs.find(like["x"]) is None


def test_what_is_copied_in_does_not_touch_a_batch_that_lies_there(mlp: Path, opens: Opens) -> None:
    (worker,) = opens(mlp, 1)
    buffers = worker.buffers({"x": rows(1)}, 4)
    buffers["x"][:] = rows(4)
    for count in (2, 1000):  # the second makes the memory grow
        worker({"x": rows(count)})
        np.testing.assert_array_equal(buffers["x"], rows(4))


def test_the_engine_serves_with_workers(mlp: Path, opens: Opens) -> None:
    workers = opens(mlp, 2)
    requests = [{"x": rows(1, seed)} for seed in range(40)]
    expected = [workers[0](request)["y"] for request in requests]
    with LiveEngine(workers, max_batch_size=4, batch_timeout_s=0.01) as engine:
        answers = [future.result() for future in [engine.submit(one) for one in requests]]
    for answer, wanted in zip(answers, expected, strict=True):
        np.testing.assert_allclose(answer["y"], wanted, rtol=1e-4, atol=1e-5)


def test_an_error_of_the_model_is_raised_here_and_the_worker_goes_on(
    mlp: Path, opens: Opens
) -> None:
    (worker,) = opens(mlp, 1)
    with pytest.raises(ReplicaError, match="Got: 7 Expected: 256"):
        worker({"x": np.zeros((1, 7), np.float32)})
    with pytest.raises(ReplicaError, match="x"):
        worker({})
    assert worker({"x": rows(1)})["y"].shape == (1, 256)


def test_a_model_that_cannot_be_loaded_is_a_model_error_and_leaves_no_process(
    tmp_path: Path,
) -> None:
    path = tmp_path / "broken.onnx"
    path.write_text("not a model")
    with pytest.raises(ModelError, match="is not an ONNX model"):
        open_replicas(ModelSpec(path=str(path)), shape_of(2))
    listing = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True)
    mine = [line for line in listing.stdout.splitlines() if line.split()[0] == str(os.getpid())]
    assert not [line for line in mine if "worker_main" in line]


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGKILL, "out_of_memory"), (signal.SIGSEGV, "crash")]
)
def test_a_worker_that_dies_is_told_with_what_killed_it(
    mlp: Path, opens: Opens, number: signal.Signals, kind: str
) -> None:
    dead, alive = opens(mlp, 2)
    os.kill(dead.pid, number)
    for _ in range(2):  # it stays dead
        with pytest.raises(ReplicaDiedError, match=number.name) as caught:
            dead({"x": rows(1)})
        assert caught.value.failed.kind == kind
    assert alive({"x": rows(1)})["y"].shape == (1, 256)


def test_a_worker_that_dies_while_it_runs_ends_the_wait(mlp: Path, opens: Opens) -> None:
    (worker,) = opens(mlp, 1)
    os.kill(worker.pid, signal.SIGSTOP)
    timer = threading.Timer(0.2, os.kill, (worker.pid, signal.SIGKILL))
    timer.start()
    with pytest.raises(ReplicaDiedError, match="SIGKILL"):
        worker({"x": rows(1)})
    timer.join()


def test_replicas_are_told_as_they_stand_and_closed_for_good(mlp: Path) -> None:
    told: list[int] = []
    replicas = open_replicas(ModelSpec(path=str(mlp)), shape_of(2), told.append)
    assert told == [1, 2]
    assert [one.name for one in replicas.inputs] == ["x"]
    assert len(set(replicas.pids)) == 2
    replicas.close()
    replicas.close()
    assert all(map(gone, replicas.pids))


def test_replicas_as_threads_have_no_process(mlp: Path) -> None:
    config = ServingConfig(replicas=2, intra_op_threads=1)
    replicas = open_replicas(ModelSpec(path=str(mlp)), config.session_shape)
    assert replicas.pids == []
    assert len(replicas.infers) == 2
    assert [one.name for one in replicas.inputs] == ["x"]


def test_workers_outlive_the_thread_that_started_them_but_not_the_process(mlp: Path) -> None:
    script = (
        "import sys, threading, time\n"
        "from autotune.models.replicas import open_replicas\n"
        "from autotune.spec import ModelSpec, ServingConfig\n"
        "shape = ServingConfig(replicas_as='processes', intra_op_threads=1).session_shape\n"
        "opened = []\n"
        "def start():\n"
        "    opened.append(open_replicas(ModelSpec(path=sys.argv[1]), shape).workers[0])\n"
        "thread = threading.Thread(target=start)\n"
        "thread.start()\n"
        "start()\n"
        "thread.join()\n"
        "time.sleep(0.3)\n"
        "print(*(one.pid for one in opened if one._process.poll() is None), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(mlp)], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    assert comes_true(lambda: all(map(gone, pids)))
