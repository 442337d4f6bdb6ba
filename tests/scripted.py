"""A bench that measures nothing: it serves every request in so many milliseconds, as told."""

from collections.abc import Callable

import msgspec
import numpy as np
from made import QUIET, run_of

from autotune.outcome import Measured, ModelInfo, TrialOutcome
from autotune.records import Failed
from autotune.spec import ModelSpec, ServingConfig, SessionShape, TrialSpec
from autotune.stats.judge import Decides
from autotune.trial.bench import Bench

Change = Callable[[int, Measured], TrialOutcome]
"""What becomes of a run, by its number from 0."""


class ScriptedBench(Bench):
    """Every request takes `latency_ms` by configuration; `change` edits what comes out."""

    def __init__(
        self,
        info: ModelInfo,
        latency_ms: Callable[[ServingConfig], float] = lambda config: 10.0,
        change: Change = lambda number, run: run,
    ) -> None:
        super().__init__(ModelSpec(path="scripted"))
        self.info = info
        self.latency_ms = latency_ms
        self.change = change
        self.trials: list[TrialSpec] = []
        self.judges: list[Decides | None] = []

    def inspect(self, requests_folder: str | None = None) -> ModelInfo:
        return self.info

    def idle_cpu_share(self, shape: SessionShape, duration_s: float) -> float | Failed:
        return 0.25 * shape.replicas

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        number = len(self.trials)
        self.trials.append(trial)
        self.judges.append(judge)
        latency_s = self.latency_ms(trial.config) / 1e3
        scheduled_s = np.array(trial.arrivals_s)
        run = msgspec.structs.replace(
            run_of([latency_s] * len(scheduled_s)),
            scheduled_s=scheduled_s,
            ready_s=scheduled_s,
            claimed_s=scheduled_s,
            started_s=scheduled_s,
            finished_s=scheduled_s + latency_s,
            duration_s=float(scheduled_s[-1] + latency_s),
            cpu_s=latency_s * len(scheduled_s),
        )
        return self.change(number, run)


def disturbed_by(steal_share: float) -> Callable[[Measured], Measured]:
    """Return what makes a run one from which so much CPU time was stolen."""
    disturbance = msgspec.structs.replace(QUIET, steal_share=steal_share)
    clauses = [f"{steal_share:.0%} stolen"] if steal_share else []
    return lambda run: msgspec.structs.replace(run, disturbance=disturbance, disturbed=clauses)
