"""All models measured at the same time: a bench each, and a common start."""

import fcntl
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import NamedTuple, TypeVar

from msgspec import structs

from autotune.errors import MeasureError
from autotune.outcome import Measured, ServiceTimes, TrialOutcome
from autotune.probes.cores import usable_cores
from autotune.records import Failed
from autotune.runtime_environment import FEED, FOLLOW
from autotune.spec import ModelSpec, SessionShape, TrialSpec
from autotune.stats.disturbance import disturbed_because
from autotune.together.one_bench import OneBench
from autotune.trial import wire
from autotune.trial.bench import Bench
from autotune.trial.circumstances import MOST_SUSPENDED

T = TypeVar("T")

READY_S = 0.1
"""From the common decision to begin to the common start: what stands takes less to get ready."""

LINK_BYTES = 2**20
"""Of a pipe between two steps: more answers than a window has."""

Cpus = frozenset[int] | None
"""To which a model is confined; None: to none."""


class Seated(NamedTuple):
    """One model's part of a measurement."""

    trial: TrialSpec
    """Of a step of a chain: how many requests there may be, and until when."""
    cpus: Cpus
    follows: int = 0
    """Executions for each answer of the model before it; 0: it begins a service."""
    feeds: bool = False
    """Whether the model after it follows."""


class Benches:
    """A bench for each model, each used by a thread of its own. Use as a context.

    A child ends with the thread that started it, so these threads last as long as the benches.
    """

    def __init__(self, models: Sequence[ModelSpec], follows: Sequence[bool]) -> None:
        """Measure these models; `follows`: which of them are fed by the one before."""
        self._stack = ExitStack()
        self._benches: list[Bench] = []
        self._threads: list[ThreadPoolExecutor] = []
        self._links: list[int] = []
        pipes: list[dict[str, int]] = [{} for _ in models]
        for number in (number for number, fed in enumerate(follows) if fed):
            read, write = self._pipe()
            pipes[number - 1][FEED], pipes[number][FOLLOW] = write, read
            self._links.append(read)
        for model, own in zip(models, pipes, strict=True):
            thread = self._stack.enter_context(ThreadPoolExecutor(1))
            bench = thread.submit(Bench, model, None, own).result()
            self._stack.callback(_close, thread, bench)
            self._threads.append(thread)
            self._benches.append(bench)

    def now_s(self) -> float:
        """Return the seconds on a clock that only ever goes forward."""
        return time.monotonic()

    def settle(self, name: str, kind: type[T], compute: Callable[[], T]) -> T:
        """As `Bench.settle`."""
        return compute()

    def one(self, model: int) -> OneBench:
        """Return the bench of one model."""
        return OneBench(self, model)

    def beside(
        self, models: Sequence[int], shape: SessionShape, request: wire.ClosedLoop, timeout_s: float
    ) -> list[ServiceTimes | Failed]:
        """Sample service times of several models in closed loops at the same time.

        Their sessions stay open.

        Raises:
            MeasureError: the machine is no longer what it was.
        """

        def sample(bench: Bench) -> ServiceTimes | Failed:
            return bench.service_times(shape, request, timeout_s, keep=True)

        found = self.at_once(dict.fromkeys(models, sample))
        return [found[model] for model in models]

    def at_once(self, calls: dict[int, Callable[[Bench], T]]) -> dict[int, T]:
        """Have several benches do something at the same time, by their models."""
        futures = {
            model: self._threads[model].submit(do, self._benches[model])
            for model, do in calls.items()
        }
        return {model: future.result() for model, future in futures.items()}

    def measure(self, seats: Sequence[Seated]) -> list[Measured] | Failed:
        """Serve the schedules of all models from the same moment on; the first failure counts.

        Raises:
            MeasureError: the machine is no longer what it was.
        """
        for _ in range(MOST_SUSPENDED):
            if failed := _failure(self._all(seats, ready=True)):
                return failed
            outcomes = self._all(seats, ready=False)
            if any(one is None for one in outcomes):
                continue
            if failed := _failure(outcomes):
                return failed
            return _undisturbed_by_each_other(
                [one for one in outcomes if isinstance(one, Measured)], seats
            )
        raise MeasureError("the machine is put to sleep, or processes are stopped, all the time")

    def _pipe(self) -> tuple[int, int]:
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for descriptor in (read, write):
            self._stack.callback(os.close, descriptor)
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, LINK_BYTES)
        return read, write

    def _all(self, seats: Sequence[Seated], ready: bool) -> list[TrialOutcome | None]:
        """Serve the schedules; `ready`: one request each, so that all sessions stand."""
        for link in self._links:  # what was not taken in a run that was given up
            with suppress(BlockingIOError):
                while os.read(link, LINK_BYTES):
                    pass
        starts_at_s = time.perf_counter() + READY_S

        def call(seat: Seated) -> Callable[[Bench], TrialOutcome | None]:
            alone = wire.OpenLoop(trial=structs.replace(seat.trial, arrivals_s=[0.0]))
            beside = wire.OpenLoop(
                trial=seat.trial,
                starts_at_s=starts_at_s,
                follows=seat.follows,
                feeds=seat.feeds,
            )
            return lambda bench: bench.measure_at(alone if ready else beside, seat.cpus)

        found = self.at_once({number: call(seat) for number, seat in enumerate(seats)})
        return [found[number] for number in range(len(seats))]

    def __enter__(self) -> "Benches":
        """Return the benches."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill all children."""
        self._stack.close()


def _close(thread: ThreadPoolExecutor, bench: Bench) -> None:
    thread.submit(bench.close).result()


def _failure(outcomes: Sequence[TrialOutcome | None]) -> Failed | None:
    return next((one for one in outcomes if isinstance(one, Failed)), None)


def _undisturbed_by_each_other(runs: list[Measured], seats: Sequence[Seated]) -> list[Measured]:
    """Take what the models of one measurement used of the cores out of what disturbed it."""
    cores, found = usable_cores().usable, []
    for number, run in enumerate(runs):
        disturbance = run.disturbance
        if seats[number].cpus is None and disturbance.other_cpu_share is not None:
            used = sum(
                other.cpu_s / run.duration_s for place, other in enumerate(runs) if place != number
            )
            share = max(0.0, disturbance.other_cpu_share - used)
            disturbance = structs.replace(disturbance, other_cpu_share=share)
        why = disturbed_because(disturbance, cores)
        found.append(structs.replace(run, disturbance=disturbance, disturbed=why))
    return found
