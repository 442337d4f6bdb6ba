"""From what was measured to the file, with the sentence that says what to deploy."""

import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from autotune import model_file
from autotune.config_file import PolicyEntry, Status, TunedFile
from autotune.probes.machine import this_machine
from autotune.search_info import SearchInfo, StopReason
from autotune.stages.answer import identity_of
from autotune.stats.summary import summarize
from autotune.strategy.winner import Contender as Single
from autotune.strategy.winner import Goal, compare
from autotune.together.choose import Judged, decide, versus
from autotune.together.confirm import Finalist
from autotune.together.explore import Hunt
from autotune.together.records import Contender, Placed, Served, ServiceAsked, TogetherFile
from autotune.together.scaled import Tried, largest_scale
from autotune.together.sentence import summarize_together
from autotune.units import format_rps


class Ended(NamedTuple):
    """How the search ended."""

    stopped: StopReason
    started_at: str
    """UTC, ISO 8601."""


def answer(
    hunt: Hunt, finalists: Sequence[Finalist], tried: Sequence[Tried], ended: Ended
) -> TogetherFile:
    """Choose what is recommended and write down all there is to know.

    Raises:
        MeasureError: nothing was measured in a whole round.
    """
    services = hunt.question.services
    judged, winner = decide(finalists, services)
    others = [one for one in judged if one is not winner]
    scale = None if winner.meets_all else largest_scale(hunt, winner, tried)
    contenders = [_contender(hunt, one) for one in [winner, *others]]
    against = [versus(winner, one, services) for one in others]
    return TogetherFile(
        format="autotune-together",
        schema_version=2,
        status=_status(winner, ended),
        summary=summarize_together(contenders, against, services, scale),
        services=[
            ServiceAsked(
                name=one.name,
                steps=[step.name for step in one.steps],
                per_request=[step.per_request for step in one.steps],
                slo=one.slo,
                load_rps=one.traffic.load_rps,
                arrivals=one.traffic.pattern.describe(),
            )
            for one in services
        ],
        recommended=contenders[0].placed,
        recommended_way=winner.finalist.way,
        contenders=contenders,
        versus=against,
        largest_scale=scale,
        interference=list(hunt.ground.interference),
        trials=hunt.trials,
        joints=len(hunt.space.joints),
        stopped=ended.stopped,
        started_at=ended.started_at,
        seconds=round(hunt.deadline.elapsed_s, 1),
        budget_s=hunt.deadline.budget_s,
        seed=hunt.question.seed,
        machine=this_machine(),
        autotune=version("autotune"),
        members={
            model.name: _member(hunt, number, winner, judged, ended)
            for number, model in enumerate(hunt.question.models)
        },
    )


def _status(winner: Judged, ended: Ended) -> Status:
    if ended.stopped == "interrupted":
        return "interrupted"
    return "complete" if winner.meets_all else "slo_not_met"


def _contender(hunt: Hunt, one: Judged) -> Contender:
    names = [model.name for model in hunt.question.models]
    services = hunt.question.services
    return Contender(
        way=one.finalist.way,
        placed=hunt.layout(one.finalist.joint).placed(names),
        served=[
            Served(service=service.name, measured=seen)
            for service, seen in zip(services, one.served, strict=True)
        ],
        meets_all=one.meets_all,
        missed_share=one.missed_share,
        cores_used=one.cores_used,
    )


def _member(
    hunt: Hunt, number: int, winner: Judged, judged: Sequence[Judged], ended: Ended
) -> TunedFile:
    """Return what was found for one model as a tuned file: at its one load, beside the others."""
    model, known = hunt.question.models[number], hunt.ground.known[number]
    service, info = hunt.question.services[model.service], known.info
    mine = _single(hunt, number, winner)
    default = next((one for one in judged if one.finalist.way == "default"), None)
    theirs = None if default is None else _single(hunt, number, default)
    gain = theirs and compare(mine, theirs, Goal(service.slo))
    entry = PolicyEntry(
        load_rps=model.load_rps,
        config=mine.config,
        evidence="confirmed",
        meets_slo=mine.summary.meets_slo,
        predicted_ms=1e3 * _predicted_s(hunt, number, winner),
        measured=mine.summary,
        default=None if theirs is None else theirs.summary,
        gain=gain if winner is not default else None,
        binding=None,
    )
    placed = hunt.layout(winner.finalist.joint).placed([model.name] * len(hunt.ground.known))
    return TunedFile(
        format="autotune",
        schema_version=9,
        status=_status(winner, ended),
        summary=_beside(hunt, number, placed[number]),
        recommended=mine.config,
        policy=[entry],
        slo=service.slo,
        arrivals=service.traffic.pattern.describe(),
        model=identity_of(model.name, model.spec, info, model_file.sha256(Path(model.spec.path))),
        machine=this_machine(),
        runtime=info.runtime,
        autotune=version("autotune"),
        search=_search_info(hunt, number, ended),
        reference=None,
        front=[],
        trials=[],
        finalists=[],
        curves=[],
        lattice=None,
        repeat=None,
        lesson=None,
        service=None,
        power=None,
        trade_offs=[],
        target=None,
    )


def _single(hunt: Hunt, number: int, one: Judged) -> Single:
    """Return a finalist as one model saw it."""
    runs = [run.models[number] for run in one.finalist.runs]
    config = hunt.layout(one.finalist.joint).configs[number]
    model = hunt.question.models[number]
    return Single(config, runs, summarize(runs, hunt.question.services[model.service].slo))


def _predicted_s(hunt: Hunt, number: int, winner: Judged) -> float:
    return hunt.beliefs.predicted_s(number, hunt.space.joints.index(winner.finalist.joint))


def _beside(hunt: Hunt, number: int, placed: Placed) -> str:
    """Return what must be known of a model's own answer: beside what it holds, and where."""
    others = [
        f"{one.name} at {format_rps(one.load_rps)} requests/s"
        for place, one in enumerate(hunt.question.models)
        if place != number
    ]
    where = "" if placed.cpus is None else f" on CPU {placed.cpus} (taskset -c {placed.cpus})"
    return f"Deploy {placed.config.describe()}{where}, beside {' and '.join(others)}."


def _search_info(hunt: Hunt, number: int, ended: Ended) -> SearchInfo:
    known = hunt.ground.known[number]
    excluded = known.lattice.excluded
    return SearchInfo(
        started_at=ended.started_at,
        seconds=round(hunt.deadline.elapsed_s, 1),
        profile_seconds=round(hunt.ground.profile_s, 1),
        budget_s=hunt.deadline.budget_s,
        seed=hunt.question.seed,
        stopped=ended.stopped,
        points=len(known.lattice.configs),
        left_out=[f"{config.describe()}: {reason}" for config, reason in excluded],
        sustainable_rps=hunt.question.models[number].load_rps,
        objective="latency",
        max_risk=None,
        violations=sum((one.measured_worst or math.inf) > 1 for one in hunt.trials),
        prediction=None,
        compiled_s=0.0,
        placements=[],
        strategy="rrl",
        learnt=None,
    )
