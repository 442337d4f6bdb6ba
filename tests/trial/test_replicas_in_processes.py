"""Replicas in processes of their own, measured as those in threads are."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from below import environment, measured, workers

from autotune.outcome import Measured, ServiceTimes
from autotune.probes.files import read_table
from autotune.records import Failed
from autotune.spec import ModelSpec, ServingConfig, SessionShape
from autotune.trial.bench import Bench
from autotune.trial.wire import ClosedLoop, Opening

TWO = ServingConfig(
    replicas=2, intra_op_threads=1, spinning=False, replicas_as="processes", max_batch_size=4
)
THREADS = ServingConfig(replicas=2, intra_op_threads=1, spinning=False, max_batch_size=4)
SAMPLE = ClosedLoop(busy=1, batch_size=32, duration_s=0.1, min_runs=5)


def gone(pids: list[int]) -> bool:
    """Whether all have ended: those whose parent was killed do so by themselves, soon."""
    deadline_s = time.monotonic() + 10
    while (alive := [pid for pid in pids if Path(f"/proc/{pid}").exists()]) and (
        time.monotonic() < deadline_s
    ):
        time.sleep(0.02)
    return not alive


def test_a_schedule_is_served_and_checked_over_processes(mlp: Path) -> None:
    told: list[Opening] = []
    with Bench(ModelSpec(path=str(mlp))) as bench:
        assert bench.inspect().outputs_checked
        bench.report_to(told.append)
        outcome = measured(bench, TWO)
        pids = workers()
        peaks = [1024 * read_table(Path(f"/proc/{pid}/status"))["VmHWM"] for pid in pids]
    assert isinstance(outcome, Measured)
    assert outcome.lost == 0
    assert outcome.served > 20
    assert told == [Opening(opened=number, of=2) for number in range(3)]
    # Each worker has the runtime for itself, and the child has it, too.
    assert outcome.peak_memory_bytes > 1.2 * sum(peaks) > 0
    assert len(pids) == 2
    assert gone(pids)


def test_the_cpu_time_of_workers_is_the_childs_own(mlp: Path) -> None:
    with Bench(ModelSpec(path=str(mlp))) as bench:
        sample = bench.service_times(TWO.session_shape, SAMPLE, timeout_s=30)
        outcome = measured(bench, TWO)
        idle = bench.idle_cpu_share(TWO.session_shape, 0.3)
    assert isinstance(sample, ServiceTimes)
    assert sample.cpu_s > 0.5 * sample.seconds.min()
    assert isinstance(outcome, Measured)
    assert outcome.cpu_s > 0.5 * outcome.served * sample.seconds.min() / SAMPLE.batch_size
    assert isinstance(idle, float)
    assert idle < 0.2
    # What the workers used is not taken for the work of strangers.
    share = outcome.cpu_s / outcome.duration_s
    assert outcome.disturbance.other_cpu_share is not None
    assert outcome.disturbance.other_cpu_share + share <= outcome.disturbance.cpus + 0.2


def test_workers_of_one_shape_are_gone_when_the_next_is_profiled(mlp: Path) -> None:
    three = ServingConfig(replicas=3, intra_op_threads=1, replicas_as="processes").session_shape
    with Bench(ModelSpec(path=str(mlp))) as bench:
        bench.service_times(three, SAMPLE, timeout_s=30)
        first = workers()
        bench.service_times(TWO.session_shape, SAMPLE, timeout_s=30)
        second = workers()
        bench.service_times(THREADS.session_shape, SAMPLE, timeout_s=30)
        assert workers() == []
    assert len(first) == 3
    assert len(second) == 2
    assert not set(first) & set(second)


def test_a_worker_that_dies_is_a_failed_trial_and_the_bench_goes_on(mlp: Path) -> None:
    with Bench(ModelSpec(path=str(mlp))) as bench:
        assert isinstance(measured(bench, TWO), Measured)
        os.kill(workers()[0], signal.SIGKILL)
        outcome = measured(bench, TWO)
        assert isinstance(outcome, Failed)
        assert outcome.kind == "out_of_memory"
        assert "SIGKILL" in outcome.detail
        assert isinstance(measured(bench, TWO), Measured)


def test_a_model_that_workers_cannot_load_is_a_failed_trial(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_text("not a model")
    with Bench(ModelSpec(path=str(path))) as bench:
        outcome = measured(bench, TWO)
    assert isinstance(outcome, Failed)
    assert outcome.kind == "load_error"
    assert outcome.detail.startswith(f"{path}: is not an ONNX model")


def spinning(spins: bool) -> SessionShape:
    return ServingConfig(intra_op_threads=2, spinning=spins).session_shape


@pytest.mark.parametrize("name", ["model.onnx", "maybe_torch"])
def test_a_process_is_used_again_by_shapes_with_the_same_environment(
    mlp: Path, tmp_path: Path, name: str
) -> None:
    path = shutil.copy(mlp, tmp_path / name)
    children: list[tuple[int, dict[str, str]]] = []
    with Bench(ModelSpec(path=str(path))) as bench:
        for shape in (THREADS.session_shape, spinning(True), spinning(False)):
            assert isinstance(bench.service_times(shape, SAMPLE, timeout_s=30), ServiceTimes)
            assert bench._profiler is not None
            pid = bench._profiler.child.pid
            children.append((pid, environment(pid)))
    lone, spin, calm = children
    assert lone == spin  # a lone thread has none to wait for
    for _, variables in children:
        assert variables.get("OMP_NUM_THREADS") == os.environ.get("OMP_NUM_THREADS")
    if name == "model.onnx":
        assert spin == calm
        return
    assert spin[0] != calm[0]
    assert calm[1]["OMP_WAIT_POLICY"] == "PASSIVE"
    assert spin[1].get("OMP_WAIT_POLICY") == os.environ.get("OMP_WAIT_POLICY")
    # What is compiled is shared by all children, and gone with the bench.
    assert spin[1]["TORCHINDUCTOR_CACHE_DIR"] == calm[1]["TORCHINDUCTOR_CACHE_DIR"]
    assert not Path(calm[1]["TORCHINDUCTOR_CACHE_DIR"]).exists()
