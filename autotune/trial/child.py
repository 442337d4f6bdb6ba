"""The child process: holds the sessions of one shape and runs what the parent asks for.

Started as `python -m autotune.trial.child FD LOG_FD PARENT_PID` with one end of a pipe at FD and
the file of the request log at LOG_FD. It ends when the pipe closes or the parent dies.
"""

import contextlib
import ctypes
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

import numpy as np

from autotune.engine.replica import Infer, start_replicas
from autotune.engine.source import ScheduleSource, Tensors, stack
from autotune.errors import AutotuneError, UsageError
from autotune.models.inspect_model import inspect_model, run_checked
from autotune.models.onnx_model import as_infer, declared, explain, open_session
from autotune.models.output_check import how_batch_differs, how_outputs_differ, sizes_to_check
from autotune.models.sample_inputs import make_samples
from autotune.models.saved_outputs import SavedOutputs
from autotune.outcome import Failed, FailureKind, ServiceTimes
from autotune.probes.disturbance import between, read_counters
from autotune.probes.energy import energy_uj, joules_between
from autotune.probes.memory import peak_memory_bytes
from autotune.probes.threads import cpu_seconds
from autotune.request_log import join_log
from autotune.spec import ModelSpec, TrialSpec
from autotune.trial import wire

T = TypeVar("T")

_PR_SET_PDEATHSIG = 1

WARM_UP_MAX_RUNS = 8
WARM_UP_MAX_S = 0.5
WARM_UP_SPREAD = 0.15
"""A replica is warm when its last three runs differ by less than this share."""

CHECK_MAX_S = 0.5
"""Beyond the largest batch, smaller ones are compared while this lasts."""


class _WrongOutputError(Exception):
    """The answers are not those of the runtime's default session."""


class _Sessions:
    """The replicas that are open in this process, and the requests they are fed."""

    def __init__(self, log_descriptor: int) -> None:
        self.log_descriptor = log_descriptor
        self.infers: list[Infer] = []
        self.samples: list[Tensors] = []
        self.references: SavedOutputs | None = None
        self.right_batches: set[int] = set()
        self.warm_batches: set[int] = set()

    def open(self, request: wire.Open) -> wire.Opened:
        started_s = time.perf_counter()
        for _ in range(request.shape.replicas):
            session = open_session(request.model.path, request.shape)
            self.infers.append(as_infer(session))
        self.samples = make_samples(declared(session.get_inputs()), request.model)
        if request.outputs_folder is None:
            run_checked(self.infers[0], self.samples[0], request.model)
        else:
            self.references = SavedOutputs(Path(request.outputs_folder))
            self._check_alone(self.references, request.model)
        load_s = time.perf_counter() - started_s
        gc.collect()
        gc.freeze()
        return wire.Opened(load_s=load_s)

    def _check_alone(self, references: SavedOutputs, model: ModelSpec) -> None:
        """Compare every sample on the first replica, and one on each other."""
        count = len(self.samples)
        turns = [(self.infers[0], index) for index in range(count)]
        turns += [(infer, i % count) for i, infer in enumerate(self.infers[1:], 1)]
        for infer, index in turns:
            outputs = run_checked(infer, self.samples[index], model)
            _demand_same(how_outputs_differ(outputs, references[index]))

    def _check_batches(self, references: SavedOutputs, largest: int) -> None:
        """Compare batches of the largest size and, in the time there is, of smaller ones."""
        deadline_s = time.perf_counter() + CHECK_MAX_S
        for size in sizes_to_check(largest):
            if size in self.right_batches or (size != largest and time.perf_counter() > deadline_s):
                continue
            requests = self.requests(size)
            _demand_same(how_batch_differs(self.infers[0](stack(requests)), requests, references))
            self.right_batches.add(size)

    def warm(self, batch_size: int) -> None:
        """Check a batch size, then run all replicas until none gets faster; once per size."""
        if batch_size in self.warm_batches:
            return
        self.warm_batches.add(batch_size)
        if self.references is not None:
            self._check_batches(self.references, batch_size)
        inputs = self.batch(batch_size)
        _together([partial(_warm, infer, inputs) for infer in self.infers])

    def requests(self, size: int) -> list[Tensors]:
        return [self.samples[i % len(self.samples)] for i in range(size)]

    def batch(self, size: int) -> Tensors:
        return stack(self.requests(size))

    def closed_loop(self, request: wire.ClosedLoop) -> ServiceTimes:
        self.warm(request.batch_size)
        inputs = self.batch(request.batch_size)
        barrier = threading.Barrier(request.busy)
        cpu_before_s = cpu_seconds()
        seconds = _together(
            [
                partial(_repeat, infer, inputs, request, barrier)
                for infer in self.infers[: request.busy]
            ]
        )
        pooled = np.concatenate(seconds)
        return ServiceTimes(seconds=pooled, cpu_s=(cpu_seconds() - cpu_before_s) / len(pooled))

    def open_loop(self, trial: TrialSpec) -> wire.Served | Failed:
        config = trial.config
        for batch_size in {1, config.max_batch_size}:
            self.warm(batch_size)
        log = join_log(self.log_descriptor, len(trial.arrivals_s))
        source = ScheduleSource(trial.arrivals_s, self.samples, log)
        energy, cpu_before_s, before = energy_uj(), cpu_seconds(), read_counters()
        log.start_clock()
        threads = start_replicas(
            self.infers, source, config.max_batch_size, config.batch_timeout_ms / 1000
        )
        for thread in threads:
            thread.join()
        duration_s, cpu_s = log.elapsed_s, cpu_seconds() - cpu_before_s
        if source.error is not None:
            return _failure(source.error)
        return wire.Served(
            duration_s=duration_s,
            cpu_s=cpu_s,
            joules=joules_between(energy, energy_uj()),
            peak_memory_bytes=peak_memory_bytes(),
            disturbance=between(before, read_counters()),
        )

    def idle(self, request: wire.Idle) -> wire.Idled:
        """Begin with a run: what spins afterwards is part of being idle."""
        for infer in self.infers:
            infer(self.samples[0])
        before_s = cpu_seconds()
        time.sleep(request.duration_s)
        return wire.Idled(cpu_s=cpu_seconds() - before_s)


def _warm(infer: Infer, inputs: Tensors) -> None:
    times: list[float] = []
    deadline_s = time.perf_counter() + WARM_UP_MAX_S
    while len(times) < WARM_UP_MAX_RUNS and time.perf_counter() < deadline_s:
        started_s = time.perf_counter()
        infer(inputs)
        times.append(time.perf_counter() - started_s)
        last = times[-3:]
        if len(last) == 3 and max(last) <= min(last) * (1 + WARM_UP_SPREAD):
            return


def _repeat(
    infer: Infer, inputs: Tensors, request: wire.ClosedLoop, barrier: threading.Barrier
) -> list[float]:
    times: list[float] = []
    barrier.wait()
    deadline_s = time.perf_counter() + request.duration_s
    while len(times) < request.min_runs or time.perf_counter() < deadline_s:
        started_s = time.perf_counter()
        infer(inputs)
        times.append(time.perf_counter() - started_s)
    return times


def _together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run all calls at once, each in a thread of its own; the first error is raised."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def _demand_same(difference: str | None) -> None:
    if difference is not None:
        raise _WrongOutputError(difference)


def _failure(error: Exception) -> Failed:
    if isinstance(error, _WrongOutputError):
        return Failed(kind="wrong_output", detail=str(error))
    text = explain(error)
    no_memory = isinstance(error, MemoryError) or "Failed to allocate memory" in text
    kind: FailureKind = "out_of_memory" if no_memory else "run_error"
    return Failed(kind=kind, detail=text)


def _answer(sessions: _Sessions, request: wire.Request) -> wire.Reply:
    try:
        match request:
            case wire.Inspect():
                return inspect_model(request.model, Path(request.outputs_folder))
            case wire.Open():
                return sessions.open(request)
            case wire.ClosedLoop():
                return sessions.closed_loop(request)
            case wire.OpenLoop():
                return sessions.open_loop(request.trial)
            case wire.Idle():
                return sessions.idle(request)
    except AutotuneError as error:
        return wire.Refused(usage=isinstance(error, UsageError), message=str(error))
    except Exception as error:  # the parent learns from any failure of the model
        return _failure(error)


def _die_with_parent(parent_pid: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with contextlib.suppress(OSError):  # be the one that the kernel kills, not the parent
            Path("/proc/self/oom_score_adj").write_text("1000")
    if os.getppid() != parent_pid:
        sys.exit(1)


def main() -> None:
    """Serve requests until the pipe closes."""
    descriptor, log_descriptor, parent_pid = map(int, sys.argv[1:4])
    pipe = Connection(descriptor)
    _die_with_parent(parent_pid)
    sessions = _Sessions(log_descriptor)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            request = wire.decode_request(pipe.recv_bytes())
            pipe.send_bytes(wire.encode(_answer(sessions, request)))


if __name__ == "__main__":
    main()
