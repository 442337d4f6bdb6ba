import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from autotune.arrivals import Traffic, draw
from autotune.errors import ModelError
from autotune.outcome import Measured, ServiceTimes
from autotune.records import Failed
from autotune.spec import ModelSpec, ServingConfig, Slo, TrialSpec
from autotune.stats.judge import Judge
from autotune.trial import watch as watch_module
from autotune.trial.bench import Bench
from autotune.trial.wire import ClosedLoop

TWO = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)


def trial(load_rps: float = 200, duration_s: float = 0.5, config: ServingConfig = TWO) -> TrialSpec:
    arrivals_s = draw(Traffic(load_rps=load_rps), duration_s, (1,))
    return TrialSpec(config=config, arrivals_s=arrivals_s.tolist(), grace_s=0.2)


def children() -> list[str]:
    command = ["ps", "-wweo", "ppid,args"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True)
    mine = [line.split(maxsplit=1) for line in listing.stdout.splitlines()]
    return [args for ppid, args in mine if ppid == str(os.getpid()) and "trial.child" in args]


def test_every_request_of_the_schedule_is_logged_with_consistent_times(mlp: Path) -> None:
    spec = trial()
    with Bench(ModelSpec(path=str(mlp))) as bench:
        outcome = bench.measure(spec)
    assert isinstance(outcome, Measured)
    np.testing.assert_array_equal(outcome.scheduled_s, spec.arrivals_s)
    assert (outcome.claimed_s >= outcome.scheduled_s).all()
    assert (outcome.started_s >= outcome.claimed_s).all()
    assert (outcome.finished_s > outcome.started_s).all()
    assert outcome.lost == 0
    assert outcome.cpu_s > 0
    assert children() == []


def test_batches_are_formed_and_counted(mlp: Path) -> None:
    config = ServingConfig(intra_op_threads=1, max_batch_size=4, batch_timeout_ms=20.0)
    with Bench(ModelSpec(path=str(mlp))) as bench:
        outcome = bench.measure(trial(load_rps=400, config=config))
    assert isinstance(outcome, Measured)
    assert 1 < outcome.batch_size.mean() <= 4


def test_a_queue_that_grows_without_end_is_stopped_early_and_its_rest_is_lost(mlp: Path) -> None:
    spec = trial(load_rps=50_000, duration_s=5.0)
    with Bench(ModelSpec(path=str(mlp))) as bench:
        outcome = bench.measure(spec, Judge(Slo(latency_ms=20), load_rps=50_000))
    assert isinstance(outcome, Measured)
    assert outcome.diverged
    assert outcome.duration_s < 3.0
    assert 0 < outcome.lost < len(spec.arrivals_s) - outcome.served


def test_what_is_unserved_long_after_the_last_arrival_is_lost(mlp: Path) -> None:
    spec = trial(load_rps=20_000, duration_s=1.0)
    with Bench(ModelSpec(path=str(mlp))) as bench:
        outcome = bench.measure(spec)
    assert isinstance(outcome, Measured)
    assert outcome.lost == len(spec.arrivals_s) - outcome.served > 0


def test_a_proven_pass_ends_the_run_and_loses_nothing(mlp: Path) -> None:
    spec = trial(load_rps=400, duration_s=30.0)
    with Bench(ModelSpec(path=str(mlp))) as bench:
        outcome = bench.measure(spec, Judge(Slo(latency_ms=2000), load_rps=400))
    assert isinstance(outcome, Measured)
    assert (outcome.lost, outcome.diverged) == (0, False)
    assert outcome.duration_s < 20.0
    assert outcome.served < len(spec.arrivals_s)


def test_a_proven_fail_ends_the_run(mlp: Path) -> None:
    spec = trial(load_rps=100, duration_s=30.0)
    with Bench(ModelSpec(path=str(mlp))) as bench:
        outcome = bench.measure(spec, Judge(Slo(latency_ms=0.001), load_rps=100))
    assert isinstance(outcome, Measured)
    assert not outcome.diverged
    assert outcome.duration_s < 5.0


def test_the_parts_of_a_latency_add_up_to_it(mlp: Path) -> None:
    config = ServingConfig(intra_op_threads=1, max_batch_size=4, batch_timeout_ms=5.0)
    with Bench(ModelSpec(path=str(mlp))) as bench:
        outcome = bench.measure(trial(load_rps=1000, config=config))
    assert isinstance(outcome, Measured)
    parts = (
        outcome.queueing_s,
        outcome.issue_lateness_s,
        outcome.batch_wait_s,
        outcome.service_s,
    )
    for part in parts:
        assert (part >= 0).all()
    np.testing.assert_allclose(sum(parts), outcome.latency_s, atol=1e-9)
    assert outcome.unqueued.any()
    assert not outcome.unqueued.all()
    assert outcome.disturbance.seconds > 0.4


def test_sessions_that_spin_use_cpu_while_idle(mlp: Path) -> None:
    spins = ServingConfig(intra_op_threads=2, spinning=True).session_shape
    with Bench(ModelSpec(path=str(mlp))) as bench:
        idle = bench.idle_cpu_share(TWO.session_shape, 0.3)
        spinning = bench.idle_cpu_share(spins, 0.3)
    assert isinstance(idle, float)
    assert isinstance(spinning, float)
    assert 0 <= idle < spinning


def test_one_shape_is_loaded_once(mlp: Path) -> None:
    with Bench(ModelSpec(path=str(mlp))) as bench:
        assert not bench.is_warm(TWO)
        bench.measure(trial(duration_s=0.1))
        bench.measure(trial(duration_s=0.1, load_rps=300))
        assert bench.is_warm(TWO)
        assert len(children()) == 1


def test_memory_bounds_how_many_shapes_stay_open(mlp: Path) -> None:
    with Bench(ModelSpec(path=str(mlp))) as bench:
        bench.limit_memory(available_bytes=3_000, footprint_bytes=1_000)
        bench.measure(trial(duration_s=0.1))
        other = ServingConfig(replicas=2, intra_op_threads=2)
        bench.measure(trial(duration_s=0.1, config=other))
        assert bench.is_warm(other)
        assert not bench.is_warm(TWO)


def kill_soon(bench: Bench, number: signal.Signals) -> threading.Thread:
    def kill() -> None:
        time.sleep(0.3)
        for child in bench._children.values():
            os.kill(child.pid, number)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("number", "kind"),
    [(signal.SIGKILL, "out_of_memory"), (signal.SIGSEGV, "crash"), (signal.SIGTERM, "crash")],
)
def test_a_child_that_dies_is_a_failed_trial_and_the_bench_goes_on(
    mlp: Path, number: signal.Signals, kind: str
) -> None:
    with Bench(ModelSpec(path=str(mlp))) as bench:
        bench.measure(trial(duration_s=0.1))
        killer = kill_soon(bench, number)
        outcome = bench.measure(trial(duration_s=3.0))
        killer.join()
        assert isinstance(outcome, Failed)
        assert outcome.kind == kind
        assert number.name in outcome.detail
        assert isinstance(bench.measure(trial(duration_s=0.1)), Measured)


def test_a_child_that_was_stopped_for_good_is_killed_and_measures_anew(
    mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "HANG_S", 0.5)
    with Bench(ModelSpec(path=str(mlp))) as bench:
        bench.measure(trial(duration_s=0.1))
        stopper = kill_soon(bench, signal.SIGSTOP)
        outcome = bench.measure(trial(duration_s=1.0))
        stopper.join()
        assert isinstance(outcome, Measured)
        assert outcome.latency_s.max() < 0.5
        assert len(children()) == 1


def test_sessions_that_cannot_load_are_a_failed_trial(tmp_path: Path) -> None:
    with Bench(ModelSpec(path=str(tmp_path / "gone.onnx"))) as bench:
        outcome = bench.measure(trial(duration_s=0.1))
    assert isinstance(outcome, Failed)
    assert outcome.kind == "load_error"
    assert "gone.onnx" in outcome.detail


def test_service_times_come_from_every_busy_replica(mlp: Path) -> None:
    request = ClosedLoop(busy=2, batch_size=1, duration_s=0.05, min_runs=3)
    with Bench(ModelSpec(path=str(mlp))) as bench:
        sample = bench.service_times(TWO.session_shape, request, timeout_s=30)
    assert isinstance(sample, ServiceTimes)
    assert len(sample.seconds) >= 6
    assert (sample.seconds > 0).all()


def test_pauses_are_kept_and_said_with_what_ran_beside(mlp: Path) -> None:
    pause_s = 0.004
    request = ClosedLoop(busy=2, batch_size=1, duration_s=0.3, min_runs=20, pause_s=pause_s)
    with Bench(ModelSpec(path=str(mlp))) as bench:
        paced = bench.service_times(TWO.session_shape, request, timeout_s=30)
        request = msgspec.structs.replace(request, pause_s=0.0)
        steady = bench.service_times(TWO.session_shape, request, timeout_s=30)
    assert isinstance(paced, ServiceTimes)
    assert isinstance(steady, ServiceTimes)
    assert pause_s / 2 < paced.rest_s.mean()
    assert np.median(steady.rest_s) < pause_s / 10
    assert len(paced.rest_s) == len(paced.others) == len(paced.seconds)
    assert set(np.unique(paced.others)) <= {0.0, 1.0}
    assert paced.others.mean() < steady.others.mean()


def test_sessions_profiled_last_or_kept_stay_open_for_measurements(mlp: Path) -> None:
    request = ClosedLoop(busy=1, batch_size=1, duration_s=0.01, min_runs=1)
    one, kept = ServingConfig(intra_op_threads=1), ServingConfig(intra_op_threads=2)
    with Bench(ModelSpec(path=str(mlp))) as bench:
        for config in (one, TWO):
            bench.service_times(config.session_shape, request, timeout_s=30)
        bench.service_times(kept.session_shape, request, timeout_s=30, keep=True)
        assert not bench.is_warm(one)
        assert bench.is_warm(TWO)
        assert bench.is_warm(kept)
        before = len(children())
        assert isinstance(bench.measure(trial(duration_s=0.1)), Measured)
        assert len(children()) == before


def test_inspecting_a_broken_model_raises(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_text("not a model")
    with pytest.raises(ModelError, match="is not an ONNX model"):
        Bench(ModelSpec(path=str(path))).inspect()
    assert children() == []


def test_children_do_not_outlive_a_parent_that_is_killed(mlp: Path) -> None:
    script = (
        "import sys, time\n"
        "from autotune.trial.spawn import Child\n"
        "print(Child().pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(1.0)
        parent.kill()
    deadline_s = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
