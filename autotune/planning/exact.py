"""The reckoning with rates held against a simulation request by request, on parts of the trace."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from autotune.outcome import Samples
from autotune.planning.arriving import Arriving, Excerpt
from autotune.planning.attained import QUEUE_BOUND, Scene, flow_through
from autotune.planning.clustered import draw_clustered
from autotune.planning.load_windows import Windows
from autotune.planning.machines import MachineType
from autotune.planning.measured_tails import service_of, slowed, uncorrected
from autotune.planning.outcomes import attained
from autotune.planning.provision import Counts
from autotune.planning.queues import Streams, queues_of, simulate_queues, taken
from autotune.planning.records import AggregationError
from autotune.predict.queue_simulation import Indices

BUDGET = 1_500_000
"""Requests that are simulated in all; machines are sampled where there would be more."""
WARM_UP = 200
"""Requests that a machine has served before, drawn."""
FEWEST = 50
"""Requests of a piece that says something."""
ALIKE = 0.95
"""Of a type's capacity: the highest rate before a piece."""


class Piece(NamedTuple):
    """A stretch in which the fleet stays the same."""

    times_s: Samples
    """From its start, ascending."""
    seconds: float
    machines: Indices
    """Of each type."""


class Exact(NamedTuple):
    """Requests of some machines."""

    latency_s: Samples
    """Of each request of the machines that were simulated."""
    weight: Samples
    """How many requests each stands for."""


def simulate_exactly(
    pieces: Sequence[Piece], types: Sequence[MachineType], dispersion: float, seed: int
) -> Exact:
    """Simulate pieces request by request.

    Each request goes to a machine at random, in proportion to capacities. A machine runs what its
    type's table has for its mean rate in the piece. Before the piece it has served `WARM_UP`
    requests, drawn at that rate (at most nearly its capacity) and at the dispersion that it would
    see. Of more machines than `BUDGET` allows for, as many are drawn, each to stand for others.

    Args:
        pieces: of a trace, each with a fleet of some capacity.
        types: of the machines.
        dispersion: of the trace.
        seed: of all chance.
    """
    rng = np.random.default_rng(seed)
    queues, begin = queues_of([service_of(one.file) for one in types])
    measured = [
        one.measured or uncorrected(int(past - first))
        for one, first, past in zip(types, begin[:-1], begin[1:], strict=True)
    ]
    queues = slowed(queues, np.concatenate([one.slower for one in measured]))
    scale = np.concatenate([one.latency for one in measured])
    lanes: list[_Lane] = []
    for piece in pieces:
        lanes += _lanes(piece, types, (dispersion, BUDGET / len(pieces)), rng)
    place = np.array([int(begin[lane.type]) + lane.config for lane in lanes])
    latency_s, starts = simulate_queues(taken(queues, place), _streams(lanes), seed, alike=False)
    counted = [
        latency_s[first + WARM_UP : first + len(lane.times_s)] * scale[at]
        for lane, first, at in zip(lanes, starts, place, strict=True)
    ]
    weights = [np.full(len(lane.times_s) - WARM_UP, lane.weight) for lane in lanes]
    return Exact(np.concatenate(counted), np.concatenate(weights))


class _Lane(NamedTuple):
    type: int
    config: int
    times_s: Samples
    """Of all its requests, those before the piece first."""
    weight: float


def _lanes(
    piece: Piece,
    types: Sequence[MachineType],
    known: tuple[float, float],
    rng: np.random.Generator,
) -> list[_Lane]:
    """Return the machines of a piece that are simulated."""
    dispersion, budget = known
    capacity_rps = np.array([one.capacity_rps for one in types])
    type_of = np.repeat(np.arange(len(types)), np.where(capacity_rps > 0, piece.machines, 0))
    part = capacity_rps[type_of] / capacity_rps[type_of].sum()
    passed = np.cumsum(part)
    machine = np.searchsorted(passed / passed[-1], rng.random(len(piece.times_s)), side="right")
    each = WARM_UP + len(piece.times_s) / len(type_of)
    kept = np.arange(len(type_of))
    if len(kept) * each > budget:
        kept = np.sort(rng.choice(kept, max(1, int(budget / each)), replace=False))
    by_machine = np.argsort(machine, kind="stable")
    bounds = np.searchsorted(machine[by_machine], np.arange(len(type_of) + 1))
    found = []
    for one in kept:
        kind = types[type_of[one]]
        own_s = piece.times_s[by_machine[bounds[one] : bounds[one + 1]]]
        rate_rps = part[one] * len(piece.times_s) / piece.seconds
        seen = 1 + (dispersion - 1) * part[one]
        before = draw_clustered(seen, WARM_UP + 1, rng)
        before_s = (before[:-1] - before[-1]) / min(rate_rps, ALIKE * kind.capacity_rps)
        config = _config(kind, rate_rps, seen)
        times_s = np.concatenate([before_s, own_s])
        found.append(_Lane(int(type_of[one]), config, times_s, len(type_of) / len(kept)))
    return found


def _config(kind: MachineType, rate_rps: float, dispersion: float) -> int:
    served = kind.served
    row = int(np.argmin(np.abs(served.rates_rps - rate_rps)))
    column = int(np.argmin(np.abs(served.dispersions - dispersion)))
    return int(served.config_of[row, column])


def _streams(lanes: Sequence[_Lane]) -> Streams:
    """Arrivals as simulated: from each lane's first request on."""
    lengths = np.array([len(lane.times_s) for lane in lanes])
    past = np.cumsum(lengths + 1) - 1
    end = np.array([np.inf])
    # Replicas are free from 0 on: that is when the first request comes.
    arrivals = [part for lane in lanes for part in (lane.times_s - lane.times_s[0], end)]
    return Streams(np.concatenate(arrivals), past - lengths, past, np.ones(len(lanes)))


def aggregation_error(
    arriving: Arriving, ready: Counts, scene: Scene, seed: int = 0
) -> AggregationError | None:
    """Return what rates and requests say of the same parts of the trace.

    The excerpts are cut where the fleet changes, or what its machines run, and into whole windows;
    one shorter than a window counts as one window of its rate. Both sides see the same requests.

    Args:
        arriving: the trace.
        ready: machines that serve, shape (steps, types).
        scene: windows of the same trace, types and SLO.
        seed: of all chance.

    Returns:
        None: nothing can be compared, for no excerpt of 50 requests meets a machine.
    """
    pieces = [piece for one in arriving.excerpts for piece in _pieces(one, ready, scene)]
    if not pieces:
        return None
    by_rates = _by_rates(pieces, scene)
    exact = simulate_exactly(pieces, scene.types, scene.windows.dispersion, seed)
    order = np.argsort(exact.latency_s)
    passed = np.cumsum(exact.weight[order])
    p99 = int(np.searchsorted(passed, 0.99 * passed[-1]))
    within = float(exact.weight[exact.latency_s <= scene.slo_s].sum() / passed[-1])
    return AggregationError(
        requests=len(order),
        attainment=by_rates[0],
        exact_attainment=within,
        p99_ms=1000 * by_rates[1],
        exact_p99_ms=float(1000 * exact.latency_s[order[p99]]),
    )


def _pieces(excerpt: Excerpt, ready: Counts, scene: Scene) -> list[Piece]:
    """Cut an excerpt where the fleet or what it runs changes, and into whole windows."""
    windows = scene.windows
    times_s = excerpt.times_s - excerpt.times_s[0] + excerpt.at_s
    first = int(times_s[0] // windows.step_s)
    last = min(int(times_s[-1] // windows.step_s), len(ready) - 1)
    state = np.hstack([ready[first : last + 1], _running(first, last, ready, scene)])
    changes = first + 1 + np.flatnonzero(np.any(np.diff(state, axis=0), axis=1))
    edges = [float(times_s[0]), *(changes * windows.step_s), float(times_s[-1])]
    serves = np.array([one.capacity_rps > 0 for one in scene.types])
    found = []
    for start_s, end_s in pairwise(edges):
        length_s = end_s - start_s
        seconds = length_s
        if length_s > windows.window_s:
            seconds = math.floor(length_s / windows.window_s) * windows.window_s
        own_s = times_s[(times_s >= start_s) & (times_s < start_s + seconds)] - start_s
        machines = ready[min(int(start_s // windows.step_s), len(ready) - 1)]
        if len(own_s) >= FEWEST and np.any(machines[serves]):
            found.append(Piece(own_s, seconds, machines))
    return found


def _running(first: int, last: int, ready: Counts, scene: Scene) -> Counts:
    """Return what machines of each type run in some steps, shape (steps, types)."""
    loads_rps = scene.windows.step_loads_rps
    capacity_rps = np.array([one.capacity_rps for one in scene.types])
    found = np.zeros((last + 1 - first, len(scene.types)), dtype=np.int64)
    for row, step in enumerate(range(first, last + 1)):
        together_rps = float(ready[step] @ capacity_rps)
        for place, one in enumerate(scene.types):
            if ready[step, place] and one.capacity_rps > 0:
                part = one.capacity_rps / together_rps
                seen = 1 + (scene.windows.dispersion - 1) * part
                found[row, place] = _config(one, float(loads_rps[step]) * part, seen)
    return found


def _by_rates(pieces: Sequence[Piece], scene: Scene) -> tuple[float, float]:
    """Return share within the SLO and 99th percentile by windows, with pauses between pieces."""
    window_s = scene.windows.window_s
    counts, fleets = [], []
    slowest_rps = min(one.served.saturation_rps for one in scene.types)
    pause = math.ceil(QUEUE_BOUND / (slowest_rps * window_s)) + 1
    for piece in pieces:
        size = max(1, round(piece.seconds / window_s))
        place = np.minimum((piece.times_s / piece.seconds * size).astype(np.int64), size - 1)
        own = np.bincount(place, minlength=size) * (window_s * size / piece.seconds)
        counts += [np.rint(own).astype(np.int64), np.zeros(pause, dtype=np.int64)]
        fleets += [piece.machines] * (size + pause)
    windows = Windows(window_s, 1, np.concatenate(counts), scene.windows.dispersion)
    reckoned = scene._replace(windows=windows)
    found = attained(reckoned, flow_through(reckoned, np.array(fleets)))
    return found.attainment, found.p99_s
