"""Many batch queues at once, of any machines, each with a stream of arrivals of its own.

The law is that of `predict.queue_simulation`, which sends the same arrivals through the
configurations of one machine; the tests hold the two to the same latencies. Here lanes differ in
all that a machine is, streams are cut from one array, and a lane's rate stretches its stream: one
stream of rate 1 serves all rates.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.outcome import Samples
from autotune.predict.kept_lanes import JITTERS, lanes_of
from autotune.predict.queue_simulation import Indices, Lanes, batch_seconds
from autotune.service import REST_DRAWS, ServiceModel
from autotune.stats.service import rested


class Queues(NamedTuple):
    """Lanes of several service models; arrays over them as in `Lanes`, unless noted."""

    replicas: Indices
    max_batch: Indices
    timeout_s: Samples
    alone_s: Samples
    crowding: Samples
    calm_busy: Indices
    engine_batch_s: Samples
    engine_request_s: Samples
    model: Indices
    """Which row of `jitter` holds."""
    rests_as: Indices
    """Which row of `rests_s` holds."""
    jitter: Samples
    """Shape (models, 2, JITTERS): ratios of an execution to its median, where every thread has a
    core and where not."""
    rests_s: Samples
    """Shape (kinds of rests, 2, REST_DRAWS), see `predict.rest`."""


class Streams(NamedTuple):
    """Arrivals of all lanes; a stretch may serve many."""

    arrivals: Samples
    """Stretches one after the other, each ascending and followed by infinity; in units of which
    a lane's rate is in a second."""
    first: Indices
    """Shape (lanes,): where a lane's stretch begins."""
    past: Indices
    """Shape (lanes,): where the infinity after it stands."""
    per_s: Samples
    """Shape (lanes,): units of its arrivals in a second; 1: they are seconds."""


def queues_of(models: Sequence[ServiceModel]) -> tuple[Queues, Indices]:
    """Return a lane for each configuration of each model, and where each model's begin.

    The second has one place more than there are models, where the last one's end.
    """
    lanes = [lanes_of(model, model.configs) for model in models]
    sizes = [len(one.replicas) for one in lanes]
    kinds = np.cumsum([0, *(len(model.rests_s) for model in models)])
    model_of = np.repeat(np.arange(len(models)), sizes)

    def joined(field: str) -> npt.NDArray[np.int64]:
        return np.concatenate([getattr(one, field) for one in lanes])

    def spread(field: str) -> Samples:
        return np.array([getattr(model, field) for model in models])[model_of]

    queues = Queues(
        replicas=joined("replicas"),
        max_batch=joined("max_batch"),
        timeout_s=np.concatenate([one.timeout_s for one in lanes]),
        alone_s=_stacked(lanes, "alone_s"),
        crowding=_stacked(lanes, "crowding"),
        calm_busy=joined("calm_busy"),
        engine_batch_s=spread("engine_batch_s"),
        engine_request_s=spread("engine_request_s"),
        model=model_of,
        rests_as=joined("rests_as") + kinds[model_of],
        jitter=np.array([[_even(one.jitter), _even(one.crowded_jitter)] for one in models]),
        rests_s=np.concatenate([np.array(model.rests_s) for model in models]),
    )
    return queues, np.cumsum([0, *sizes])


def _stacked(lanes: Sequence[Lanes], field: str) -> Samples:
    """Tables of all models as wide as the widest; the last column repeats, and is not reached."""
    tables = [getattr(one, field) for one in lanes]
    width = max(table.shape[1] for table in tables)
    padded = [np.pad(one, ((0, 0), (0, width - one.shape[1])), mode="edge") for one in tables]
    return np.concatenate(padded)


def _even(ratios: Sequence[float]) -> Samples:
    """As many quantiles as other models have."""
    at = (np.arange(JITTERS) + 0.5) / JITTERS * len(ratios)
    return np.array(ratios)[at.astype(np.int64)]


def taken(queues: Queues, places: Indices) -> Queues:
    """Return some of the lanes, in this order; a lane may recur."""
    kept = _at(queues, places)
    return kept._replace(crowding=kept.crowding[:, : int(kept.replicas.max()) + 1])


def _at(queues: Queues, places: Indices) -> Queues:
    by_lane = Queues._fields[:-2]
    return queues._replace(**{field: getattr(queues, field)[places] for field in by_lane})


def busiest_rps(queues: Queues) -> Samples:
    """Return the requests/s of each lane that is never idle: full batches, all replicas busy.

    As `predict.forecast.saturation_rps`.
    """
    rows = np.arange(len(queues.replicas))
    batch_s = batch_seconds(queues.alone_s, rows, queues.max_batch)
    batch_s = batch_s * queues.crowding[rows, queues.replicas]
    engine_s = queues.engine_batch_s + queues.engine_request_s * queues.max_batch
    return np.asarray(queues.replicas * queues.max_batch / (batch_s + queues.replicas * engine_s))


class _Draws(NamedTuple):
    """What chance decides, by the number of a batch."""

    jitter: Indices
    rest: Indices
    shift: Indices
    """By lane: at which number it begins."""


class _Live(NamedTuple):
    """Lanes with requests left; arrays over them."""

    queues: Queues
    first: Indices
    """The next request's place."""
    past: Indices
    per_s: Samples
    timeout: Samples
    """In units of the arrivals, likewise:"""
    free: Samples
    """Shape (lanes, most replicas): when each will be; infinite, where there is none."""
    number: Indices
    """Of the next batch."""
    out: Indices
    """Where its latency is written."""


def simulate_queues(
    queues: Queues, streams: Streams, seed: int, alike: bool = True
) -> tuple[Samples, Indices]:
    """Return the latency in seconds of every request, one lane's after the other's.

    Args:
        queues: the lanes.
        streams: their arrivals.
        seed: of how long executions take.
        alike: whether the n-th batch has the same luck in all lanes, so that they differ by
            configuration; else each lane begins elsewhere in the draws.

    Returns:
        Latencies, and the place (lanes,) at which each lane's begin.
    """
    counts = streams.past - streams.first
    begin = np.cumsum(counts) - counts
    done = np.empty(int(counts.sum()))
    draws = _drawn(int(counts.max(initial=1)), len(counts), seed, alike)
    most = int(queues.replicas.max())
    live = _Live(
        queues=queues,
        first=streams.first,
        past=streams.past,
        per_s=streams.per_s,
        timeout=queues.timeout_s * streams.per_s,
        free=np.where(np.arange(most) < queues.replicas[:, None], 0.0, np.inf),
        number=draws.shift.copy(),
        out=begin.copy(),
    )
    live = _having(live, live.first < live.past)
    while len(live.first):
        sizes, ends = _step(live, streams.arrivals, draws)
        _write(done, live, sizes, ends)
        first = live.first + sizes
        live = live._replace(first=first, number=live.number + 1, out=live.out + sizes)
        if np.any(first >= live.past):
            live = _having(live, first < live.past)
    lane = np.repeat(np.arange(len(counts)), counts)
    arrived = streams.arrivals[np.arange(len(done)) - np.repeat(begin - streams.first, counts)]
    done -= arrived
    done /= streams.per_s[lane]
    return done, begin


def _drawn(batches: int, lanes: int, seed: int, alike: bool) -> _Draws:
    jitter = np.random.default_rng(seed).integers(JITTERS, size=batches)
    rest = np.random.default_rng((seed, 1)).integers(REST_DRAWS, size=batches)
    shift = np.zeros(lanes, dtype=np.int64)
    if not alike:
        shift = np.random.default_rng((seed, 2)).integers(batches, size=lanes)
        jitter, rest = np.tile(jitter, 2), np.tile(rest, 2)
    return _Draws(jitter, rest, shift)


def _having(live: _Live, keep: npt.NDArray[np.bool_]) -> _Live:
    places = np.flatnonzero(keep)
    by_lane = {field: getattr(live, field)[places] for field in _Live._fields[1:]}
    return live._replace(queues=_at(live.queues, places), **by_lane)


def _step(live: _Live, arrivals: Samples, draws: _Draws) -> tuple[Indices, Samples]:
    """Form one batch in every lane; return their sizes and when each ends."""
    queues, rows = live.queues, np.arange(len(live.first))
    replica = np.argmin(live.free, axis=1)
    was_free = live.free[rows, replica]
    due = arrivals[live.first]
    full = arrivals[np.minimum(live.first + queues.max_batch - 1, live.past)]
    begun = np.maximum(np.maximum(was_free, due), np.minimum(full, due + live.timeout))
    sizes = _arrived(live, arrivals, begun) - live.first
    missing = live.free.shape[1] - queues.replicas
    busy = 1 + np.count_nonzero(live.free > begun[:, None], axis=1) - missing
    crowded = (busy > queues.calm_busy).astype(int)
    luck = draws.jitter[live.number]
    seconds = batch_seconds(queues.alone_s, rows, sizes)
    seconds *= queues.crowding[rows, busy] * queues.jitter[queues.model, crowded, luck]
    wake_s = queues.rests_s[queues.rests_as, (busy > 1).astype(int), draws.rest[live.number]]
    seconds += wake_s * rested((begun - was_free) / live.per_s)
    seconds += busy * (queues.engine_batch_s + queues.engine_request_s * sizes)
    ends = begun + seconds * live.per_s
    live.free[rows, replica] = ends
    return sizes, ends


def _arrived(live: _Live, arrivals: Samples, begun: Samples) -> Indices:
    """Return the place after the last request of each batch: bisection, in all lanes at once."""
    low = live.first + 1
    high = np.minimum(live.first + live.queues.max_batch, live.past)
    for _ in range(int((high - low).max()).bit_length()):
        middle = (low + high) // 2
        here = (arrivals[middle] <= begun) & (middle < high)
        low = np.where(here, middle + 1, low)
        high = np.where(here, high, middle)
    return low


def _write(done: Samples, live: _Live, sizes: Indices, ends: Samples) -> None:
    if int(sizes.max()) == 1:
        done[live.out] = ends
        return
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    done[np.repeat(live.out, sizes) + within] = np.repeat(ends, sizes)
