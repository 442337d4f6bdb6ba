"""Answer: from everything measured to the file, with the sentence that says what to deploy."""

import math
from importlib.metadata import version
from typing import NamedTuple

import msgspec

from autotune.arrivals import Traffic
from autotune.config_file import (
    Binding,
    ModelIdentity,
    PolicyEntry,
    Status,
    TunedFile,
)
from autotune.outcome import Measured, ModelInfo
from autotune.probes.machine import this_machine
from autotune.runtime_environment import is_torch
from autotune.search_info import Learnt, SearchInfo, StopReason
from autotune.service import Power
from autotune.spec import ModelSpec, ServingConfig
from autotune.stages.confirm import finalists
from autotune.stages.context import Context
from autotune.stages.energy import power_after, trade_offs
from autotune.stages.evidence import all_finalists, curves, lattice_map, repeat_arguments
from autotune.stages.foresight import prediction_error
from autotune.stages.front import pareto_front
from autotune.stages.goal import cores_of
from autotune.stages.lessons import lesson_of
from autotune.stages.question import Question
from autotune.stages.reference import reference_of
from autotune.stages.sentence import meeting_from_below, summarize_policy
from autotune.stages.serving import service_of
from autotune.stages.survey import Ground, best_predicted
from autotune.stages.targeted import target_info, target_sentence
from autotune.stats.summary import summarize
from autotune.strategy.protocol import Search, Strategy
from autotune.strategy.winner import Contender, Goal, choose, compare


class Ended(NamedTuple):
    """How the search ended."""

    stopped: StopReason
    started_at: str
    model_sha256: str


def answer(context: Context, ground: Ground, strategy: Search, ended: Ended) -> TunedFile:
    """Choose the winner at every load and write down all there is to know."""
    entries = [_entry(context, ground, strategy, load) for load in range(len(ground.traffics))]
    through = context.question.target is not None
    predicted_rps = math.inf if through else ground.sustainable_rps  # by the engine alone
    entries = [_with_binding(entry, entries, predicted_rps) for entry in entries]
    question, info, engine = context.question, ground.info, context.question.engine
    target = target_info(context, ground.lattice, entries, is_torch(info.runtime))
    off = [] if target is None else [target_sentence(target, entries, question.slo.percentile)]
    power = _power(context, ground)
    rates_rps = {traffic.load_rps: traffic.mean_rps for traffic in ground.traffics}
    return TunedFile(
        format="autotune",
        schema_version=9,
        status=_status(entries, context, ended),
        summary=" ".join([summarize_policy(entries, question.slo), *off]),
        recommended=recommended(entries),
        policy=entries,
        slo=question.slo,
        arrivals=ground.traffics[0].pattern.describe(),
        model=identity_of(question.name, question.model, info, ended.model_sha256),
        machine=this_machine(with_gpus=ground.lattice.configs[0].on_gpu),
        runtime=info.runtime,
        autotune=version("autotune"),
        search=_search_info(context, ground, strategy, ended, entries),
        reference=engine.reference if engine else reference_of(context.journal.cost_windows),
        front=pareto_front(context.journal.trials, lambda config: cores_of(config, ground)),
        trials=context.journal.trials,
        finalists=all_finalists(context, ground, strategy),
        curves=curves(context, ground, recommended(entries)),
        lattice=lattice_map(context, ground, strategy),
        repeat=repeat_arguments(question),
        # Both are of executions by themselves, which a server does not show.
        lesson=None if engine else lesson_of(context, ground),
        service=None if engine else service_of(context, ground, entries),
        power=power,
        trade_offs=trade_offs(context, power, rates_rps, lambda config: cores_of(config, ground)),
        target=target,
    )


def identity_of(name: str, model: ModelSpec, info: ModelInfo, sha256: str) -> ModelIdentity:
    """Return which model a file is for: as a person named it, and as it was found to be."""
    return ModelIdentity(
        name=name,
        sha256=sha256,
        function=model.function,
        channels_last=model.channels_last,
        inputs=info.inputs,
        request_shapes=info.sample_shapes,
        request_source=info.sample_source,
        batchable=info.batchable,
        batch_reason=info.batch_reason,
    )


def _power(context: Context, ground: Ground) -> Power:
    return power_after(ground.power, context.journal.all_runs())


def as_asked(kept: TunedFile, question: Question) -> TunedFile:
    """Return an answer of the store with the name that the model goes by now."""
    model = msgspec.structs.replace(kept.model, name=question.name)
    return msgspec.structs.replace(kept, model=model, repeat=repeat_arguments(question))


def recommended(entries: list[PolicyEntry]) -> ServingConfig:
    """Return the configuration of the highest load up to which all meet the SLO, or the first."""
    meeting = meeting_from_below(entries)
    return (meeting[-1] if meeting else entries[0]).config


def _status(entries: list[PolicyEntry], context: Context, ended: Ended) -> Status:
    if ended.stopped == "interrupted":
        return "interrupted"
    met = len(meeting_from_below(entries))
    # Loads that autotune chose itself end above what the machine sustains, on purpose.
    asked = context.question.traffics is not None
    return "complete" if met >= (len(entries) if asked else 1) else "slo_not_met"


def _search_info(
    context: Context,
    ground: Ground,
    strategy: Search,
    ended: Ended,
    entries: list[PolicyEntry],
) -> SearchInfo:
    measured = [trial.measured for trial in context.journal.trials if trial.measured is not None]
    return SearchInfo(
        started_at=ended.started_at,
        seconds=round(context.deadline.elapsed_s, 1),
        profile_seconds=round(ground.profile_s, 1),
        budget_s=context.deadline.budget_s,
        seed=context.question.seed,
        stopped=ended.stopped,
        points=len(ground.lattice.configs),
        left_out=[f"{config.describe()}: {reason}" for config, reason in ground.lattice.excluded],
        sustainable_rps=ground.sustainable_rps,
        objective=context.question.objective,
        max_risk=context.question.max_risk,
        violations=sum(not one.meets_slo for one in measured),
        prediction=prediction_error(context, ground, entries),
        compiled_s=context.bench.compiled_s,
        placements=context.bench.placements,
        strategy=context.question.strategy,
        learnt=_learnt(ground, strategy),
    )


def _learnt(ground: Ground, strategy: Search) -> Learnt | None:
    experience = ground.pupil.experience
    if experience is None:
        return None
    return Learnt(
        searches=len(experience.lessons),
        version_of=None if ground.version is None else ground.version.search.started_at,
        times_trust=ground.predictor.trust,
        latency_trust=strategy.trust,
    )


def _entry(context: Context, ground: Ground, strategy: Strategy, load: int) -> PolicyEntry:
    traffic = ground.traffics[load]
    contenders = _contenders(context, finalists(ground, strategy, load), traffic)
    if contenders:
        return _confirmed(context, ground, load, contenders)
    best = strategy.best(load)
    point = best[0] if best else best_predicted(ground.predicted_s[load], ground.lattice.configs)
    config = ground.lattice.configs[point]
    runs = context.journal.runs("search", traffic, config)
    measured = summarize(runs, context.question.slo) if runs else None
    predicted_ms = ground.predicted_ms(load, config)
    return PolicyEntry(
        load_rps=traffic.load_rps,
        config=config,
        evidence="measured" if measured else "predicted",
        meets_slo=(
            measured.meets_slo if measured else predicted_ms <= context.question.slo.latency_ms
        ),
        predicted_ms=predicted_ms,
        measured=measured,
        default=None,
        gain=None,
        binding=None,
    )


def _contenders(context: Context, field: list[ServingConfig], traffic: Traffic) -> list[Contender]:
    """Return the confirmed finalists, the default first; none where a round was cut short.

    A finalist that failed is out. Rounds are paired, so each counts only if all lasted it; one
    whose queue diverged was not measured further and is judged by all that it showed: a good
    round before must not hide the one in which it broke down.
    """
    journal = context.journal
    failed = {
        trial.config
        for trial in journal.trials
        if trial.failure is not None and trial.load_rps == traffic.load_rps
    }
    runs = {c: journal.runs("confirm", traffic, c) for c in field if c not in failed}
    diverged = {config for config, seen in runs.items() if any(run.diverged for run in seen)}
    rounds = min((len(seen) for config, seen in runs.items() if config not in diverged), default=1)
    if field[0] not in runs or not rounds:
        return []
    return [
        _contender(context, config, seen if config in diverged else seen[:rounds])
        for config, seen in runs.items()
    ]


def _contender(context: Context, config: ServingConfig, runs: list[Measured]) -> Contender:
    return Contender(config, runs, summarize(runs, context.question.slo))


def _confirmed(
    context: Context, ground: Ground, load: int, contenders: list[Contender]
) -> PolicyEntry:
    question, traffic, default = context.question, ground.traffics[load], contenders[0]
    power = _power(context, ground)
    goal = Goal(
        question.slo,
        question.objective,
        lambda config: cores_of(config, ground),
        lambda cpu_s, read: power.joules_per_request(traffic.mean_rps, cpu_s, read),
    )
    winner = choose(contenders, goal)
    return PolicyEntry(
        load_rps=traffic.load_rps,
        config=winner.config,
        evidence="confirmed",
        meets_slo=winner.summary.meets_slo,
        predicted_ms=ground.predicted_ms(load, winner.config),
        measured=winner.summary,
        default=default.summary,
        gain=None if winner is default else compare(winner, default, goal),
        binding=None,
    )


def _with_binding(
    entry: PolicyEntry, entries: list[PolicyEntry], sustainable_rps: float
) -> PolicyEntry:
    if entry.meets_slo:
        return entry
    met_rps = [
        other.load_rps
        for other in meeting_from_below(entries)
        if other.measured is not None and other.load_rps < entry.load_rps
    ]
    predicted_rps = sustainable_rps if sustainable_rps < entry.load_rps else 0.0
    highest_rps = max([*met_rps, predicted_rps])
    lost = entry.measured is not None and entry.measured.objective.value_ms is None
    lowest_ms = entry.measured.objective.value_ms if entry.measured else entry.predicted_ms
    binding = Binding(
        nearest=entry.config,
        lowest_slo_ms=None if lost else lowest_ms,
        highest_load_rps=highest_rps or None,
        highest_load_evidence=(
            None if not highest_rps else "measured" if highest_rps in met_rps else "predicted"
        ),
    )
    return msgspec.structs.replace(entry, binding=binding)
