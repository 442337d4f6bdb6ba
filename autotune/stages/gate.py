"""The gate's verdict: does the promise of a tuned file still hold? From runs to one record."""

import math
from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal, NamedTuple

import numpy as np

from autotune.config_file import Reference
from autotune.outcome import Measured, Samples
from autotune.probes.machine import Machine, this_machine
from autotune.records import Summary
from autotune.spec import Record, ServingConfig, Slo
from autotune.stages.gate_rounds import GateQuestion, GateRuns
from autotune.stages.reference import FAST, CostWindow, fast
from autotune.stats.paired import Comparison, comparable_quantile, compare_latency
from autotune.stats.sequential import decide_once, evidence
from autotune.stats.summary import offered, summarize

GateAnswer = Literal["holds", "slo_missed", "regression", "undecided", "stale"]

CONFIDENCE = 0.995
"""Of each of two alarms, a missed SLO and a regression: a false one comes once in a hundred checks
at most."""
Z_ALARM, Z_CAUGHT = 2.58, 1.645
"""One-sided normal quantiles of 99.5 % and 95 %."""
RESAMPLES = 400
LEAST_SPREAD = 0.01
"""Of windows: a few can look steadier than they are."""
DRIFT = 0.02
"""Standard deviation of an execution's CPU time between sessions on one machine, as a share.

Beside two processes that kept both cores busy it moved by 3 to 5 % (`stages/reference.py`)."""
DISTURBED_SHARE = 0.5
"""From this share of disturbed windows on, latencies speak of the neighbours."""


class Change(Record, frozen=True):
    """The CPU time of one execution now, over that in the file."""

    file_ms: float
    now_ms: float
    ratio: float
    low: float
    high: float
    """95 % interval, from the spread of the windows and the drift of machines."""
    error: float
    """Standard error of the logarithm of the ratio."""
    machine_ratio: float
    """The same of the yardstick, which no model changes: above 1 the machine itself is slower."""


class NoiseFloor(Record, frozen=True):
    """The recommended configuration against itself: what a difference must exceed."""

    percentile: float
    ratio: float | None
    low: float | None
    high: float | None


class GateReport(Record, frozen=True):
    """The whole answer."""

    answer: GateAnswer
    reasons: list[str]
    """Why, most important first."""
    next_steps: list[str]
    notes: list[str]
    file: str
    model: str
    load_rps: float
    slo: Slo
    config: ServingConfig
    stale: list[str]
    promised: Summary | None
    """What the file holds of the configuration at this load."""
    measured: Summary
    default: Summary | None
    """ONNX Runtime's default in the same rounds; None where that is recommended."""
    noise_floor: NoiseFloor
    against_default: NoiseFloor | None
    """The recommended configuration over the default."""
    execution: Change | None
    """None: the file does not say what an execution cost."""
    tolerance: float
    rounds: int
    seconds: float
    machine: Machine
    runtime: str
    autotune: str


class _Case(NamedTuple):
    """What speaks for each answer, a clause each; empty: nothing does."""

    missed: list[str]
    regressed: list[str]
    doubts: list[str]
    steps: list[str]


def judge_gate(question: GateQuestion, runs: GateRuns) -> GateReport:
    """Weigh what was measured: alarms need proof, and holding needs the power to have seen one."""
    slo = question.tuned.slo
    mine = [*runs.mine, *runs.again]
    summary = summarize(mine, slo)
    default = summarize(runs.default, slo) if runs.default else None
    change = _change(question, runs.costs)
    floor = _floor(runs.mine, runs.again, slo)
    case = _weigh(question, mine, summary, change)
    _compare_with_default(case, question, runs, floor)
    answer, reasons = _answer(question, case, summary)
    return GateReport(
        answer=answer,
        reasons=reasons,
        next_steps=_next_steps(question, answer, case),
        notes=_notes(question, runs),
        file=question.file,
        model=question.name,
        load_rps=question.entry.load_rps,
        slo=slo,
        config=question.entry.config,
        stale=question.stale,
        promised=question.entry.measured,
        measured=summary,
        default=default,
        noise_floor=floor,
        against_default=_floor(runs.mine, runs.default, slo) if runs.default else None,
        execution=change,
        tolerance=question.tolerance,
        rounds=len(runs.mine),
        seconds=round(runs.seconds, 1),
        machine=this_machine(),
        runtime=runs.info.runtime,
        autotune=version("autotune"),
    )


def compare_execution(reference: Reference, now: Sequence[CostWindow]) -> Change:
    """Compare the fast windows, on the log scale."""
    there = np.log(reference.windows_cpu_ms)
    here = np.log([one.execution_ms for one in now])
    difference = fast(here) - fast(there)
    error = math.sqrt(_error(there) ** 2 + _error(here) ** 2 + DRIFT**2)
    yardstick = np.log([one.yardstick_ms for one in now])
    return Change(
        file_ms=math.exp(fast(there)),
        now_ms=math.exp(fast(here)),
        ratio=math.exp(difference),
        low=math.exp(difference - 1.96 * error),
        high=math.exp(difference + 1.96 * error),
        error=error,
        machine_ratio=math.exp(fast(yardstick) - fast(np.log(reference.yardstick_cpu_ms))),
    )


def largest_error(tolerance: float) -> float:
    """Return the error with which a slow-down of twice the tolerance is still caught in 95 %."""
    return (math.log1p(2 * tolerance) - math.log1p(tolerance)) / Z_CAUGHT


def slower(change: Change, tolerance: float) -> bool:
    """Whether executions cost more than the tolerance allows, and more than noise explains."""
    difference = math.log(change.ratio)
    return difference > math.log1p(tolerance) and difference > Z_ALARM * change.error


def explained_by_machine(change: Change, tolerance: float) -> bool:
    """Whether they cost no more than the tolerance once a slower machine is allowed for."""
    return change.ratio / max(1.0, change.machine_ratio) <= 1 + tolerance


def _error(logs: Samples) -> float:
    """Return the standard error of the quantile that counts, by resampling windows (Efron 1979)."""
    rng = np.random.default_rng(0)
    drawn = rng.choice(logs, (RESAMPLES, len(logs)))
    resampled = float(np.quantile(drawn, FAST, axis=1).std())
    return max(resampled, LEAST_SPREAD / math.sqrt(len(logs)))


def _change(question: GateQuestion, costs: Sequence[CostWindow]) -> Change | None:
    reference = question.tuned.reference
    return compare_execution(reference, costs) if reference is not None and costs else None


def _weigh(
    question: GateQuestion, mine: Sequence[Measured], summary: Summary, change: Change | None
) -> _Case:
    slo, case = question.tuned.slo, _Case([], [], [], [])
    verdict = decide_once(evidence(*offered(mine), slo), slo, CONFIDENCE)
    value = summary.objective.value_ms
    what = f"p{slo.percentile:g} is {value:.3g} ms" if value is not None else "requests were lost"
    over = f"{what} at {question.entry.load_rps:g} requests/s, the SLO {slo.latency_ms:g} ms"
    if summary.diverged:
        over = f"the queue grows without end at {question.entry.load_rps:g} requests/s"
    if summary.diverged or verdict == "fail":
        if _disturbed(mine):
            case.doubts.append(f"{over}, but {summary.disturbed[0]}")
            case.steps.append("check on a quiet machine: `autotune doctor` says what disturbs it")
        else:
            case.missed.append(over)
    elif not summary.meets_slo:
        case.doubts.append(f"{over}, not proven either way by {summary.requests:,} requests")
        case.steps.append(f"measure for longer: --budget {3 * question.budget_s:g}s")
    if change is not None:
        _weigh_change(case, change, question.tolerance)
    elif question.tuned.reference is not None:
        case.doubts.append("one execution on one thread could not be measured")
    return case


def _weigh_change(case: _Case, change: Change, tolerance: float) -> None:
    interval = f"x{change.ratio:.2f} [{change.low:.2f}-{change.high:.2f}]"
    costs = (
        f"one execution takes {change.now_ms:.3g} ms of CPU time where the file has "
        f"{change.file_ms:.3g} ms: {interval}"
    )
    if slower(change, tolerance) and explained_by_machine(change, tolerance):
        case.doubts.append(f"{costs}, but the machine itself is x{change.machine_ratio:.2f} slower")
        case.steps.append("check again later, or search again if the machine stays as it is")
    elif slower(change, tolerance):
        case.regressed.append(f"{costs}, more than the {100 * tolerance:g} % allowed")
    elif change.error > largest_error(tolerance):
        case.doubts.append(
            "CPU times of an execution vary too much to tell a slow-down of "
            f"{200 * tolerance:g} % ({interval})"
        )
        allow = 100 * (math.exp(Z_CAUGHT * change.error) - 1)
        case.steps.append(
            "check on a quieter machine (`autotune doctor`), or allow more: "
            f"--tolerance {allow:.0f}%"
        )


def _compare_with_default(
    case: _Case, question: GateQuestion, runs: GateRuns, floor: NoiseFloor
) -> None:
    """A regression as well: what was proven better than the default is now proven worse.

    Beyond the noise floor, that is: by more than the configuration differs from itself.
    """
    gain = question.entry.gain
    if not runs.default or gain is None or not gain.proven or gain.latency_ratio is None:
        return
    found = _compared(runs.mine, runs.default, question.tuned.slo)
    proven = found.p_value <= 1 - CONFIDENCE and found.low is not None and found.low > 1
    worse = proven and (found.ratio or 1) > (floor.high or math.inf)
    if gain.latency_ratio < 1 and worse and not _disturbed([*runs.mine, *runs.default]):
        case.regressed.append(
            f"it is slower than the runtime's default (x{found.ratio:.2f} [{found.low:.2f}-"
            f"{found.high:.2f}]), where the file has x{gain.latency_ratio:.2f}"
        )


def _answer(question: GateQuestion, case: _Case, summary: Summary) -> tuple[GateAnswer, list[str]]:
    """The gravest proven answer first; doubts only where nothing else is known."""
    stale = question.stale if question.stale_fails else []
    reasons = [*case.missed, *case.regressed, *stale, *case.doubts]
    if case.missed:
        return "slo_missed", reasons
    if case.regressed:
        return "regression", reasons
    if stale:
        return "stale", reasons
    if case.doubts:
        return "undecided", reasons
    value = summary.objective.value_ms
    slo = question.tuned.slo
    return "holds", [
        f"p{slo.percentile:g} is {value or math.inf:.3g} ms at {question.entry.load_rps:g} "
        f"requests/s, the SLO {slo.latency_ms:g} ms"
    ]


def _next_steps(question: GateQuestion, answer: GateAnswer, case: _Case) -> list[str]:
    if answer == "holds":
        return []
    if answer == "undecided":
        return case.steps
    slo = question.tuned.slo
    percentile = "" if slo.percentile == 99 else f" --percentile {slo.percentile:g}"
    return [f"search again: autotune search {question.name} --slo {slo.latency_ms:g}ms{percentile}"]


def _notes(question: GateQuestion, runs: GateRuns) -> list[str]:
    notes = [] if question.stale_fails else list(question.stale)
    tuned_with = question.tuned.model.request_source
    if runs.info.sample_source != tuned_with:
        notes.append(
            f"requests are {runs.info.sample_source} here; the file was made with {tuned_with}"
        )
    return notes


def _disturbed(runs: Sequence[Measured]) -> bool:
    return sum(bool(run.disturbed) for run in runs) >= DISTURBED_SHARE * len(runs)


def _compared(left: Sequence[Measured], right: Sequence[Measured], slo: Slo) -> Comparison:
    rounds = min(len(left), len(right))
    return compare_latency(left[:rounds], right[:rounds], _quantile([*left, *right], slo))


def _quantile(runs: Sequence[Measured], slo: Slo) -> float:
    return comparable_quantile(min(run.served + run.lost for run in runs), slo.quantile)


def _floor(left: Sequence[Measured], right: Sequence[Measured], slo: Slo) -> NoiseFloor:
    found = _compared(left, right, slo)
    percentile = 100 * _quantile([*left, *right], slo)
    return NoiseFloor(percentile=percentile, ratio=found.ratio, low=found.low, high=found.high)
