"""Which configurations of all models are worth a look, and what each should do.

The joint space has as many points as all lattices have, multiplied. It is never spanned: from a few
starts, one model at a time is moved through its own best points while the others stay, as long as
anything gets better by the prediction, and what was looked at and near the best is kept.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from autotune.outcome import Samples
from autotune.predict.forecast import forecast
from autotune.predict.queue_simulation import Indices
from autotune.spec import ServingConfig
from autotune.together.question import Service
from autotune.together.slowing import Company, company, slow_down
from autotune.together.survey import Ground, Known

OWN_POINTS = 40
"""Of each model: the fastest by themselves, and as many of the cheapest that are fast enough."""
SWEEPS = 4
"""Through all models, at most: by then nothing moves."""
KEPT = 12
"""Points of one model that stay in the running beside the others as they are."""


class Joint(NamedTuple):
    """A configuration of each model, and how the cores are divided."""

    points: tuple[int, ...]
    """Of each model's lattice."""
    own_cores: tuple[int, ...] | None
    """Of each model; None: all share all of them."""


class Space(NamedTuple):
    """The joint configurations that are worth a look."""

    joints: tuple[Joint, ...]
    slowed: Samples
    """By how much executions are expected to take longer, shape (models, joints)."""
    coordinates: Samples
    """Shape (joints, knobs)."""


def configs_of(ground: Ground, joint: Joint) -> list[ServingConfig]:
    """Return the configuration of each model."""
    return [
        one.lattice.configs[point] for one, point in zip(ground.known, joint.points, strict=True)
    ]


def divisions(ground: Ground) -> list[tuple[int, ...] | None]:
    """Return the ways to divide the cores: shared, evenly, and by what each model needs."""
    count = len(ground.known)
    if ground.cores < count:
        return [None]
    needs = np.array([one.busy_cores.min() for one in ground.known])
    return list(
        dict.fromkeys([None, split(ground.cores, np.ones(count)), split(ground.cores, needs)])
    )


def split(cores: int, needs: Samples) -> tuple[int, ...]:
    """Divide cores by needs, at least one each (largest remainders)."""
    spare = cores - len(needs)
    shares = spare * needs / needs.sum()
    whole = np.floor(shares).astype(int)
    for place in np.argsort(whole - shares, kind="stable")[: spare - int(whole.sum())]:
        whole[place] += 1
    return tuple(int(one) + 1 for one in whole)


def find_space(ground: Ground, services: Sequence[Service], extra: Sequence[Joint]) -> Space:
    """Return what is worth a look, `extra` first."""
    found = dict.fromkeys(extra)
    for division in divisions(ground):
        found |= dict.fromkeys(_near_best(ground, services, division))
    joints = tuple(found)
    return Space(
        joints, slowed_by_all(ground, joints), np.array([_place(ground, joint) for joint in joints])
    )


def alone_best(ground: Ground) -> Joint:
    """Return each model's best as if it were alone: what tuning one by one finds."""
    points = []
    for number, one in enumerate(ground.known):
        every = np.arange(len(one.lattice.configs))
        latency_s = latencies(ground, number, every, np.ones(len(every)))
        close = np.flatnonzero(latency_s <= 1.01 * latency_s.min())
        points.append(int(min(close, key=lambda p: one.lattice.configs[p].complexity)))
    return Joint(tuple(points), None)


def defaults(ground: Ground) -> Joint:
    """Return the runtime's default for all."""
    return Joint((0,) * len(ground.known), None)


def even_split(ground: Ground) -> Joint | None:
    """Return an even share of the cores for each model, used by one replica; None: too few."""
    count = len(ground.known)
    if ground.cores < count:
        return None
    shares = split(ground.cores, np.ones(count))
    points = []
    for one, threads in zip(ground.known, shares, strict=True):
        wanted = ServingConfig(intra_op_threads=threads, spinning=threads > 1)
        if wanted not in one.lattice.configs:
            return None
        points.append(one.lattice.configs.index(wanted))
    return Joint(tuple(points), shares)


def latencies(ground: Ground, model: int, points: Indices, slowed: Samples) -> Samples:
    """Return predicted seconds of one model's points at its percentile, slowed down."""
    one = ground.known[model]
    return forecast(
        one.arrivals_s, one.lanes.some(points).slower(slowed), one.law, one.quantile
    ).objective_s


def worst(
    services: Sequence[Service], known: Sequence[Known], latency_s: Sequence[Samples]
) -> Samples:
    """Return the log of the worst service's latency over its SLO; arrays that broadcast.

    Of a chain, the latencies of its steps are added up, which is no less than the percentile of
    their sum where they are alike.
    """
    over = []
    for number, service in enumerate(services):
        own = [s for one, s in zip(known, latency_s, strict=True) if one.model.service == number]
        over.append(np.log(sum(own[1:], start=own[0]) / (service.slo.latency_ms / 1e3)))
    return np.asarray(np.max(np.broadcast_arrays(*over), axis=0))


def slowed_by(ground: Ground, joint: Joint) -> list[float]:
    """Return by how much each model's executions are expected to take longer."""
    here = [_company(one, np.array([p])) for one, p in zip(ground.known, joint.points, strict=True)]
    return [float(_slow(ground, joint.own_cores, number, here)[0]) for number in range(len(here))]


def slowed_by_all(ground: Ground, joints: Sequence[Joint]) -> Samples:
    """Return the same for several, shape (models, joints)."""
    return np.array([slowed_by(ground, joint) for joint in joints]).T


def _company(one: Known, points: Indices) -> Company:
    return company(one.threads[points], one.busy_cores[points])


def _slow(
    ground: Ground, division: tuple[int, ...] | None, model: int, here: Sequence[Company]
) -> Samples:
    others = [None if number == model else other for number, other in enumerate(here)]
    return slow_down(ground.slowing, model, here[model].threads, others, division is None)


def _near_best(
    ground: Ground, services: Sequence[Service], division: tuple[int, ...] | None
) -> Iterator[Joint]:
    """Move one model at a time to its best point beside the others; tell what came close."""
    lists = [_shortlist(ground, services, number, division) for number in range(len(ground.known))]
    if not all(len(own) for own, _ in lists):
        return
    for start in (0, 1):  # from the fastest, and from the cheapest
        at = [int(own[place[start]]) for own, place in lists]
        for _ in range(SWEEPS):
            before = list(at)
            for model, (own, _) in enumerate(lists):
                over = _beside(ground, services, division, at, (model, own))
                for place in np.argsort(over, kind="stable")[:KEPT]:
                    yield Joint((*at[:model], int(own[place]), *at[model + 1 :]), division)
                at[model] = int(own[np.argmin(over)])
            if at == before:
                break


def _beside(
    ground: Ground,
    services: Sequence[Service],
    division: tuple[int, ...] | None,
    at: Sequence[int],
    moving: tuple[int, Indices],
) -> Samples:
    """Return the worst over its SLO for each point of one model, the others standing still."""
    model, own = moving
    points = [np.full(len(own), p) for p in at]
    points[model] = own
    here = [_company(one, p) for one, p in zip(ground.known, points, strict=True)]
    latency_s = [
        latencies(ground, number, points[number], _slow(ground, division, number, here))
        for number in range(len(here))
    ]
    return worst(services, ground.known, latency_s)


def _shortlist(
    ground: Ground, services: Sequence[Service], model: int, division: tuple[int, ...] | None
) -> tuple[Indices, tuple[int, int]]:
    """Return points of one model, and which of them are the fastest and the cheapest alone."""
    one = ground.known[model]
    most = ground.cores if division is None else division[model]
    threads = np.array([config.replicas for config in one.lattice.configs]) * one.threads
    fits = np.flatnonzero(threads <= most) if division is not None else np.arange(len(threads))
    if division is not None:  # the runtime's own choice is not what it would be there
        fits = fits[fits > 0]
    if not len(fits):
        return fits, (0, 0)
    latency_s = latencies(ground, model, fits, np.ones(len(fits)))
    slo_s = services[one.model.service].slo.latency_ms / 1e3
    by_speed = np.argsort(latency_s, kind="stable")
    by_cost = np.lexsort((one.busy_cores[fits], latency_s > slo_s))
    kept = list(dict.fromkeys([*by_speed[:OWN_POINTS], *by_cost[:OWN_POINTS]]))
    return fits[kept], (kept.index(by_speed[0]), kept.index(by_cost[0]))


def _place(ground: Ground, joint: Joint) -> list[float]:
    own = [
        float(value)
        for one, point in zip(ground.known, joint.points, strict=True)
        for value in one.lattice.coordinates[point]
    ]
    cores = joint.own_cores or (ground.cores,) * len(ground.known)
    return [*own, float(joint.own_cores is not None), *(math.log2(count) for count in cores)]
