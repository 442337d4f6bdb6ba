"""What would be measured and for how long: the same steps as for real, up to the first of them."""

import time

from autotune import config_file
from autotune.outcome import ModelInfo
from autotune.space.axes import Axes
from autotune.spec import ModelSpec, Objective, Record, ServingConfig, Slo
from autotune.stages.confirm import MAX_FINALISTS, ROUNDS, round_seconds, windows_of_round_s
from autotune.stages.drive import search_window_s
from autotune.stages.events import Observer
from autotune.stages.explore import SEARCH_SHARE
from autotune.stages.gate_rounds import (
    GateQuestion,
    inspect_for_gate,
    plan_gate_rounds,
    sides_of,
)
from autotune.stages.question import MeasureQuestion, Question, allowed_by, default_budget_s
from autotune.stages.single import inspect, plan_rounds
from autotune.stages.survey import look_around, shares_of_capacity
from autotune.stats.sequential import LEAD_IN, PASS_CAUTION, Evidence, factor_to_decide
from autotune.trial.bench import Bench
from autotune.units import format_shape


class PlannedModel(Record, frozen=True):
    """What loading the model and running it once told."""

    name: str
    load_s: float
    run_ms: float
    """Of one request, with the runtime's default."""
    replica_bytes: int
    """Memory that a replica adds."""
    batchable: bool
    batch_reason: str
    outputs_checked: bool
    outputs_reason: str
    request: str


class PlannedLoad(Record, frozen=True):
    """A load that would be measured."""

    load_rps: float
    search_window_s: float
    """Of one configuration while searching."""
    confirm_window_s: float
    """Of one finalist in one round, where the search takes all of its time."""


class SearchPlan(Record, frozen=True):
    """A search that would be made."""

    model: PlannedModel
    slo: Slo
    objective: Objective
    max_risk: float | None
    incumbent: list[ServingConfig]
    """What serves now and would be measured first; empty: nothing does."""
    strategy: str
    """The search that would say what is measured, by name."""
    target: str | None
    """The server that a second search would go through; None: there is but one, of the engine."""
    arrivals: str
    cores: int
    configurations: int
    axes: Axes
    left_out: list[str]
    """Sessions that memory cannot hold, each with the reason."""
    loads: list[PlannedLoad]
    """Empty where they are worked out from the profile."""
    load_shares: list[float]
    """... as these shares of what the machine sustains."""
    budget_s: float
    budget_given: bool
    search_until_s: float
    """What of the budget profile and search may spend; the rest confirms."""
    max_trials: int | None
    finalists: int
    """Most configurations that are confirmed at one load, the runtime's default among them."""
    rounds: int
    """Interleaved, of the confirmation."""
    rounds_in_time: int | None
    """How many of them fit, where the search takes all of its time; None: not known before."""
    seed: int
    output: str | None
    """None: the answer is kept in memory only."""
    replaces: bool
    """Whether a file is there already."""


class MeasurePlan(Record, frozen=True):
    """A measurement that would be made."""

    model: PlannedModel
    slo: Slo
    configs: list[ServingConfig]
    load_rps: float
    arrivals: str
    confidence: float
    duration_s: float
    """At most: a verdict ends it earlier."""
    pass_requests: int | None
    """About so many, none of them over, prove that the SLO is met; None: more than a million."""
    pass_s: float | None
    """In which these arrive."""
    rounds: int
    """Interleaved, of a comparison; 0: nothing is compared."""
    window_s: float
    seed: int


class GatePlan(Record, frozen=True):
    """A check that would be made."""

    model: PlannedModel
    file: str
    slo: Slo
    stale: list[str]
    configs: list[ServingConfig]
    """What is measured in each round."""
    load_rps: float
    arrivals: str
    tolerance: float
    budget_s: float
    rounds: int
    window_s: float
    """About: loading the sessions is not known before."""
    seed: int


def plan_search(question: Question, observe: Observer = lambda event: None) -> SearchPlan:
    """Return what `tune.search` would do.

    Raises:
        UsageError, ModelError: as it would.
    """
    output = question.output
    if output is not None:
        config_file.check_writable(output)
    with Bench(question.model, question.allowed) as bench:
        site = look_around(question, bench, observe)
    budget_s = question.budget_s or default_budget_s(site.info.run_s)
    traffics = question.traffics or []
    finalists = min(1 + MAX_FINALISTS, len(site.lattice.configs))
    round_s = (1 - SEARCH_SHARE) * budget_s / ROUNDS
    runs = [finalists] * len(traffics)
    windows_s = windows_of_round_s(traffics, runs, round_s)
    fitting = int(ROUNDS * round_s / round_seconds(windows_s, runs)) if traffics else None
    return SearchPlan(
        model=_model(question.name, question.model, site.info),
        slo=question.slo,
        objective=question.objective,
        max_risk=question.max_risk,
        incumbent=list(dict.fromkeys(one.config for one in question.incumbent)),
        strategy=question.strategy,
        target=None if question.target is None else question.target.describe(),
        arrivals=question.pattern.describe(),
        cores=site.cores,
        configurations=len(site.lattice.configs),
        axes=site.axes,
        left_out=[f"{one.describe()}: {reason}" for one, reason in site.lattice.excluded],
        loads=[
            PlannedLoad(
                load_rps=traffic.load_rps,
                search_window_s=search_window_s(traffic, budget_s),
                confirm_window_s=window_s,
            )
            for traffic, window_s in zip(traffics, windows_s, strict=True)
        ],
        load_shares=[] if traffics else list(shares_of_capacity(question.objective)),
        budget_s=budget_s,
        budget_given=question.budget_s is not None,
        search_until_s=SEARCH_SHARE * budget_s,
        max_trials=question.max_trials,
        finalists=finalists,
        rounds=ROUNDS,
        rounds_in_time=None if fitting is None else min(ROUNDS, fitting),
        seed=question.seed,
        output=None if output is None else str(output),
        replaces=output is not None and output.exists(),
    )


def plan_measure(question: MeasureQuestion, observe: Observer = lambda event: None) -> MeasurePlan:
    """Return what `tune.measure` would do.

    Raises:
        UsageError, ModelError: as it would.
    """
    rounds, window_s = (0, 0.0) if question.other is None else plan_rounds(question)
    with Bench(question.model, allowed_by(question.configs)) as bench:
        info = inspect(question, bench, observe)
    requests = _requests_to_pass(question.slo, question.confidence)
    return MeasurePlan(
        model=_model(question.name, question.model, info),
        slo=question.slo,
        configs=question.configs,
        load_rps=question.traffic.load_rps,
        arrivals=question.traffic.pattern.describe(),
        confidence=question.confidence,
        duration_s=question.duration_s,
        pass_requests=requests,
        pass_s=None if requests is None else question.traffic.seconds_for(requests),
        rounds=rounds,
        window_s=window_s,
        seed=question.seed,
    )


def plan_gate(question: GateQuestion, observe: Observer = lambda event: None) -> GatePlan:
    """Return what `tune.check` would do.

    Raises:
        UsageError, ModelError: as it would.
    """
    started_s = time.monotonic()
    with Bench(question.model, allowed_by([question.entry.config])) as bench:
        info = inspect_for_gate(question, bench, observe)
    sides = sides_of(question.entry.config)
    loaded_s = sum(one.replicas * info.load_s for one in dict.fromkeys(sides))
    left_s = question.budget_s - (time.monotonic() - started_s) - loaded_s
    rounds, window_s = plan_gate_rounds(question, left_s, len(sides))
    return GatePlan(
        model=_model(question.name, question.model, info),
        file=question.file,
        slo=question.tuned.slo,
        stale=question.stale,
        configs=sides,
        load_rps=question.entry.load_rps,
        arrivals=question.pattern.describe(),
        tolerance=question.tolerance,
        budget_s=question.budget_s,
        rounds=rounds,
        window_s=window_s,
        seed=question.seed,
    )


def _model(name: str, spec: ModelSpec, info: ModelInfo) -> PlannedModel:
    shapes = ", ".join(f"{of} {format_shape(sizes)}" for of, sizes in info.sample_shapes.items())
    kinds = "; ".join(kind.describe() for kind in spec.requests)
    return PlannedModel(
        name=name,
        load_s=info.load_s,
        run_ms=1e3 * info.run_s,
        replica_bytes=info.footprint_bytes,
        batchable=info.batchable,
        batch_reason=info.batch_reason,
        outputs_checked=info.outputs_checked,
        outputs_reason=info.outputs_reason,
        request=kinds or f"{shapes}: {info.sample_source}",
    )


def _requests_to_pass(slo: Slo, confidence: float) -> int | None:
    """Return about how many requests, independent and none of them over, prove the SLO met."""
    some = Evidence(requests=100, over=0, clusters=0, pass_divisor=PASS_CAUTION, fail_divisor=1.0)
    factor = factor_to_decide(some, slo, confidence)
    return None if factor is None else round(factor * some.requests / (1 - LEAD_IN))
