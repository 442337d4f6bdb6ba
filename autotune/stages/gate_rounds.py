"""The gate measures: the recommended configuration twice, the default, one execution, in turn."""

import time
from typing import NamedTuple

from autotune.arrivals import Traffic
from autotune.config_file import PolicyEntry, TunedFile
from autotune.errors import MeasureError, UsageError
from autotune.outcome import Measured, ModelInfo, TrialOutcome
from autotune.patterns import Pattern
from autotune.probes.memory import available_memory_bytes
from autotune.records import Failed
from autotune.space.feasible import infeasible_because
from autotune.spec import ModelSpec, Record, ServingConfig
from autotune.stages.drive import LEAD_IN_SHARE, Window, order_of_round, run_trial
from autotune.stages.events import Observer, Started, Tried
from autotune.stages.loading import inspect_model
from autotune.stages.progress import Rounds
from autotune.stages.question import Keeping
from autotune.stages.reference import WINDOW_S, CostWindow, cost_windows
from autotune.stats.judge import Decision, Judge
from autotune.trial.measures import Measures

MIN_ROUNDS, MAX_ROUNDS = 6, 12
MIN_WINDOW_S = 0.8
LOADED_S = 0.05
COST_WINDOWS = 3
COSTS_S = COST_WINDOWS * WINDOW_S
OVERHEAD_S = 0.15
"""Of starting and ending a window."""
STOP_WHEN: frozenset[Decision] = frozenset({"diverged"})


class GateQuestion(Record, frozen=True, eq=False):
    """One check of a tuned file against a model, here and now."""

    tuned: TunedFile
    file: str
    """Where it was read."""
    model: ModelSpec
    name: str
    """The model as the person named it."""
    entry: PolicyEntry
    """The promise that is checked."""
    pattern: Pattern
    stale: list[str]
    """What differs from what the file was made for."""
    stale_fails: bool
    tolerance: float
    """Executions may cost this share more before it is a regression."""
    budget_s: float
    seed: int
    keeping: Keeping = Keeping()


class GateRuns(NamedTuple):
    """What was measured, lead-ins cut; round i of each saw the same arrivals."""

    info: ModelInfo
    mine: list[Measured]
    again: list[Measured]
    """The same configuration a second time: what differs from `mine` is noise."""
    default: list[Measured]
    """Empty where the default is what is recommended."""
    costs: list[CostWindow]
    """Some windows of each round."""
    seconds: float


def measure_gate(question: GateQuestion, bench: Measures, observe: Observer) -> GateRuns:
    """Measure in interleaved rounds for the budget; a queue that diverges ends the rounds.

    Raises:
        ModelError, UsageError: the model cannot be used, or the budget is too short.
        MeasureError: the configuration fails.
    """
    started_s = time.monotonic()
    info = inspect_for_gate(question, bench, observe)
    config = question.entry.config
    sides = sides_of(config)
    windows: list[list[Measured]] = [[] for _ in sides]
    ends_at_s = started_s + question.budget_s
    observe(Started(step="checking", ends_in_s=ends_at_s - time.monotonic()))
    costs = cost_windows(bench, COST_WINDOWS, keep=True)
    for one in dict.fromkeys(sides):  # loaded before the clock of the rounds starts
        bench.idle_cpu_share(one.session_shape, LOADED_S)
    left_s = question.budget_s - (time.monotonic() - started_s)
    rounds, window_s = plan_gate_rounds(question, left_s, len(sides))
    traffic = Traffic(load_rps=question.entry.load_rps, pattern=question.pattern)
    judge = Judge(question.tuned.slo, traffic.mean_rps, stop_when=STOP_WHEN)
    told = Rounds("check", traffic, question.tuned.slo, rounds, ends_at_s)
    for number in range(rounds):
        step = f"round {number + 1} of {rounds}, {window_s:.1f} s each"
        observe(Started(step=step, ends_in_s=told.left_s))
        costs += cost_windows(bench, COST_WINDOWS, keep=True)
        window = Window(window_s, (question.seed, 5, number))
        for side in order_of_round(len(sides), number, (question.seed, 5)):
            observe(told.begins(sides[side], window))
            outcome, _ = run_trial(bench, sides[side], traffic, window, judge)
            windows[side].append(_demand(outcome, sides[side]))
            observe(_ended(told, question.entry, sides, windows, side))
        if windows[0][-1].diverged and windows[1][-1].diverged:
            break
    default = windows[2] if len(sides) == 3 else []
    seconds = time.monotonic() - started_s
    return GateRuns(info, windows[0], windows[1], default, costs, seconds)


def _ended(
    told: Rounds,
    entry: PolicyEntry,
    sides: list[ServingConfig],
    windows: list[list[Measured]],
    side: int,
) -> Tried:
    """Say what came of the last window of a side, beside what the file promises of it."""
    config, number = sides[side], len(windows[side]) - 1
    runs = [run for one, own in zip(sides, windows, strict=True) if one == config for run in own]
    promise = entry.measured if config == entry.config else entry.default
    promised_ms = promise.objective.value_ms if promise is not None else None
    return told.ended(config, windows[side][-1], runs, number, promised_ms)


def sides_of(config: ServingConfig) -> list[ServingConfig]:
    """Return what is measured in each round: twice what is recommended, and the default."""
    return [config, config] + ([] if config.is_default else [config.default])


def inspect_for_gate(question: GateQuestion, bench: Measures, observe: Observer) -> ModelInfo:
    """Load the model, and refuse what it or the machine's memory cannot do.

    Raises:
        ModelError, UsageError: the model or its inputs cannot be used, or the promised
            configuration cannot be run here.
    """
    info = inspect_model(question.name, question.tuned.slo, bench, observe)
    memory_bytes = available_memory_bytes()
    bench.limit_memory(memory_bytes, info.footprint_bytes)
    config = question.entry.config
    shape, own_bytes = config.session_shape, info.footprint_bytes
    reason = infeasible_because(shape, own_bytes, memory_bytes, info.process_bytes)
    if reason is not None:
        raise UsageError(f"{question.file}: {config.describe()}: {reason}")
    if config.max_batch_size > 1 and not info.batchable:
        raise UsageError(
            f"{question.file}: {config.describe()}: requests to {question.name} cannot be "
            f"batched: {info.batch_reason}; search again"
        )
    return info


def plan_gate_rounds(question: GateQuestion, left_s: float, sides: int) -> tuple[int, float]:
    """Return how many rounds, and how long a window is, lead-in not counted.

    Raises:
        UsageError: the budget is too short.
    """
    least_s = sides * (MIN_WINDOW_S * (1 + LEAD_IN_SHARE) + OVERHEAD_S) + COSTS_S
    rounds = min(MAX_ROUNDS, int(left_s / least_s))
    if rounds < MIN_ROUNDS:
        spent_s = question.budget_s - left_s
        raise UsageError(
            f"--budget {question.budget_s:g}s is too short: loading took {spent_s:.0f} s and "
            f"{MIN_ROUNDS} rounds take {MIN_ROUNDS * least_s:.0f} s more"
        )
    return rounds, ((left_s / rounds - COSTS_S) / sides - OVERHEAD_S) / (1 + LEAD_IN_SHARE)


def _demand(outcome: TrialOutcome, config: ServingConfig) -> Measured:
    if isinstance(outcome, Failed):
        raise MeasureError(f"{config.describe()}: {outcome.kind}: {outcome.detail}")
    return outcome
