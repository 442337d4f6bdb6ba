"""READ FIRST: a record held against a tuned file. Which part of it no longer fits, if any?"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from autotune.arrivals import Traffic
from autotune.config_file import TunedFile
from autotune.drift import advice
from autotune.drift.blocks import Blocks, cut
from autotune.drift.promised import QUANTILES, bounds
from autotune.drift.questions import (
    BLOCK_CYCLES,
    Assigned,
    Question,
    assign,
    burst_question,
    latency_questions,
    load_question,
)
from autotune.drift.records import Change, DriftAnswer, DriftReport, LevelAnswer, LevelSeen
from autotune.drift.tell import told
from autotune.observed import Observed
from autotune.outcome import Samples
from autotune.patterns import Pattern, Poisson, parse_description
from autotune.records import Percentile
from autotune.stats.betting import Risen, risen, would_tell
from autotune.stats.percentiles import percentile_interval
from autotune.stats.summary import as_record
from autotune.units import format_rps


class Watched(NamedTuple):
    """What is asked."""

    tuned: TunedFile
    file: str
    """What to call it, also in commands to run next."""
    observed: Observed
    source: str
    """What to call that."""
    false_alarms: float
    """Chance of any false alarm in the whole record: half is for the tests, shared among them, and
    half for the promise's own noise."""
    tolerance: float
    """Share by which latencies and loads may exceed what was promised."""


class Alarm(NamedTuple):
    """A question that was answered with yes."""

    question: Question
    found: Risen


def judge(asked: Watched) -> DriftReport:
    """Say whether the policy still fits what was observed, and what to measure again if not."""
    tuned, observed = asked.tuned, asked.observed
    seconds = float(observed.arrived_s[-1] - observed.arrived_s[0])
    mean_rps = len(observed.arrived_s) / seconds
    pattern = parse_description(tuned.arrivals)
    traffic = Traffic(load_rps=1.0, pattern=pattern or Poisson())
    scale = 1 / traffic.mean_rps
    blocks = cut(observed, BLOCK_CYCLES * traffic.cycle_s * mean_rps)
    assigned = assign(tuned, blocks, scale)
    questions = list(_questions(asked, pattern, blocks, assigned, scale))
    alpha = asked.false_alarms / 2 / max(1, len(questions))
    alarms = [
        Alarm(one, found) for one in questions if (found := risen(one.ratios, alpha)) is not None
    ]
    levels = [
        _level(tuned, place, blocks, assigned, _about(place, questions, alarms, alpha))
        for place in range(len(tuned.policy))
    ]
    changes = [
        told(asked.tuned, observed, blocks, one.question, one.found) for one in _main(alarms)
    ]
    answer = _answer(changes, levels)
    return DriftReport(
        answer=answer,
        file=asked.file,
        model=tuned.model.name,
        slo=str(tuned.slo),
        observed=asked.source,
        requests=len(observed.arrived_s),
        started_s=float(observed.arrived_s[0]),
        seconds=seconds,
        load_rps=mean_rps,
        outside=int(blocks.size * np.sum(~assigned.judged)),
        reasons=advice.reasons(answer, changes, levels),
        next_steps=advice.next_steps(tuned, asked.file, asked.source, changes, levels),
        notes=[*advice.notes(tuned, levels, pattern), *_at_the_end(tuned, blocks, assigned, scale)],
        levels=levels,
        changes=changes,
        false_alarms=asked.false_alarms,
        tolerance=asked.tolerance,
        tests=len(questions),
        block_requests=blocks.size,
    )


def _questions(
    asked: Watched, pattern: Pattern | None, blocks: Blocks, assigned: Assigned, scale: float
) -> Iterator[Question]:
    tuned, observed = asked.tuned, asked.observed
    cycle_s = Traffic(load_rps=1.0, pattern=pattern or Poisson()).cycle_s
    top_rps = tuned.policy[-1].load_rps
    about_load = load_question(observed, top_rps, asked.tolerance, cycle_s, scale)
    about_bursts = None if pattern is None else burst_question(observed, pattern, scale)
    yield from (one for one in (about_load, about_bursts) if one is not None)
    promised = bounds(tuned, asked.false_alarms / 2, asked.tolerance)
    yield from latency_questions(tuned, blocks, promised, assigned, scale)


def _at_the_end(
    tuned: TunedFile, blocks: Blocks, assigned: Assigned, scale: float
) -> Iterator[str]:
    """Say that a load near the table's end, which is tolerated, lies above it."""
    last = blocks.load_rps[assigned.judged & (assigned.places == len(tuned.policy) - 1)] * scale
    top_rps = tuned.policy[-1].load_rps
    if len(last) and float(np.mean(last)) > top_rps:
        yield (
            f"the load at the table's end is x{float(np.mean(last)) / top_rps:.2f} of its highest "
            f"({format_rps(top_rps)}/s), which lengthens latencies"
        )


class _About(NamedTuple):
    """What was asked and answered about one load."""

    questions: list[Question]
    alarms: list[Alarm]
    enough: bool
    """Whether latencies that are clearly longer would have raised an alarm."""


def _about(place: int, questions: list[Question], alarms: list[Alarm], alpha: float) -> _About:
    mine = [one for one in questions if one.place == place]
    enough = any(
        would_tell(one.ratios, _doubled(one.quantile), alpha)
        for one in mine
        if one.kind != "faster" and one.quantile is not None
    )
    return _About(mine, [one for one in alarms if one.question.place == place], enough)


def _doubled(quantile: float) -> float:
    """How many times the share allowed is beyond a quantile if its odds are doubled."""
    return 2 / (2 - quantile)


def _main(alarms: list[Alarm]) -> list[Alarm]:
    """Of the alarms of one kind about one load, that which came first."""
    first: dict[tuple[str, int | None], Alarm] = {}
    for one in alarms:
        key = (one.question.kind, one.question.place)
        if key not in first or _proven_s(one) < _proven_s(first[key]):
            first[key] = one
    return list(first.values())


def _proven_s(alarm: Alarm) -> float:
    return float(alarm.question.ended_s[alarm.found.alarm])


def _level(
    tuned: TunedFile, place: int, blocks: Blocks, assigned: Assigned, about: _About
) -> LevelSeen:
    entry = tuned.policy[place]
    latency_ms = blocks.latency_ms[assigned.judged & (assigned.places == place)].ravel()
    served_ms = latency_ms[np.isfinite(latency_ms)]
    lost = len(latency_ms) - len(served_ms)
    p50, p95, p99 = (_percentile(served_ms, lost, quantile) for quantile in QUANTILES)
    attained = float(np.mean(latency_ms <= tuned.slo.latency_ms)) if len(latency_ms) else None
    slower = [one.quantile for one in about.questions if one.kind == "slower"]
    return LevelSeen(
        load_rps=entry.load_rps,
        config=entry.config,
        requests=len(latency_ms),
        lost=lost,
        p50=p50,
        p95=p95,
        p99=p99,
        slo_attainment=attained,
        answer=_level_answer(about, len(latency_ms)),
        watched=[100 * one for one in slower if one is not None],
    )


def _percentile(served_ms: Samples, lost: int, quantile: float) -> Percentile | None:
    if not len(served_ms) + lost:
        return None
    return as_record(percentile_interval(served_ms, lost, quantile))


def _level_answer(about: _About, requests: int) -> LevelAnswer:
    kinds = {one.question.kind for one in about.alarms}
    answers: tuple[LevelAnswer, ...] = ("slo_missed", "slower", "faster")
    for answer in answers:
        if answer in kinds:
            return answer
    if requests and not any(one.kind != "faster" for one in about.questions):
        return "never_measured"
    return "fits" if about.enough else "too_little"


def _answer(changes: list[Change], levels: list[LevelSeen]) -> DriftAnswer:
    if any(one.kind == "slo_missed" for one in changes):
        return "slo_missed"
    if changes:
        return "drifted"
    return "fits" if any(one.answer == "fits" for one in levels) else "too_little"
