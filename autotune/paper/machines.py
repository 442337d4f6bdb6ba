"""Machines too large to have: spaces on paper for strategies to race on.

What is true of a configuration is simulated with autotune's own queues from the laws of
`cpu_machine` and `gpu_machine`; what is predicted of it, as autotune predicts it: a profile is
taken of the machine, a service law fitted and simulated, under other arrivals at the same rate.
Nobody tells that law of nodes, shared cores, memory or saturation, other than what the profile's
corners show. The engine around the model costs nothing here, and does not serialise replicas.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec
import numpy as np

from autotune.outcome import ModelInfo, Samples
from autotune.paper import cpu_machine, gpu_machine
from autotune.paper.cpu_machine import CpuMachine, ModelOnCpu
from autotune.paper.fleet import (
    EXACT,
    Estimate,
    Fleet,
    Law,
    at_work,
    estimate,
    latency,
    predicted_fleet,
    share_over,
    true_fleet,
)
from autotune.paper.gpu_machine import GpuMachine, ModelOnGpu
from autotune.paper.grid import (
    Configs,
    Grid,
    Indices,
    Knobs,
    cells,
    cpu_axes,
    fit_grid,
    gpu_axes,
    knobs_of,
)
from autotune.paper.traits import cpu_traits, gpu_traits
from autotune.predict.forecast import forecast, make_lanes
from autotune.predict.predictor import Basis
from autotune.predict.queue_simulation import Lanes, simulate
from autotune.predict.service_law import Corner, ServiceLaw, fit_law, take_corners
from autotune.space.lattice import SESSION_AXES
from autotune.spec import ServingConfig, SessionShape, Slo
from autotune.stages.explore import CHILD_START_S
from autotune.stages.profile import CORNER_MIN_RUNS, CORNER_S
from autotune.stats.service import ServiceState
from autotune.traits import MachineTraits, ModelTraits

REQUESTS = 1000
PERCENTILE = 95.0
LOADS = (0.02, 0.60, 0.90)
"""Shares of what the best sustains: nearly idle, busy, near the edge."""
SLO_RUNS = 4.0
"""The SLO, in runs of one request on one core, or alone on the device."""
JITTERS = 2000
"""Ratios of executions to their median to draw from."""
LEVELS = 4
"""Steps in which jitter grows with the share of the machine that is busy."""
CONTENDERS = 300
"""Configurations among which the highest sustainable load is looked for."""
CAPACITY_STEPS = 8
"""Of bisection, in looking for it."""
NEAR = (1.0, 2.0, 4.0)
"""Cells to a doubling of a knob, from coarse to fine, in which the estimate errs alike."""
NODE_CORES = 32


class Paper(NamedTuple):
    """A space on paper: what a race needs."""

    name: str
    configs: Sequence[ServingConfig]
    """Made when asked for. The first is the runtime's default."""
    coordinates: Samples
    """Shape (points, axes), as of `autotune.space.lattice`."""
    loads_rps: list[float]
    slo: Slo
    true_s: Samples
    """Shape (loads, points): latency at the SLO's percentile; nan: the configuration fails.

    Where there are more points than `fleet.EXACT`, those that cannot be the best are estimated.
    """
    over_slo: Samples
    """Likewise: the share of requests over the SLO."""
    predicted_s: Samples
    """Likewise: what autotune predicts. That some fail it does not know."""
    profile_s: float
    """Seconds that the profile behind the prediction takes."""
    basis: Basis | None
    """What `autotune.predict` predicts from; None where there are too many points for it."""
    corners: list[Corner]
    """What the profile saw."""
    states: Callable[[int, int], list[ServiceState]]
    """The executions that a run at a load and point shows, but for noise."""
    corner: Callable[[np.random.Generator, SessionShape, int, int], Corner]
    """What profiling sessions shows: how many are busy with batches of which size."""
    load_s: float
    """Seconds to load one replica."""
    about: tuple[ModelTraits, MachineTraits]
    default_threads: int


class _Machine(NamedTuple):
    """A machine with a model on it."""

    law: Law
    fullness: Callable[[Knobs, Samples], Samples]
    jitter: Callable[[float, int, int], Samples]
    cores: int
    """That autotune profiles with."""
    default_threads: int
    load_s: float
    seed: int
    about: tuple[ModelTraits, MachineTraits]

    def ratios(self, fullness: float) -> Samples:
        """Sorted ratios of executions to their median on a machine so full."""
        return self.jitter(fullness, JITTERS, self.seed)


def cpu_paper(
    cores: int,
    points: int,
    seed: int,
    smt: bool = False,
    exact: int = EXACT,
    model: ModelOnCpu | None = None,
) -> Paper:
    """Return a server with a model drawn by `seed`, or this one, as about this many points.

    Args:
        cores: of the server, 32 to a NUMA node.
        points: wanted; a server of few cores has no more than its knobs can tell apart.
        seed: of the model, its arrivals and its jitter.
        smt: whether each core runs two threads.
        exact: most points simulated at each load; the rest is estimated (see `fleet`).
    """
    machine = CpuMachine(cores=cores, nodes=max(1, cores // NODE_CORES), smt=smt)
    model = model or cpu_machine.draw_model(seed)
    slo_ms = _round(1e3 * SLO_RUNS * model.work_s)
    usable = machine.usable
    grid = fit_grid(partial(cpu_axes, usable, slo_ms), cores, points)
    on = _Machine(
        law=partial(machine.service_s, model),
        fullness=machine.fullness,
        jitter=cpu_machine.jitter,
        cores=usable,
        default_threads=cores,
        load_s=model.load_s,
        seed=seed,
        about=cpu_traits(machine, model),
    )
    name = f"{cores} cores{' with SMT' if smt else ''}, model {seed}, {len(grid.session):,} points"
    slo = Slo(latency_ms=slo_ms, percentile=PERCENTILE)
    return _paper(name, on, grid, slo, np.arange(len(grid.session)), exact)


def gpu_paper(points: int, seed: int, exact: int = EXACT, model: ModelOnGpu | None = None) -> Paper:
    """Return a GPU with a model drawn by `seed`, or this one, as about this many points.

    The profile is that of a host with `gpu_machine.HOST_CORES` processors, whose threads change
    nothing: what it shows are a batch of 1, one of 4, and that many streams at once.

    Args:
        points: wanted.
        seed: of the model, its arrivals and its jitter.
        exact: most points simulated at each load; the rest is estimated (see `fleet`).
    """
    machine, model = GpuMachine(), model or gpu_machine.draw_model(seed)
    on = _Machine(
        law=partial(machine.service_s, model),
        fullness=machine.fullness,
        jitter=gpu_machine.jitter,
        cores=gpu_machine.HOST_CORES,
        default_threads=1,
        load_s=model.load_s,
        seed=seed,
        about=gpu_traits(model),
    )
    alone = knobs_of([ServingConfig()], default_threads=1)
    slo_ms = _round(1e3 * SLO_RUNS * float(on.law(alone, np.ones(1), np.ones(1))[0]))
    axes_at = partial(gpu_axes, gpu_machine.STREAMS, gpu_machine.LARGEST_BATCH, slo_ms)
    grid = fit_grid(axes_at, 1, points)
    name = f"GPU, model {seed}, {len(grid.session):,} points"
    fits = machine.fits(model, grid.knobs.replicas[grid.session], grid.max_batch.astype(float))
    slo = Slo(latency_ms=slo_ms, percentile=PERCENTILE)
    return _paper(name, on, grid, slo, np.flatnonzero(fits), exact)


def _paper(name: str, on: _Machine, grid: Grid, slo: Slo, works: Indices, exact: int) -> Paper:
    truth = true_fleet(grid, on.law).some(works)
    largest_batch = int(grid.batches.max())
    corners, profile_s = _profile(on, largest_batch, slo)
    law = fit_law(corners, on.cores)
    sessions = [msgspec.structs.replace(one, max_batch_size=largest_batch) for one in grid.sessions]
    predicted = predicted_fleet(grid, make_lanes(law, sessions, _info(on.default_threads)))
    places = grid.coordinates()
    near = [cells(places, fineness) for fineness in NEAR]
    near_works = [one[works] for one in near]
    loads_rps = _loads(on, truth, grid.batches, near_works[0], slo)
    shape = (len(loads_rps), len(grid.session))
    seen = _Seen(on, grid, [])
    foreseen_s = [_arrivals((on.seed, load, 1), rps) for load, rps in enumerate(loads_rps)]
    true_s, over_slo, predicted_s = np.full(shape, np.nan), np.full(shape, np.nan), np.empty(shape)
    for load, load_rps in enumerate(loads_rps):
        working = at_work(truth, grid.batches, load_rps)
        guess = estimate(working, load_rps, REQUESTS, on.ratios(0.5))
        seen.busy.append(np.full(shape[1], 1.0))
        seen.busy[load][works] = guess.busy
        levels = _levels(on, grid.knobs.at(grid.session[works]), guess)
        live = partial(_live, on, levels, _arrivals((on.seed, load), load_rps), slo)
        true_s[load, works], over, known = latency(working, guess, near_works, live, exact)
        vague = share_over(guess.least_s, true_s[load, works], slo.latency_ms / 1e3)
        over_slo[load, works] = np.where(known, over, vague)
        guess = estimate(predicted, load_rps, REQUESTS, law.jitter)
        foreseen = partial(_foreseen, law, foreseen_s[load], slo)
        predicted_s[load] = latency(predicted, guess, near, foreseen, exact)[0]
    return Paper(
        name=name,
        configs=Configs(grid),
        coordinates=places,
        loads_rps=loads_rps,
        slo=slo,
        true_s=true_s,
        over_slo=over_slo,
        predicted_s=predicted_s,
        profile_s=profile_s,
        basis=_basis(on, law, grid, places, (foreseen_s, slo)) if shape[1] <= EXACT else None,
        corners=corners,
        states=partial(seen.states, loads_rps),
        corner=partial(_corner, on),
        load_s=on.load_s,
        about=on.about,
        default_threads=on.default_threads,
    )


class _Seen(NamedTuple):
    """What runs would show of executions."""

    on: _Machine
    grid: Grid
    busy: list[Samples]
    """Replicas at work on average, of each point at each load."""

    def states(self, loads_rps: list[float], load: int, point: int) -> list[ServiceState]:
        """Return the typical state, and an idle machine's, which most runs show as well."""
        grid, config = self.grid, Configs(self.grid)[point]
        busy = float(np.clip(self.busy[load][point], 1, config.replicas))
        waits = loads_rps[load] * config.batch_timeout_ms / 1e3
        largest = config.max_batch_size
        batch = largest if busy > 0.9 * config.replicas else min(largest, 1 + waits)
        found = []
        for size, beside, executions in ((round(batch), round(busy), 60), (1, 1, 10)):
            knobs = grid.knobs.at(grid.session[[point]])
            seconds = self.on.law(knobs, np.array([float(beside)]), np.array([float(size)]))
            found.append(ServiceState(size, beside, float(seconds[0]), executions))
        return found


def _basis(
    on: _Machine,
    law: ServiceLaw,
    grid: Grid,
    places: Samples,
    asked: tuple[list[Samples], Slo],
) -> Basis:
    lanes = make_lanes(law, list(Configs(grid)), _info(on.default_threads))
    first = np.unique(grid.session, return_index=True)[1]
    arrivals_s, slo = asked
    return Basis(
        lanes, law, grid.session, places[first][:, :SESSION_AXES], arrivals_s, slo.quantile
    )


def _profile(on: _Machine, largest_batch: int, slo: Slo) -> tuple[list[Corner], float]:
    """Take the corners that autotune profiles, and return them with the seconds that takes."""
    rng = np.random.default_rng((on.seed, 2))
    standing: list[SessionShape] = []
    spent_s = CHILD_START_S

    def measure(shape: SessionShape, busy: int, batch_size: int) -> Corner:
        nonlocal spent_s
        if standing[-1:] != [shape]:
            standing.append(shape)
            spent_s += shape.replicas * on.load_s
        corner = _corner(on, rng, shape, busy, batch_size)
        spent_s += corner_s(corner)
        return corner

    corners = take_corners(on.cores, largest_batch, slo.latency_ms / 1e3, measure)
    return corners, spent_s


def corner_s(corner: Corner) -> float:
    """Return how long it takes to measure a corner whose sessions stand."""
    return max(CORNER_S, CORNER_MIN_RUNS * corner.median_s)


def _corner(
    on: _Machine, rng: np.random.Generator, shape: SessionShape, busy: int, batch_size: int
) -> Corner:
    config = ServingConfig(**msgspec.structs.asdict(shape))
    knobs, running = knobs_of([config], on.default_threads), np.array([float(busy)])
    median_s = float(on.law(knobs, running, np.array([float(batch_size)]))[0])
    ratios = on.ratios(float(on.fullness(knobs, running)[0]))
    runs = max(CORNER_MIN_RUNS, math.ceil(CORNER_S / median_s))
    seconds = median_s * rng.choice(ratios, busy * runs)
    cpu_s = median_s * shape.threads_per_replica
    return Corner(shape=shape, busy=busy, batch_size=batch_size, seconds=seconds, cpu_s=cpu_s)


def _loads(on: _Machine, truth: Fleet, sizes: Indices, regions: Indices, slo: Slo) -> list[float]:
    """Return loads in proportion to what the best configuration sustains within the SLO.

    That is looked for among those of the highest capacity, one of each region of the space.
    """
    slo_s = slo.latency_ms / 1e3
    replicas, largest = truth.replicas.astype(np.float64), truth.max_batch.astype(np.float64)
    full_s = truth.batch_s(largest, replicas)
    capacity_rps = np.where(full_s <= slo_s, replicas * largest / full_s, 0.0)
    order = np.argsort(-capacity_rps, kind="stable")
    _, firsts = np.unique(regions[order], return_index=True)
    contenders = truth.some(order[np.sort(firsts)[:CONTENDERS]])
    schedule, ratios = _arrivals((on.seed,), 1.0), on.ratios(0.5)
    low_rps, high_rps = 0.0, float(capacity_rps.max())
    for _ in range(CAPACITY_STEPS):
        load_rps = (low_rps + high_rps) / 2
        working = at_work(contenders, sizes, load_rps)
        lanes = working.lanes(np.arange(len(working.row)))
        latency_s = simulate(schedule / load_rps, lanes, ratios, on.seed)
        met = np.quantile(latency_s, slo.quantile, axis=1).min() <= slo_s
        low_rps, high_rps = (load_rps, high_rps) if met else (low_rps, load_rps)
    return [_round(share * high_rps) for share in LOADS]


def _levels(on: _Machine, knobs: Knobs, guess: Estimate) -> Indices:
    """Return how full each point keeps the machine, in steps of 1 / LEVELS."""
    return np.rint(LEVELS * on.fullness(knobs, guess.busy)).astype(np.int64)


def _live(
    on: _Machine, levels: Indices, arrivals_s: Samples, slo: Slo, lanes: Lanes, which: Indices
) -> tuple[Samples, Samples]:
    """Simulate what is true of some points; execution is more erratic on fuller machines."""
    value_s, over = np.empty(len(which)), np.empty(len(which))
    for level in np.unique(levels[which]):
        some = levels[which] == level
        lanes_here = Lanes(*(field[some] for field in lanes[:5]))
        latency_s = simulate(arrivals_s, lanes_here, on.ratios(level / LEVELS), on.seed)
        value_s[some] = np.quantile(latency_s, slo.quantile, axis=1, method="inverted_cdf")
        over[some] = np.mean(latency_s > slo.latency_ms / 1e3, axis=1)
    return value_s, over


def _foreseen(
    law: ServiceLaw, arrivals_s: Samples, slo: Slo, lanes: Lanes, which: Indices
) -> tuple[Samples, Samples]:
    """Forecast some points, as autotune does."""
    value_s = forecast(arrivals_s, lanes, law, slo.quantile).objective_s
    return value_s, np.full(len(which), np.nan)


def _arrivals(seed: tuple[int, ...], load_rps: float) -> Samples:
    gaps_s = np.random.default_rng((*seed, 3)).exponential(1 / load_rps, REQUESTS)
    return np.cumsum(gaps_s)


def _info(default_threads: int) -> ModelInfo:
    """Return what autotune would have found out about the model; its engine costs nothing here."""
    return ModelInfo(
        inputs=[],
        outputs=[],
        sample_shapes={},
        sample_source="on paper",
        batchable=True,
        batch_reason="on paper",
        outputs_checked=False,
        outputs_reason="on paper",
        footprint_bytes=0,
        default_threads=default_threads,
        runtime="on paper",
        load_s=0.0,
        run_s=0.0,
        engine_batch_s=0.0,
        engine_request_s=0.0,
    )


def _round(value: float) -> float:
    """Round to two digits."""
    return round(value, 1 - math.floor(math.log10(value)))
