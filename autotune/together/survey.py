"""What is known before anything is measured together: each model alone, and each pair."""

import itertools
from typing import NamedTuple

import numpy as np

from autotune.errors import MeasureError
from autotune.outcome import ModelInfo, Samples, ServiceTimes
from autotune.predict.forecast import cpu_s, make_lanes
from autotune.predict.queue_simulation import Lanes
from autotune.predict.service_law import ServiceLaw
from autotune.probes.cores import usable_cores
from autotune.probes.memory import available_memory_bytes
from autotune.records import Failed
from autotune.space.axes import make_axes
from autotune.space.lattice import Lattice, make_lattice
from autotune.spec import ServingConfig, SessionShape
from autotune.stages.context import Context
from autotune.stages.events import Doing, Inspected, Observer, Said, Started
from autotune.stages.journal import Journal
from autotune.stages.loading import inspect_model
from autotune.stages.profile import Subject
from autotune.stages.question import Deadline, Question
from autotune.stages.survey import forecast_arrivals, profile_families
from autotune.together.kept import MeasuresAll
from autotune.together.measuring import window_s
from autotune.together.question import Model, TogetherQuestion
from autotune.together.records import Interference
from autotune.together.slowing import Slowing
from autotune.trial.measures import Measures
from autotune.trial.wire import ClosedLoop

PAIR_S = 0.4
"""Of executions side by side, for each pair and each way of sharing the cores."""
PAIR_RUNS = 5
PAIR_TIMEOUT_S = 120.0


class Known(NamedTuple):
    """One model by itself."""

    model: Model
    info: ModelInfo
    lattice: Lattice
    law: ServiceLaw
    lanes: Lanes
    """Of the lattice."""
    arrivals_s: Samples
    rate_rps: float
    """Of its executions, over a long time."""
    quantile: float
    """Within which its executions must stay, so that requests stay within the SLO's."""
    threads: Samples
    """Of a replica while it executes, shape (points,)."""
    busy_cores: Samples
    """That a configuration keeps busy at the model's load, shape (points,)."""


class Ground(NamedTuple):
    """What is known of all."""

    cores: int
    known: tuple[Known, ...]
    slowing: Slowing
    interference: tuple[Interference, ...]
    """The same for people."""
    profile_s: float


def survey(
    question: TogetherQuestion, benches: MeasuresAll, deadline: Deadline, observe: Observer
) -> Ground:
    """Profile each model alone, and how much each pair slows each other down.

    Raises:
        ModelError, UsageError: a model or its inputs cannot be used.
        MeasureError: a model does not run on one thread.
    """
    cores = usable_cores().usable
    known = []
    for number, model in enumerate(question.models):
        observe(Said(text=f"{model.name}: profiling it alone"))
        known.append(_alone(question, model, benches.one(number), deadline, observe))
    observe(Started(step="profiling pairs", ends_in_s=deadline.left_s))
    slowing = _pairs(known, benches, cores, observe)
    return Ground(cores, tuple(known), slowing, _in_words(known, slowing), deadline.elapsed_s)


def _alone(
    question: TogetherQuestion,
    model: Model,
    bench: Measures,
    deadline: Deadline,
    observe: Observer,
) -> Known:
    service = question.services[model.service]
    own = Question(
        model=model.spec,
        name=model.name,
        slo=service.slo,
        traffics=[service.traffic],
        budget_s=deadline.budget_s,
        max_trials=None,
        seed=question.seed,
        output=None,
    )
    context = Context(own, bench, Journal(service.slo, deadline), deadline, observe)
    info = inspect_model(model.name, service.slo, bench, observe)
    cores, memory_bytes = usable_cores().usable, available_memory_bytes()
    count = len(question.models)
    own_bytes = None if memory_bytes is None else memory_bytes // count
    bench.limit_memory(own_bytes, info.footprint_bytes)
    observe(Inspected(info=info, cores=cores))
    axes = make_axes(cores, info.batchable, service.slo.latency_ms, info.abilities)
    lattice = make_lattice(
        axes, info.default_threads, info.footprint_bytes, own_bytes, info.process_bytes
    )
    subject = Subject(context, info, cores, own_bytes)
    profiles, failed = profile_families(subject, lattice, max(axes.max_batch_sizes))
    lattice = lattice.without(failed)
    family, *others = profiles
    law = profiles[family].law
    lanes = make_lanes(law, lattice.configs, info, {one: profiles[one].law for one in others})
    executions = service.executions(model.step)
    rate_rps = service.traffic.mean_rps * executions
    threads, busy = effort(lattice.configs, lanes, info, cores, rate_rps)
    run_s = window_s(question, deadline.budget_s)
    arrivals_s = forecast_arrivals(service.traffic, question.seed, run_s)
    return Known(
        model=model,
        info=info,
        lattice=lattice,
        law=law,
        lanes=lanes,
        arrivals_s=np.repeat(arrivals_s, executions),
        rate_rps=rate_rps,
        quantile=1 - (1 - service.slo.quantile) / executions,
        threads=threads,
        busy_cores=busy,
    )


def effort(
    configs: tuple[ServingConfig, ...], lanes: Lanes, info: ModelInfo, cores: int, rate_rps: float
) -> tuple[Samples, Samples]:
    """Return threads of a replica that execute at once, and the cores that all keep busy."""
    count = [min(cores, one.session_shape.threads(info.default_threads)) for one in configs]
    threads = np.array(count, dtype=float)
    spin = np.array([one.spinning and one.threads_exist for one in configs])
    per_request_s = cpu_s(lanes, threads, spin, [rate_rps])[0]
    most = np.array([one.replicas for one in configs]) * threads
    return threads, np.minimum(np.minimum(most, cores), per_request_s * rate_rps)


def _pairs(known: list[Known], benches: MeasuresAll, cores: int, observe: Observer) -> Slowing:
    """Measure each pair side by side, one thread each and a thread a core each."""
    count = len(known)
    apart, crowded = np.ones((count, count)), np.full((count, count), 2.0)
    for full, found in ((False, apart), (True, crowded)):
        shape, request = _closed_loop(cores, full)
        alone_s = [
            _seconds(
                benches.one(number).service_times(shape, request, PAIR_TIMEOUT_S, keep=True), one
            )
            for number, one in enumerate(known)
        ]
        if cores == 1 and not full:  # no two threads have a core each
            continue
        for a, b in itertools.combinations(range(count), 2):
            names = f"{known[a].model.name} beside {known[b].model.name}"
            observe(Doing(what=f"profile: {names}{', a thread a core' if full else ''}"))
            beside = benches.beside((a, b), shape, request, PAIR_TIMEOUT_S)
            for one, other, sample in ((a, b, beside[0]), (b, a, beside[1])):
                found[one, other] = max(1.0, _seconds(sample, known[one]) / alone_s[one])
    return Slowing(cores, apart, np.maximum(apart, crowded))


def _closed_loop(cores: int, full: bool) -> tuple[SessionShape, ClosedLoop]:
    """Return how executions are measured: of one thread, or of a replica of one on each core."""
    replicas = cores if full else 1
    shape = ServingConfig(replicas=replicas, intra_op_threads=1, spinning=False).session_shape
    return shape, ClosedLoop(busy=replicas, batch_size=1, duration_s=PAIR_S, min_runs=PAIR_RUNS)


def _seconds(sample: ServiceTimes | Failed, known: Known) -> float:
    if isinstance(sample, Failed):
        raise MeasureError(f"{known.model.name}: {sample.kind}: {sample.detail}")
    # The mean: who shares cores runs as if alone for most of the time, and then waits for a turn.
    return float(np.mean(sample.seconds))


def _in_words(known: list[Known], slowing: Slowing) -> tuple[Interference, ...]:
    return tuple(
        Interference(
            model=known[a].model.name,
            beside=known[b].model.name,
            apart=float(slowing.apart[a, b]) if slowing.cores > 1 else None,
            crowded=float(slowing.crowded[a, b]),
        )
        for a, b in itertools.permutations(range(len(known)), 2)
    )
