"""Measure one configuration, or two side by side, until there is a verdict."""

import math
import time
from typing import NamedTuple

import numpy as np

from autotune.arrivals import draw
from autotune.errors import MeasureError, UsageError
from autotune.outcome import Measured, ModelInfo, TrialOutcome
from autotune.probes.memory import available_memory_bytes
from autotune.records import Failed
from autotune.space.feasible import infeasible_because
from autotune.spec import ServingConfig
from autotune.stages.drive import (
    LEAD_IN_SHARE,
    MAX_LEAD_IN_S,
    Window,
    lead_in_s,
    order_of_round,
    quieter,
    repeats_after,
    run_trial,
    trial_spec,
)
from autotune.stages.events import Doing, Looked, Observer, Said, Started
from autotune.stages.loading import inspect_model
from autotune.stages.progress import Rounds
from autotune.stages.question import MeasureQuestion
from autotune.stats.judge import Decision, Glimpse, Judge
from autotune.stats.paired import MIN_ROUNDS
from autotune.stats.sequential import LEAD_IN
from autotune.trial.measures import Measures
from autotune.units import format_rps

ATTEMPTS = 3
"""A disturbed run is measured again, so often at most."""
AGAIN_SHARE = 0.5
"""... and only if at least this share of its time is left."""
MAX_REQUESTS = 400_000
"""Of one run: where arrivals are that dense, a second or two say everything."""
CYCLES_TO_PASS = 10.0
"""Traffic that changes its mind (bursts, gaps) must have done so that often before it may pass."""
IDLE_S = 1.0
MAX_ROUNDS = 12
MIN_ROUND_S = 1.0
ROUND_REQUESTS = 60
STOP_ROUND_WHEN: frozenset[Decision] = frozenset({"diverged"})


class Runs(NamedTuple):
    """What was measured of one configuration, lead-ins cut."""

    config: ServingConfig
    runs: list[Measured]
    idle_cores: float
    seconds: float


class _Watched(NamedTuple):
    """A judge that tells an observer of each look."""

    judge: Judge
    observe: Observer

    def decide(self, glimpse: Glimpse) -> Decision:
        decision = self.judge.decide(glimpse)
        late_s = glimpse.finished_s - glimpse.scheduled_s
        over = int(np.sum(late_s > self.judge.slo.latency_ms / 1e3))
        self.observe(
            Looked(
                elapsed_s=glimpse.elapsed_s,
                requests=int(np.sum(~np.isnan(late_s))),
                over=over,
                decision=decision,
            )
        )
        return decision


def check_possible(question: MeasureQuestion, info: ModelInfo, memory_bytes: int | None) -> None:
    """Find out before measuring what cannot be.

    Raises:
        UsageError: batches of a model that has no batch axis, or more replicas than memory holds.
    """
    for config in question.configs:
        where = "--compare max-batch-size" if config is question.other else "--max-batch-size"
        if config.max_batch_size > 1 and not info.batchable:
            raise UsageError(
                f"{where} {config.max_batch_size}: requests to this model cannot be batched: "
                f"{info.batch_reason}"
            )
        shape, own_bytes = config.session_shape, info.footprint_bytes
        reason = infeasible_because(shape, own_bytes, memory_bytes, info.process_bytes)
        if reason is not None:
            raise UsageError(f"{config.describe()}: {reason}; give fewer --replicas")


def inspect(question: MeasureQuestion, bench: Measures, observe: Observer) -> ModelInfo:
    """Load the model, and refuse what it or the machine's memory cannot do.

    Raises:
        ModelError, UsageError: the model, its inputs or a configuration cannot be used.
    """
    info = inspect_model(question.name, question.slo, bench, observe)
    memory_bytes = available_memory_bytes()
    check_possible(question, info, memory_bytes)
    bench.limit_memory(memory_bytes, info.footprint_bytes)
    return info


def measure_alone(question: MeasureQuestion, bench: Measures, observe: Observer) -> Runs:
    """Measure until the SLO is proven met or missed, the queue diverges, or time is up.

    A run that something disturbed is measured again while there is time; the least disturbed
    counts.

    Raises:
        MeasureError: the configuration fails.
    """
    config, traffic = question.config, question.traffic
    observe(Started(step=f"loading {config.describe()}"))
    idle_cores = _idle_cores(config, bench, observe)
    judge = Judge(
        question.slo,
        traffic.mean_rps,
        question.confidence,
        may_pass_after_s=CYCLES_TO_PASS * traffic.cycle_s,
    )
    started_s, left_s = time.monotonic(), question.duration_s
    best: Measured | None = None
    for attempts_left in reversed(range(ATTEMPTS)):
        observe(Started(step=f"measuring {config.describe()}", ends_in_s=left_s))
        observe(Doing(what=f"measuring at {format_rps(traffic.load_rps)}/s", seconds=left_s))
        seconds = min(left_s, MAX_REQUESTS / traffic.load_rps)
        seed = (question.seed, 3)
        spec = trial_spec(config, draw(traffic, seconds, seed).tolist(), question.slo, seed)
        run = _demand(bench.measure(spec, _Watched(judge, observe)), config)
        # What shows a queue growing is its growth, from the beginning.
        run = run.counted(0.0 if run.diverged else LEAD_IN * min(run.duration_s, seconds))
        best = run if best is None else quieter(best, run)
        left_s -= run.duration_s
        if not (best.disturbed and attempts_left and left_s >= AGAIN_SHARE * run.duration_s):
            break
        observe(Said(text=f"disturbed: {run.disturbed[0]}; measuring again"))
    assert best is not None
    return Runs(config, [best], idle_cores, time.monotonic() - started_s)


def measure_rounds(question: MeasureQuestion, bench: Measures, observe: Observer) -> list[Runs]:
    """Measure both configurations in turn under the same arrivals; chance decides who is first.

    Raises:
        MeasureError: a configuration fails.
        UsageError: the time does not suffice for a comparison.
    """
    traffic, configs = question.traffic, question.configs
    rounds, window_s = plan_rounds(question)
    observe(Started(step="loading both"))
    idle_cores = [_idle_cores(config, bench, observe) for config in configs]
    judge = Judge(question.slo, traffic.mean_rps, question.confidence, stop_when=STOP_ROUND_WHEN)
    started_s = time.monotonic()
    ends_at_s = started_s + question.duration_s
    told = Rounds("compare", traffic, question.slo, rounds, ends_at_s)
    runs: list[list[Measured]] = [[], []]
    disturbed: list[bool] = []
    for number in range(rounds):
        step = f"round {number + 1} of {rounds}, {window_s:.1f} s each"
        observe(Started(step=step, ends_in_s=told.left_s))
        window = Window(window_s, (question.seed, 4, number))
        for side in order_of_round(2, number, (question.seed, 4)):
            repeats = repeats_after(disturbed)
            observe(told.begins(configs[side], window))
            outcome, _ = run_trial(bench, configs[side], traffic, window, judge, repeats)
            runs[side].append(_demand(outcome, configs[side]))
            disturbed.append(bool(runs[side][-1].disturbed))
            observe(told.ended(configs[side], runs[side][-1], runs[side], number))
    seconds = (time.monotonic() - started_s) / 2
    return [
        Runs(config, mine, idle, seconds)
        for config, mine, idle in zip(configs, runs, idle_cores, strict=True)
    ]


def plan_rounds(question: MeasureQuestion) -> tuple[int, float]:
    """Return how many rounds, and how long a window is: rather longer windows than more rounds.

    Raises:
        UsageError: the time does not suffice for a comparison.
    """
    least_s = max(MIN_ROUND_S, question.traffic.seconds_for(ROUND_REQUESTS))
    least_s += lead_in_s(least_s)
    rounds = min(MAX_ROUNDS, int(question.duration_s / (2 * least_s)))
    if rounds < MIN_ROUNDS:
        raise UsageError(
            f"--duration {question.duration_s:g}s is too short to compare: {MIN_ROUNDS} rounds of "
            f"two windows at this load take {math.ceil(2 * MIN_ROUNDS * least_s)} s"
        )
    whole_s = question.duration_s / (2 * rounds)
    return rounds, max(whole_s / (1 + LEAD_IN_SHARE), whole_s - MAX_LEAD_IN_S)


def _idle_cores(config: ServingConfig, bench: Measures, observe: Observer) -> float:
    observe(Doing(what=f"{config.describe()}, idle", seconds=IDLE_S))
    share = bench.idle_cpu_share(config.session_shape, IDLE_S)
    if isinstance(share, Failed):
        raise _refusal(share, config)
    return share


def _demand(outcome: TrialOutcome, config: ServingConfig) -> Measured:
    if isinstance(outcome, Failed):
        raise _refusal(outcome, config)
    return outcome


def _refusal(failed: Failed, config: ServingConfig) -> MeasureError:
    what = "changes the model's answers" if failed.kind == "wrong_output" else failed.kind
    return MeasureError(f"{config.describe()}: {what}: {failed.detail}")
