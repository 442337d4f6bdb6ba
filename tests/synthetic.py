"""A synthetic machine to search on: a bench that simulates instead of measuring."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from made import run_of, times_of

from autotune.arrivals import Traffic
from autotune.config_file import TunedFile
from autotune.outcome import ModelInfo, ServiceTimes, TrialOutcome
from autotune.patterns import Pattern, Poisson
from autotune.predict.queue_simulation import Lanes, simulate
from autotune.records import Failed
from autotune.spec import ModelSpec, ServingConfig, SessionShape, Slo, TrialSpec
from autotune.stages.answer import Ended, answer
from autotune.stages.confirm import confirm
from autotune.stages.context import Context
from autotune.stages.events import Event
from autotune.stages.explore import explore
from autotune.stages.goal import start
from autotune.stages.journal import Journal
from autotune.stages.question import Deadline, Question
from autotune.stages.survey import survey
from autotune.stats.judge import Decides
from autotune.trial.bench import Bench
from autotune.trial.wire import ClosedLoop

CORES = 2
SLOWER = 1.0
"""Than it usually is."""
POISSON = Poisson()
INFO = ModelInfo(
    inputs=[],
    outputs=[],
    sample_shapes={"x": [1, 4]},
    sample_source="generated",
    batchable=False,
    batch_reason="no",
    outputs_checked=True,
    outputs_reason="synthetic",
    footprint_bytes=1 << 20,
    default_threads=CORES,
    runtime="synthetic",
    load_s=0.01,
    run_s=0.01,
    engine_batch_s=0.0,
    engine_request_s=0.0,
)


class SyntheticBench(Bench):
    """10 ms on one thread, 6 ms on two; two replicas of two threads share the cores."""

    def __init__(self, fails: Callable[[ServingConfig], bool] = lambda config: False) -> None:
        super().__init__(ModelSpec(path="synthetic"))
        self.fails = fails
        self.trials: list[TrialSpec] = []

    def now_s(self) -> float:
        return 0.0  # what is measured, and chosen, does not hang on how fast this machine is

    def inspect(self, requests_folder: str | None = None) -> ModelInfo:
        return INFO

    def service_times(
        self, shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes | Failed:
        seconds = np.full(20, self.service_s(shape.intra_op_threads or CORES, request.busy))
        return times_of(seconds, float(seconds[0]))

    def service_s(self, threads: int, busy: int) -> float:
        crowd = max(1.0, busy * threads / CORES)
        return SLOWER * {1: 0.010, 2: 0.006}[min(threads, 2)] * crowd

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        self.trials.append(trial)
        config = trial.config
        if self.fails(config):
            return Failed(kind="crash", detail="synthetic crash")
        threads = config.intra_op_threads or CORES
        factors = [self.service_s(threads, max(1, busy)) for busy in range(config.replicas + 1)]
        arrivals_s = np.array(trial.arrivals_s)
        lanes = Lanes(
            replicas=np.array([config.replicas]),
            max_batch=np.array([1]),
            timeout_s=np.zeros(1),
            alone_s=np.array([[1.0, 2.0]]),
            crowding=np.array([factors]),
        )
        seed = len(self.trials)
        jitter = np.sort(np.random.default_rng(seed).normal(1.0, 0.02, 200))
        latency_s = simulate(arrivals_s, lanes, jitter, seed)[0]
        late = latency_s > 0.5
        served = int(np.argmax(late)) if late.any() else len(arrivals_s)
        run = run_of(latency_s[:served], len(arrivals_s) - served, bool(late.any()))
        return msgspec.structs.replace(
            run,
            scheduled_s=arrivals_s[:served],
            ready_s=arrivals_s[:served],
            claimed_s=arrivals_s[:served],
            started_s=arrivals_s[:served],
            finished_s=(arrivals_s + latency_s)[:served],
            cpu_s=0.01 * served,
        )


def run(
    loads_rps: list[float] | None,
    bench: SyntheticBench,
    slo_ms: float = 50,
    max_trials: int | None = None,
    pattern: Pattern = POISSON,
    **asked: Any,
) -> tuple[TunedFile, list[Event]]:
    events: list[Event] = []
    question = Question(
        model=bench.model,
        name="synthetic",
        slo=Slo(latency_ms=slo_ms),
        traffics=(
            None
            if loads_rps is None
            else [Traffic(load_rps=rps, pattern=pattern) for rps in loads_rps]
        ),
        pattern=pattern,
        budget_s=60.0,
        max_trials=max_trials,
        seed=0,
        output=Path("unused"),
        **asked,
    )
    deadline = Deadline(60.0, bench.now_s)
    context = Context(question, bench, Journal(question.slo, deadline), deadline, events.append)
    ground = survey(context)
    strategy = start(question, ground)
    stopped = explore(context, ground, strategy)
    confirm(context, ground, strategy)
    return answer(context, ground, strategy, Ended(stopped, "now", "0" * 64)), events
