"""Survey: inspect the model, profile a few corners, predict everything."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from autotune.arrivals import Traffic, draw
from autotune.errors import MeasureError
from autotune.outcome import Failed, ModelInfo, Samples, ServiceTimes
from autotune.patterns import Pattern, Poisson, Trace, explain
from autotune.predict.forecast import (
    forecast,
    make_lanes,
    saturation_rps,
    sustainable_rps,
)
from autotune.predict.queue_simulation import Lanes
from autotune.predict.service_law import Corner, ServiceLaw, fit_law, profile_plan
from autotune.probes.cores import usable_cores
from autotune.probes.memory import available_memory_bytes
from autotune.space.axes import make_axes
from autotune.space.feasible import infeasible_because
from autotune.space.lattice import Lattice, make_lattice
from autotune.spec import ServingConfig, SessionShape
from autotune.stages.context import Context
from autotune.stages.events import Inspected, Observer, Predicted, Profiled, Said, Started
from autotune.stages.question import Deadline, Question, default_budget_s
from autotune.trial.bench import Bench
from autotune.trial.wire import ClosedLoop

CORNER_S = 0.3
CORNER_MIN_RUNS = 5
CORNER_TRIES = 3
DESCHEDULED = 0.85
"""A lone thread that got less CPU than this share of its run shared a core: not its own speed."""
STEADY_SPREAD = 1.25
"""Between the quartiles of a corner's runs; more is a disturbance, or deserves a second look."""
AUTO_LOADS = (0.15, 0.60, 0.90, 1.15)
"""Shares of what the machine sustains: nearly idle, busy, close to the edge, just above."""
FORECAST_REQUESTS = 1000
FORECAST_CYCLES = 20
"""Of bursts and quiet, or of spells and gaps: how bursts fall varies more than requests do."""
MAX_FORECAST_REQUESTS = 10_000
"""More of a trace would take longer to simulate than it tells."""


class Ground(NamedTuple):
    """What is known before the first real measurement."""

    info: ModelInfo
    cores: int
    lattice: Lattice
    traffics: tuple[Traffic, ...]
    predicted_s: Samples
    """Predicted latency at the SLO's percentile, shape (loads, points)."""
    sustainable_rps: float
    profile_s: float

    def predicted_ms(self, load: int, config: ServingConfig) -> float:
        """Predicted latency of one configuration at one load."""
        return float(self.predicted_s[load, self.lattice.configs.index(config)]) * 1e3


def survey(context: Context) -> Ground:
    """Find out what the model is and predict every configuration at every load.

    Raises:
        ModelError, UsageError: the model or its inputs cannot be used.
        MeasureError: not even one thread alone could be profiled.
    """
    question, bench, deadline, observe = (
        context.question,
        context.bench,
        context.deadline,
        context.observe,
    )
    observe(Started(step="loading the model"))
    info = bench.inspect()
    cores, memory_bytes = usable_cores().usable, available_memory_bytes()
    bench.limit_memory(memory_bytes, info.footprint_bytes)
    observe(Inspected(info=info, cores=cores))
    axes = make_axes(cores, info.batchable, question.slo.latency_ms)
    lattice = make_lattice(axes, info.default_threads, info.footprint_bytes, memory_bytes)
    for config, reason in lattice.excluded:
        observe(Said(text=f"left out: {config.describe()}: {reason}"))
    observe(Started(step="profiling"))
    corners = _profile(bench, info, cores, memory_bytes, observe)
    law = fit_law(corners, cores)
    if question.budget_s is None:
        deadline.extend(default_budget_s(law.base_s))
    profile_s = deadline.spent_s
    observe(Started(step="predicting"))
    lanes = make_lanes(law, lattice.configs, info)
    slo = question.slo
    sustainable = _sustainable_rps(question, lanes, law)
    traffics = question.traffics or auto_loads(
        sustainable or float(saturation_rps(lanes).max()), question.pattern
    )
    for text in dict.fromkeys(explain(one.pattern, one.load_rps) for one in traffics):
        if text is not None:
            observe(Said(text=text))
    forecasts = [
        forecast(_arrivals(traffic, question.seed), lanes, law, slo.quantile)
        for traffic in traffics
    ]
    predicted_s = np.stack([one.objective_s for one in forecasts])
    ground = Ground(info, cores, lattice, tuple(traffics), predicted_s, sustainable, profile_s)
    observe(_first_answer(ground, deadline))
    return ground


def auto_loads(sustainable_rps: float, pattern: Pattern) -> list[Traffic]:
    """Return the loads that matter, from nearly idle to just above what is sustained."""
    loads = sorted({_round_load(share * sustainable_rps) for share in AUTO_LOADS})
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
        return _arrivals(asked.at(load_rps), question.seed)

    return sustainable_rps(lanes, law, slo_s, quantile, arrivals_at)


def _arrivals(traffic: Traffic, seed: int) -> Samples:
    """Return enough to predict from: a share of a trace, or many requests and cycles."""
    if isinstance(traffic.pattern, Trace):
        return traffic.pattern.times_s[:MAX_FORECAST_REQUESTS]
    duration_s = max(FORECAST_REQUESTS / traffic.mean_rps, FORECAST_CYCLES * traffic.cycle_s)
    longest_s = MAX_FORECAST_REQUESTS / traffic.mean_rps
    return draw(traffic, min(duration_s, longest_s), (seed, 0))


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


def _profile(
    bench: Bench, info: ModelInfo, cores: int, memory_bytes: int | None, observe: Observer
) -> list[Corner]:
    corners: list[Corner] = []
    for shape, busy, batch_size in profile_plan(cores, info.batchable):
        if infeasible_because(shape, info.footprint_bytes, memory_bytes) is not None:
            continue
        sample = _corner(bench, shape, busy, batch_size, info.run_s)
        label = _label(shape, busy, batch_size)
        if isinstance(sample, Failed):
            observe(Said(text=f"profile: {label} failed ({sample.kind}): {sample.detail}"))
            if not corners:
                raise MeasureError(
                    f"the model does not run on one thread: {sample.kind}: {sample.detail}"
                )
            continue
        corner = Corner(
            shape=shape,
            busy=busy,
            batch_size=batch_size,
            seconds=sample.seconds,
            cpu_s=sample.cpu_s,
        )
        corners.append(corner)
        observe(Profiled(label=label, median_ms=corner.median_s * 1e3))
    return corners


def _corner(
    bench: Bench, shape: SessionShape, busy: int, batch_size: int, run_s: float
) -> ServiceTimes | Failed:
    """Sample one corner; a sample that something disturbed is taken again, the fastest kept."""
    request = ClosedLoop(
        busy=busy, batch_size=batch_size, duration_s=CORNER_S, min_runs=CORNER_MIN_RUNS
    )
    slowest_s = 100 * run_s * batch_size * busy * CORNER_MIN_RUNS
    best: ServiceTimes | None = None
    for _ in range(CORNER_TRIES):
        sample = bench.service_times(shape, request, 30 + slowest_s)
        if isinstance(sample, Failed):
            return best or sample
        if best is None or np.median(sample.seconds) < np.median(best.seconds):
            best = sample
        if _is_steady(sample, shape):
            break
    assert best is not None
    return best


def _is_steady(sample: ServiceTimes, shape: SessionShape) -> bool:
    low_s, high_s = np.quantile(sample.seconds, [0.25, 0.75])
    alone = shape.threads_per_replica > 1 or sample.cpu_s >= DESCHEDULED * np.mean(sample.seconds)
    return bool(alone and high_s <= STEADY_SPREAD * low_s)


def _label(shape: SessionShape, busy: int, batch_size: int) -> str:
    config = ServingConfig(**msgspec.structs.asdict(shape))
    batch = f", batches of {batch_size}" if batch_size > 1 else ""
    return f"{config.describe()}{', all busy' if busy > 1 else ''}{batch}"
