"""The sessions that are open in a child process, and what can be done with them."""

import gc
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TypeVar

import numpy as np

from autotune.engine.following import Feed, FollowingSource
from autotune.engine.overlap import DeviceReplica
from autotune.engine.replica import Infer, start_replicas
from autotune.engine.source import ScheduleSource, Tensors, stack
from autotune.models.inspect_model import run_checked
from autotune.models.output_check import how_batch_differs, how_outputs_differ, sizes_to_check
from autotune.models.replicas import NONE, open_replicas
from autotune.models.sample_inputs import RequestMix, make_request_mix
from autotune.models.saved_outputs import SavedOutputs
from autotune.models.worker import compiled_here_s
from autotune.outcome import Samples, ServiceTimes
from autotune.probes.disturbance import between, read_counters
from autotune.probes.energy import joules_between, read_energy
from autotune.probes.memory import peak_memory_bytes
from autotune.probes.threads import cpu_seconds
from autotune.records import Transfer
from autotune.request_log import RequestLog, join_log
from autotune.request_mix import draw_samples
from autotune.spec import ModelSpec
from autotune.stats.transfers import total
from autotune.trial import wire

T = TypeVar("T")
Tell = Callable[[wire.Opening], None]
"""Is told how far the loading of sessions has come."""

WARM_UP_MAX_RUNS = 8
WARM_UP_MAX_S = 0.5
WARM_UP_SPREAD = 0.15
"""A replica is warm when its last three runs differ by less than this share."""
CHECK_MAX_S = 0.5
"""Beyond the largest batch, smaller ones are compared while this lasts."""
MIX_PERIOD = 100
"""In a closed loop kinds of requests recur in a pattern of this length, each by its weight."""


class WrongOutputError(Exception):
    """The answers are not those of the runtime's default session."""


class Sessions:
    """The replicas that are open here or in workers, and the requests they are fed."""

    def __init__(self, log_descriptor: int, follow: int = -1, feed: int = -1) -> None:
        """Write the logs of runs to the open file at `log_descriptor`.

        `follow` and `feed` are pipes from the step before in a chain, and to the one after; -1:
        there is none.
        """
        self.log_descriptor = log_descriptor
        self._follow, self._feed = follow, feed
        self.replicas = NONE
        self.mix = RequestMix([], [], [])
        self.references: SavedOutputs | None = None
        self.right_batches: set[int] = set()
        self.warm_batches: set[int] = set()
        self._compiled_s = 0.0

    def open(self, request: wire.Open, tell: Tell = lambda opening: None) -> wire.Opened:
        """Load the replicas, in place of those that stood; see that they give the saved answers.

        How many stand is told with each but the last.

        Raises:
            ModelError, UsageError: the model cannot be loaded or run.
            WrongOutputError: it answers otherwise than the runtime's default.
        """
        self._drop()
        started_s = time.perf_counter()
        of = request.shape.replicas

        def stands(count: int) -> None:
            if count < of:
                tell(wire.Opening(opened=count, of=of))

        self.replicas = open_replicas(request.model, request.shape, stands)
        self.mix = make_request_mix(self.replicas.inputs, request.model, self.replicas.own)
        if request.outputs_folder is None:
            run_checked(self.replicas.infers[0], self.mix.samples[0], request.model)
        else:
            self.references = SavedOutputs(Path(request.outputs_folder))
            self._check_alone(self.references, request.model)
        load_s = time.perf_counter() - started_s
        gc.collect()
        gc.freeze()
        return wire.Opened(load_s=load_s, nodes=self.replicas.nodes)

    def _drop(self) -> None:
        # Workers hold memory, and with spinning threads, cores.
        self.replicas.close()
        self.replicas, self.references = NONE, None
        self.right_batches, self.warm_batches = set(), set()
        self._compiled_s = compiled_here_s()
        gc.unfreeze()
        gc.collect()

    def _check_alone(self, references: SavedOutputs, model: ModelSpec) -> None:
        """Compare every sample on the first replica, and one on each other."""
        samples = self.mix.samples
        turns = [(self.replicas.infers[0], index) for index in range(len(samples))]
        turns += [(infer, i % len(samples)) for i, infer in enumerate(self.replicas.infers[1:], 1)]
        for infer, index in turns:
            outputs = run_checked(infer, samples[index], model)
            _demand_same(how_outputs_differ(outputs, references[index]))

    def _check_batches(self, references: SavedOutputs, largest: int) -> None:
        """Compare batches of the largest size and, in the time there is, of smaller ones."""
        deadline_s = time.perf_counter() + CHECK_MAX_S
        for size in sizes_to_check(largest):
            if size in self.right_batches or (size != largest and time.perf_counter() > deadline_s):
                continue
            for kind in range(len(self.mix.weights)):
                requests = self._requests(kind, size)
                own = references.only([i for i, of in enumerate(self.mix.kinds) if of == kind])
                together = self.replicas.infers[0](stack(requests))
                _demand_same(how_batch_differs(together, requests, own))
            self.right_batches.add(size)

    def warm(self, batch_size: int) -> None:
        """Check a batch size, then run all replicas until none gets faster; once per size."""
        if batch_size in self.warm_batches:
            return
        if self.references is not None:
            self._check_batches(self.references, batch_size)
        for inputs in self._batches(batch_size):
            _together([partial(_warm, infer, inputs) for infer in self.replicas.infers])
        self.warm_batches.add(batch_size)

    def _requests(self, kind: int, size: int) -> list[Tensors]:
        samples = self.mix.of_kind(kind)
        return [samples[i % len(samples)] for i in range(size)]

    def _batches(self, size: int) -> list[Tensors]:
        """One batch of each kind: kinds may differ in shape."""
        return [stack(self._requests(kind, size)) for kind in range(len(self.mix.weights))]

    def closed_loop(self, request: wire.ClosedLoop) -> ServiceTimes:
        """Execute batches, kinds of requests by weight."""
        self.warm(request.batch_size)
        batches, weights = self._batches(request.batch_size), self.mix.weights
        turns = draw_samples(range(len(weights)), weights, MIX_PERIOD, (0,))
        inputs = [batches[kind] for kind in turns]
        barrier = threading.Barrier(request.busy)
        cpu_before_s = self._cpu_s()
        spans_s = _together(
            [
                partial(_repeat, infer, inputs, request, barrier, replica)
                for replica, infer in enumerate(self.replicas.infers[: request.busy])
            ]
        )
        return _service_times(spans_s, self._cpu_s() - cpu_before_s)

    def open_loop(self, request: wire.OpenLoop) -> wire.Served:
        """Serve a schedule; the times of its requests are in the log.

        Raises:
            Exception: whatever the model raised.
            WrongOutputError: batches of this size answer otherwise than single requests.
        """
        trial, mix = request.trial, self.mix
        config, count = trial.config, len(trial.arrivals_s)
        largest = config.max_batch_size
        # A graph is captured for each size, and that would stall the GPU while it serves.
        for batch_size in range(1, largest + 1) if config.cuda_graphs else {1, largest}:
            self.warm(batch_size)
        log = join_log(self.log_descriptor, count)
        order = draw_samples(mix.kinds, mix.weights, count, tuple(trial.order_seed))
        source = self._source(request, log, order)
        pids = self.replicas.pids
        if request.starts_at_s is not None:
            time.sleep(max(0.0, request.starts_at_s - time.perf_counter()))
        energy = read_energy(config.on_gpu)
        cpu_before_s, before = cpu_seconds(pids), read_counters(workers=pids)
        log.start_clock(request.starts_at_s)
        threads = start_replicas(
            self.replicas.infers, source, config.max_batch_size, config.batch_timeout_ms / 1000
        )
        for thread in threads:
            thread.join()
        duration_s = log.elapsed_s
        if source.error is not None:
            raise source.error
        return wire.Served(
            duration_s=duration_s,
            cpu_s=cpu_seconds(pids) - cpu_before_s,
            joules=joules_between(energy, read_energy(config.on_gpu)),
            peak_memory_bytes=peak_memory_bytes(pids),
            disturbance=between(before, read_counters(workers=pids)),
            transfer=self._transfer(),
        )

    def _source(self, request: wire.OpenLoop, log: RequestLog, order: list[int]) -> ScheduleSource:
        arrivals_s, samples = request.trial.arrivals_s, self.mix.samples
        if request.follows:
            follow = (self._follow, request.follows)
            source: ScheduleSource = FollowingSource(len(arrivals_s), samples, log, order, follow)
        else:
            source = ScheduleSource(arrivals_s, samples, log, order)
        if request.feeds:
            source.feed = Feed(self._feed)
        return source

    def idle(self, request: wire.Idle) -> wire.Idled:
        """Begin with a run: what spins afterwards is part of being idle."""
        for infer in self.replicas.infers:
            infer(self.mix.samples[0])
        before_s = self._cpu_s()
        time.sleep(request.duration_s)
        return wire.Idled(cpu_s=self._cpu_s() - before_s)

    def _transfer(self) -> Transfer | None:
        infers = self.replicas.infers
        return total(one.transfer for one in infers if isinstance(one, DeviceReplica))

    def newly_compiled_s(self) -> float:
        """Return the seconds of compiling since this was last asked, or the sessions opened."""
        before_s, self._compiled_s = self._compiled_s, self.replicas.compiled_s()
        return self._compiled_s - before_s

    def _cpu_s(self) -> float:
        return cpu_seconds(self.replicas.pids)


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
    infer: Infer,
    batches: Sequence[Tensors],
    request: wire.ClosedLoop,
    barrier: threading.Barrier,
    seed: int,
) -> Samples:
    """Return when each execution began and ended, shape (executions, 2)."""
    spans_s: list[tuple[float, float]] = []
    turns, pauses = cycle(batches), random.Random(seed)
    barrier.wait()
    deadline_s = time.perf_counter() + request.duration_s
    while len(spans_s) < request.min_runs or time.perf_counter() < deadline_s:
        inputs = next(turns)
        if request.pause_s:
            time.sleep(pauses.expovariate(1 / request.pause_s))
        started_s = time.perf_counter()
        infer(inputs)
        spans_s.append((started_s, time.perf_counter()))
    return np.array(spans_s)


def _service_times(spans_s: Sequence[Samples], cpu_s: float) -> ServiceTimes:
    started_s, ended_s = np.concatenate(spans_s).T
    rest_s = [own[:, 0] - np.append(own[0, 0], own[:-1, 1]) for own in spans_s]
    begun = np.searchsorted(np.sort(started_s), started_s, side="right")
    ended = np.searchsorted(np.sort(ended_s), started_s, side="right")
    return ServiceTimes(
        seconds=ended_s - started_s,
        rest_s=np.concatenate(rest_s),
        others=(begun - ended - 1).astype(float),
        cpu_s=cpu_s / len(started_s),
    )


def _together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Run all calls at once, each in a thread of its own; the first error is raised."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def _demand_same(difference: str | None) -> None:
    if difference is not None:
        raise WrongOutputError(difference)
