"""Weigh what was measured: verdicts, validity and differences, as one record."""

import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from autotune import model_file
from autotune.outcome import Measured, ModelInfo, Stopped
from autotune.patterns import Trace
from autotune.probes.machine import this_machine
from autotune.spec import Slo
from autotune.stages.measurement import Difference, Measurement, Side, SloAnswer, SloResult
from autotune.stages.question import MeasureQuestion
from autotune.stages.single import CYCLES_TO_PASS, Runs
from autotune.stages.validity import ceiling_rps, how_to_decide, judge_validity
from autotune.stats.breakdown import after_idle, histogram, parts_of
from autotune.stats.paired import Comparison, comparable_quantile, compare_cpu, compare_latency
from autotune.stats.sequential import Evidence, Verdict, decide, evidence
from autotune.stats.summary import offered, summarize

_STOPPED: dict[Stopped, SloAnswer] = {"passed": "PASS", "failed": "FAIL", "diverged": "FAIL"}
_DECIDED: dict[Verdict, SloAnswer] = {"pass": "PASS", "fail": "FAIL", "undecided": "UNDECIDED"}


def weigh(question: MeasureQuestion, info: ModelInfo, measured: Sequence[Runs]) -> Measurement:
    """Return the answer to the question."""
    sides = [_side(question, info, one) for one in measured]
    return Measurement(
        model=question.name,
        sha256=model_file.sha256(Path(question.model.path)),
        arrivals=question.traffic.pattern.describe(),
        load_rps=question.traffic.load_rps,
        slo=question.slo,
        sides=sides,
        differences=_differences(question.slo, *measured) if len(measured) == 2 else [],
        machine=this_machine(),
        runtime=info.runtime,
        autotune=version("autotune"),
        seed=question.seed,
    )


def _side(question: MeasureQuestion, info: ModelInfo, one: Runs) -> Side:
    slo = question.slo
    seen = evidence(*offered(one.runs), slo)
    result = slo_result(one, seen, question)
    load = (question.traffic.mean_rps, ceiling_rps(info, one.config))
    validity = judge_validity(one.runs, slo, load, result, _cycles(one, question))
    steps = [*validity.next_steps, *_after_verdict(question, one, seen, result)]
    return Side(
        config=one.config,
        validity=msgspec.structs.replace(validity, next_steps=steps),
        slo=result,
        summary=summarize(one.runs, slo),
        mean=parts_of(one.runs),
        slowest=parts_of(one.runs, slowest=1 - slo.quantile),
        histogram=histogram(one.runs),
        after_idle=after_idle(one.runs),
        idle_cores=one.idle_cores,
        served_rps=_served_rps(one.runs),
        windows=len(one.runs),
        seconds=round(one.seconds, 2),
    )


def _after_verdict(
    question: MeasureQuestion, one: Runs, seen: Evidence, result: SloResult
) -> list[str]:
    """What to do where the SLO is missed or undecided."""
    if result.answer == "UNDECIDED":
        # `--duration` is shared by all that is measured.
        sides = len(question.configs)
        if decide(seen, question.slo, question.confidence) == "pass":
            longer_s = 1.2 * sides * _seconds_to_pass(question)
            return [
                f"{question.traffic.pattern.describe()} must be seen {CYCLES_TO_PASS:g} times "
                f"around: measure for about {longer_s:,.0f} s (--duration {longer_s:.0f}s)"
            ]
        seconds = sides * _seconds(one)
        return [how_to_decide(seen, question.slo, result, seconds)]
    if result.answer == "FAIL":
        slo = question.slo
        percentile = "" if slo.percentile == 99 else f"--percentile {slo.percentile:g} "
        return [
            f"look for a configuration that meets it: autotune search {question.name} --slo "
            f"{slo.latency_ms:g}ms {percentile}--load {question.traffic.load_rps:g}"
        ]
    return []


def slo_result(one: Runs, seen: Evidence, question: MeasureQuestion) -> SloResult:
    """Return the verdict at which the run stopped, or that of all that was measured."""
    stopped: Stopped = "diverged" if any(run.diverged for run in one.runs) else one.runs[-1].stopped
    answer = _STOPPED.get(stopped) or _DECIDED[decide(seen, question.slo, question.confidence)]
    if stopped == "ended" and answer == "PASS" and _seconds(one) < _seconds_to_pass(question):
        answer = "UNDECIDED"
    divisor = seen.fail_divisor if answer == "FAIL" else seen.pass_divisor
    return SloResult(
        answer=answer,
        confidence=question.confidence,
        requests=seen.requests,
        over=seen.over,
        independent=round(seen.requests / divisor, 1),
        stopped=stopped,
    )


def _seconds(one: Runs) -> float:
    return sum(run.duration_s for run in one.runs)


def _cycles(one: Runs, question: MeasureQuestion) -> float:
    """How often the traffic went through what it does; a trace does it once, in any window."""
    if isinstance(question.traffic.pattern, Trace):
        return len(one.runs)
    cycle_s = question.traffic.cycle_s
    return _seconds(one) / cycle_s if cycle_s else math.inf


def _seconds_to_pass(question: MeasureQuestion) -> float:
    """Traffic that changes its mind must have been seen for this long before it may pass."""
    return CYCLES_TO_PASS * question.traffic.cycle_s


def _served_rps(runs: Sequence[Measured]) -> float:
    """Requests answered per second; what a lead-in cut away is neither counted nor timed."""
    counted_s = sum(run.duration_s - float(run.scheduled_s[:1].sum()) for run in runs)
    return sum(run.served for run in runs) / counted_s


def _differences(slo: Slo, first: Runs, second: Runs) -> list[Difference]:
    offered_least = min(run.served + run.lost for run in [*first.runs, *second.runs])
    mine = comparable_quantile(offered_least, slo.quantile)
    quantiles = [mine, *(q for q in (0.5, 0.95) if q < mine)]
    found = [
        _difference(f"p{100 * q:.4g}", compare_latency(first.runs, second.runs, q))
        for q in quantiles
    ]
    cpu = compare_cpu(first.runs, second.runs)
    return [*found, _difference("CPU time per request", cpu)]


def _difference(what: str, found: Comparison) -> Difference:
    return Difference(what=what, **found._asdict(), differs=found.differs)
