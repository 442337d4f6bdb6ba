"""Survey: inspect the model, profile a few corners, predict everything."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec import structs

from autotune.arrivals import Traffic, draw
from autotune.config_file import TunedFile
from autotune.errors import MeasureError
from autotune.learn.places import Task
from autotune.learn.teaching import taught_law
from autotune.outcome import ModelInfo, Samples
from autotune.patterns import Pattern, Poisson, Trace, explain
from autotune.predict.forecast import QUANTILES, make_lanes, saturation_rps, sustainable_rps
from autotune.predict.predictor import Basis, Predictor
from autotune.predict.queue_simulation import Lanes
from autotune.predict.service_law import ServiceLaw
from autotune.probes.cores import usable_cores
from autotune.probes.memory import available_memory_bytes
from autotune.runtime_environment import is_torch
from autotune.service import Power
from autotune.space.axes import Axes, make_axes
from autotune.space.lattice import Lattice, make_lattice
from autotune.spec import Family, Objective, ServingConfig
from autotune.stages.context import Context
from autotune.stages.drive import search_window_s
from autotune.stages.energy import power_before
from autotune.stages.events import Inspected, Observer, Predicted, Said, Started
from autotune.stages.learning import Pupil
from autotune.stages.loading import inspect_model
from autotune.stages.profile import (
    NotProfiledError,
    Profile,
    Subject,
    as_seen,
    profile,
    refine,
)
from autotune.stages.question import Deadline, Question, default_budget_s
from autotune.stages.targeted import expressible
from autotune.stages.version import former_version
from autotune.trial.measures import Measures

CAPACITY_LOADS = (0.6, 0.75, 0.85, 0.95, 1.05, 1.2)
"""The same where the highest load within the SLO is looked for."""
AUTO_LOADS = (0.15, 0.60, 0.90, 1.15)
"""Shares of what the machine sustains: nearly idle, busy, close to the edge, just above."""
FORECAST_REQUESTS = 1000
FORECAST_CYCLES = 20
"""Of bursts and quiet, or of spells and gaps: how bursts fall varies more than requests do."""
RUNS_APART_S = 1e5
"""Between the runs of a forecast: every queue is empty by then."""
MAX_FORECAST_REQUESTS = 10_000
"""More of a trace would take longer to simulate than it tells."""


MAX_LEFT_OUT = 4
"""Most configurations that are named one by one because they cannot be tried."""


class Site(NamedTuple):
    """What is known before anything is measured at all: the model, the machine, and what fits."""

    info: ModelInfo
    cores: int
    memory_bytes: int | None
    axes: Axes
    lattice: Lattice


class Ground(NamedTuple):
    """What is known before the first real measurement."""

    info: ModelInfo
    cores: int
    lattice: Lattice
    traffics: tuple[Traffic, ...]
    predictor: Predictor
    profiled_s: Samples
    """Predicted by the profile alone, at the SLO's percentile, shape (loads, points)."""
    profiled_p50_s: Samples
    """Likewise, the median."""
    sustainable_rps: float
    profile_s: float
    power: Power
    """What the machine draws, as known before the search."""
    pupil: Pupil
    """What was learnt from other searches by now."""
    version: TunedFile | None = None
    """What was found for a former version of the model; None: there is none."""

    @property
    def predicted_s(self) -> Samples:
        """Predicted latency at the SLO's percentile as of now, shape (loads, points)."""
        return self.predictor.predicted_s

    def predicted_ms(self, load: int, config: ServingConfig) -> float:
        """Predicted latency of one configuration at one load."""
        return float(self.predicted_s[load, self.lattice.configs.index(config)]) * 1e3


def survey(context: Context) -> Ground:
    """Find out what the model is and predict every configuration at every load.

    Raises:
        ModelError, UsageError: the model or its inputs cannot be used.
        MeasureError: not even one thread alone could be profiled.
    """
    question, bench, deadline = context.question, context.bench, context.deadline
    observe = context.observe
    power = power_before(context, usable_cores().usable)
    info, cores, memory_bytes, axes, lattice = look_around(question, bench, observe)
    observe(Started(step="profiling", ends_in_s=deadline.left_s))
    subject = Subject(context, info, cores, memory_bytes)
    version = former_version(subject)
    profiles, failed = profile_families(subject, lattice, max(axes.max_batch_sizes))
    lattice = lattice.without(failed)
    for excluded in left_out(lattice):
        observe(Said(text=excluded))
    family, *others = profiles
    law = profiles[family].law
    if question.budget_s is None:
        deadline.extend(default_budget_s(law.base_s))
        # Torch starts slowly, and compiles for minutes: what is left must do to measure.
        deadline.leave_out(lambda: bench.opening_s)
    observe(Started(step="predicting", ends_in_s=deadline.left_s))
    lanes = make_lanes(law, lattice.configs, info, {one: profiles[one].law for one in others})
    slo = question.slo
    sustainable = _sustainable_rps(question, lanes, law)
    highest_rps = sustainable or float(saturation_rps(lanes).max())
    traffics = question.traffics or _own_traffics(question, version, highest_rps)
    for text in dict.fromkeys(explain(one.pattern, one.load_rps) for one in traffics):
        if text is not None:
            observe(Said(text=text))
    arrivals_s = [
        forecast_arrivals(traffic, question.seed, search_window_s(traffic, deadline.budget_s))
        for traffic in traffics
    ]
    basis = make_basis(law, lanes, lattice, arrivals_s, slo.quantile)
    task = Task(law.cores, info.default_threads, law.base_s, sustainable)
    pupil, predictor = Pupil(context.past, info.traits, task, observe), Predictor(basis)
    teach_law(pupil, predictor, lattice.configs)
    for one, found in profiles.items():
        predictor.learn(as_seen(found.corners, lattice.configs, one))
    refine(subject, lattice.configs, predictor)
    ground = Ground(
        info=info,
        cores=cores,
        lattice=lattice,
        traffics=tuple(traffics),
        predictor=predictor,
        profiled_s=predictor.predicted_s.copy(),
        profiled_p50_s=predictor.quantiles_s[:, :, QUANTILES.index(0.50)].copy(),
        sustainable_rps=sustainable,
        profile_s=deadline.elapsed_s,
        pupil=pupil,
        version=version,
        power=power,
    )
    observe(_first_answer(ground, deadline))
    return ground


def teach_law(pupil: Pupil, predictor: Predictor, configs: Sequence[ServingConfig]) -> None:
    """Have a predictor go by what was learnt of the law's errors by now."""
    if pupil.experience is not None:
        lanes, sessions = predictor.lanes, predictor.sessions
        predictor.teach(taught_law(pupil.experience, lanes, sessions, configs))


def _own_traffics(
    question: Question, version: TunedFile | None, highest_rps: float
) -> list[Traffic]:
    """Return the loads that matter; of the engine or a former version, those that were answered."""
    pattern, known = question.pattern, question.engine or version
    if known is not None:
        return [Traffic(load_rps=one.load_rps, pattern=pattern) for one in known.policy]
    return auto_loads(highest_rps, pattern, shares_of_capacity(question.objective))


def profile_families(
    subject: Subject, lattice: Lattice, largest_batch: int
) -> tuple[dict[Family, Profile], dict[Family, str]]:
    """Profile what executes sessions of this lattice, the default's first.

    Returns:
        The profiles, and of those that could not be had, why.

    Raises:
        MeasureError: the default's own could not.
    """
    profiles: dict[Family, Profile] = {}
    failed: dict[Family, str] = {}
    for family in dict.fromkeys(config.family for config in lattice.configs):
        alone = structs.replace(family, replicas_as="threads")
        try:
            if alone in failed:
                raise NotProfiledError(failed[alone])
            known = profiles.get(alone) if alone != family else None
            profiles[family] = profile(subject, family, largest_batch, known)
        except NotProfiledError as error:
            if not profiles:
                raise MeasureError(f"the model does not run on one thread: {error}") from None
            failed[family] = str(error)
    return profiles, failed


def look_around(question: Question, bench: Measures, observe: Observer) -> Site:
    """Load the model, and span the lattice of what may be tried with it on this machine.

    Raises:
        ModelError, UsageError: the model or its inputs cannot be used.
    """
    info = inspect_model(question.name, question.slo, bench, observe)
    cores, memory_bytes = usable_cores().usable, available_memory_bytes()
    bench.limit_memory(memory_bytes, info.footprint_bytes)
    observe(Inspected(info=info, cores=cores))
    axes = make_axes(cores, info.batchable, question.slo.latency_ms, info.abilities)
    lattice = make_lattice(
        axes, info.default_threads, info.footprint_bytes, memory_bytes, info.process_bytes
    )
    if question.target is not None:
        torch = is_torch(info.runtime)
        lattice = expressible(lattice, question.target, torch, info.default_threads)
    return Site(info, cores, memory_bytes, axes, lattice)


def shares_of_capacity(objective: Objective) -> tuple[float, ...]:
    """Return which shares of what the machine sustains are the loads, where none is given."""
    return CAPACITY_LOADS if objective == "capacity" else AUTO_LOADS


def left_out(lattice: Lattice) -> list[str]:
    """Name configurations that cannot be tried and why; of many, how many more there are."""
    texts = [f"left out: {config.describe()}: {reason}" for config, reason in lattice.excluded]
    more = len(texts) - MAX_LEFT_OUT
    end = [f"left out: {more} more, all named in the file"] if more > 0 else []
    return texts[:MAX_LEFT_OUT] + end


def make_basis(
    law: ServiceLaw,
    lanes: Lanes,
    lattice: Lattice,
    arrivals_s: Sequence[Samples],
    quantile: float,
) -> Basis:
    """Return what to predict from: lanes and, by their sessions, where these lie."""
    shapes = list(dict.fromkeys(config.session_shape for config in lattice.configs))
    number = {shape: index for index, shape in enumerate(shapes)}
    of = np.array([number[config.session_shape] for config in lattice.configs])
    first = np.unique(of, return_index=True)[1]
    places = lattice.coordinates[first][:, : lattice.session_axes]
    return Basis(lanes, law, of, places, arrivals_s, quantile)


def auto_loads(
    sustainable_rps: float, pattern: Pattern, shares: Sequence[float] = AUTO_LOADS
) -> list[Traffic]:
    """Return the loads that matter, from nearly idle to just above what is sustained."""
    loads = sorted({_round_load(share * sustainable_rps) for share in shares})
    return [Traffic(load_rps=load_rps, pattern=pattern) for load_rps in loads]


def best_predicted(predicted_s: Samples, configs: Sequence[ServingConfig]) -> int:
    """Return the point of the lowest predicted latency; within 1 % the simplest."""
    close = np.flatnonzero(predicted_s <= 1.01 * predicted_s.min())
    return min(map(int, close), key=lambda point: configs[point].complexity)


def _round_load(load_rps: float) -> float:
    digits = 1 - math.floor(math.log10(load_rps))
    return round(load_rps, digits)


def _sustainable_rps(question: Question, lanes: Lanes, law: ServiceLaw) -> float:
    slo_s, quantile = question.slo.latency_ms / 1000, question.slo.quantile
    asked = Traffic(load_rps=1.0, pattern=question.pattern)
    if question.traffics is not None:
        asked = question.traffics[0]
    if isinstance(asked.pattern, Poisson):
        return sustainable_rps(lanes, law, slo_s, quantile)

    def arrivals_at(load_rps: float) -> Samples:
        traffic = asked.at(load_rps)
        return forecast_arrivals(traffic, question.seed, MAX_FORECAST_REQUESTS / load_rps)

    return sustainable_rps(lanes, law, slo_s, quantile, arrivals_at)


def forecast_arrivals(traffic: Traffic, seed: int, run_s: float) -> Samples:
    """Return enough to predict from: a share of a trace, or many requests and cycles.

    They come in runs as long as a measurement, each to an empty queue, as measurements are: where
    a queue grows, what is seen depends on for how long one looks.
    """
    if isinstance(traffic.pattern, Trace):
        return traffic.pattern.times_s[:MAX_FORECAST_REQUESTS]
    total_s = max(FORECAST_REQUESTS / traffic.mean_rps, FORECAST_CYCLES * traffic.cycle_s)
    total_s = min(total_s, MAX_FORECAST_REQUESTS / traffic.mean_rps)
    run_s = min(run_s, MAX_FORECAST_REQUESTS / traffic.mean_rps)
    runs = math.ceil(total_s / run_s)
    return np.concatenate(
        [draw(traffic, run_s, (seed, 0, run)) + run * RUNS_APART_S for run in range(runs)]
    )


def _first_answer(ground: Ground, deadline: Deadline) -> Predicted:
    configs = [
        ground.lattice.configs[best_predicted(row, ground.lattice.configs)]
        for row in ground.predicted_s
    ]
    return Predicted(
        loads_rps=[traffic.load_rps for traffic in ground.traffics],
        configs=configs,
        predicted_ms=[ground.predicted_ms(load, config) for load, config in enumerate(configs)],
        points=len(ground.lattice.configs),
        sustainable_rps=ground.sustainable_rps,
        ends_in_s=deadline.left_s,
    )
