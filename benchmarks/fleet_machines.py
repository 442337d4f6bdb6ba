"""Machines on paper for a fleet: the ordinary search, over a bench that simulates its answers.

What a node is asked to run instead of `autotune.tune.search`: `PaperSearch`.
"""

import os
import time
from unittest.mock import patch

import numpy as np
from msgspec import structs

from autotune import tune
from autotune.config_file import TunedFile
from autotune.outcome import Disturbance, Measured, ModelInfo, ServiceTimes, TrialOutcome
from autotune.predict.queue_simulation import Lanes, simulate
from autotune.probes.cores import Cores
from autotune.records import Failed
from autotune.spec import ModelSpec, Record, SessionShape, TrialSpec
from autotune.stages import learning
from autotune.stages.events import Observer
from autotune.stages.question import Question
from autotune.stats.judge import Decides
from autotune.trial.bench import Bench
from autotune.trial.wire import ClosedLoop

CORES = 2
GIVEN_UP_S = 0.5
"""A latency at which a queue is said to diverge."""
INFO = ModelInfo(
    inputs=[],
    outputs=[],
    sample_shapes={"x": [1, 4]},
    sample_source="generated",
    batchable=False,
    batch_reason="no",
    outputs_checked=True,
    outputs_reason="on paper",
    footprint_bytes=1 << 20,
    default_threads=CORES,
    runtime="paper 1.0",
    load_s=0.01,
    run_s=0.01,
    engine_batch_s=0.0,
    engine_request_s=0.0,
)


class PaperSearch(Record, frozen=True):
    """`autotune.tune.search` on a machine on paper. Called on a node."""

    speed: float = 1.0
    """Of its executions."""
    pause_s: float = 0.0
    """That a measurement takes in truth, however long it is on paper."""
    other_cpu: str = ""
    """What disturbs each of its windows; empty: nothing does."""
    cores: int = CORES
    odd: bool = False
    """Threads take time to meet, and full cores are slow: no profile's law says so of all."""
    starter: bool = True
    """Whether it knows the lessons that come with autotune."""

    def __call__(self, question: Question, observe: Observer) -> TunedFile:
        """Search."""

        def bench(question: Question, observe: Observer) -> Bench:
            return PaperBench(question.model, self)

        cores = Cores(affinity=self.cores, quota=None)
        lessons = learning.starter_lessons() if self.starter else []
        with (
            patch.object(learning, "starter_lessons", lambda: lessons),
            patch("autotune.stages.survey.usable_cores", lambda: cores),
            patch("autotune.stages.reference.yardstick_ms", lambda: 1.0),
        ):
            return tune.search(question, observe, bench)


class ByType(Record, frozen=True):
    """The same, each type half as fast again as the one before: `PAPER_TYPE=type-2` in a node."""

    machine: PaperSearch

    def __call__(self, question: Question, observe: Observer) -> TunedFile:
        """Search."""
        number = int(os.environ["PAPER_TYPE"].rpartition("-")[2])
        return structs.replace(self.machine, speed=1.5**number)(question, observe)


class PaperBench(Bench):
    """10 ms on one thread, 6 ms on two; two replicas of two threads share the cores."""

    def __init__(self, model: ModelSpec, machine: PaperSearch) -> None:
        """Stand for a machine."""
        super().__init__(model)
        self._machine, self._clock_s = machine, 0.0

    def now_s(self) -> float:
        """Return the seconds that its measurements took on paper."""
        return self._clock_s

    def inspect(self, requests_folder: str | None = None) -> ModelInfo:
        """As `Bench.inspect`."""
        return structs.replace(INFO, default_threads=self._machine.cores)

    def service_times(
        self, shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes | Failed:
        """As `Bench.service_times`."""
        self._take(0.25)
        seconds = np.full(20, self._service_s(shape.intra_op_threads, request.busy))
        none = np.zeros(len(seconds))
        return ServiceTimes(seconds=seconds, rest_s=none, others=none, cpu_s=float(seconds[0]))

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        """As `Bench.measure`; the same is answered to the same, whatever was asked before."""
        self._take(trial.arrivals_s[-1])
        config, arrivals_s = trial.config, np.array(trial.arrivals_s)
        threads, seed = config.intra_op_threads, int(1e6 * arrivals_s[-1]) % 997
        lanes = Lanes(
            replicas=np.array([config.replicas]),
            max_batch=np.array([1]),
            timeout_s=np.zeros(1),
            alone_s=np.array([[1.0, 2.0]]),
            crowding=np.array(
                [[self._service_s(threads, max(1, busy)) for busy in range(config.replicas + 1)]]
            ),
        )
        jitter = np.sort(np.random.default_rng(seed).normal(1.0, 0.02, 200))
        latency_s = simulate(arrivals_s, lanes, jitter, seed)[0]
        late = latency_s > GIVEN_UP_S
        served = int(np.argmax(late)) if late.any() else len(arrivals_s)
        return self._served(arrivals_s, latency_s, served)

    def _served(
        self,
        arrivals_s: np.ndarray[tuple[int], np.dtype[np.float64]],
        latency_s: np.ndarray[tuple[int], np.dtype[np.float64]],
        served: int,
    ) -> Measured:
        came_s, other = arrivals_s[:served], self._machine.other_cpu
        return Measured(
            scheduled_s=came_s,
            ready_s=came_s,
            claimed_s=came_s,
            started_s=came_s,
            finished_s=came_s + latency_s[:served],
            batch_size=np.ones(served),
            lost=len(arrivals_s) - served,
            stopped="diverged" if served < len(arrivals_s) else "ended",
            duration_s=float(arrivals_s[-1]),
            cpu_s=0.01 * served,
            joules=None,
            peak_memory_bytes=1 << 20,
            disturbance=Disturbance(
                seconds=float(arrivals_s[-1]),
                cpus=self._machine.cores,
                steal_share=0.0,
                other_cpu_share=1.0 if other else 0.0,
                throttled_periods=None,
                throttled_s=None,
                involuntary_switches_per_s=0.0,
                major_faults=0,
                swapped_pages=0,
                memory_pressure_share=0.0,
                frequency_change=None,
            ),
            disturbed=[other] if other else [],
        )

    def _service_s(self, threads: int | None, busy: int) -> float:
        cores, odd = self._machine.cores, self._machine.odd
        threads = threads or cores
        used = busy * threads / cores
        seconds = 0.010 * (0.2 + 0.8 / min(threads, cores)) * max(1.0, used)
        if odd:
            seconds *= (1 + 0.04 * threads) * (1 + 0.25 * min(1.0, used) ** 2)
        return seconds / self._machine.speed

    def _take(self, seconds: float) -> None:
        time.sleep(self._machine.pause_s)
        self._clock_s += seconds
