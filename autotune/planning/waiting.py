"""The wait for one replica that executes batches back to back, solved where batches begin.

The replica is held for o(n) seconds by a batch of n: its execution over the speed. Where a batch
begins, q requests have come and the phase is i: it takes min(q, B). That is a Markov chain.

- q <= B: nobody is left over. The first request to come finds the replica busy for another a > 0,
  or idle, a = 0. With it begins the next batch: after max(a, T), or when it is full, but not
  before a. All that follows depends on a and the phase alone (`_fresh`).
- q > B: those left over wait for o(B). If fewer than B have come by then, and the first of them
  has not waited for T, they wait for company. When the first of l came, the chain does not know:
  l / rate before is assumed. This is never asked where T <= o(B), and all else is exact.

Requests are counted by where they stand when they come: in a batch that begins after W0 if it is
full by then, else when it is full or at R, R >= W0 (`_Groups`). Its size, and when it is full,
follow from P(n, t) of `planning.counting`. A fast replica that stands for several is held for
random times where batches do not wait (`_spacings`): there, ends of executions bunch. This is the
bulk queue of Neuts 1967, "A general class of bulk queues with Poisson input", with the arrivals of
Lucantoni 1991.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_banded
from scipy.signal import fftconvolve
from scipy.sparse import dia_array

from autotune.outcome import Samples
from autotune.planning.counting import counts_at, durations, until_next
from autotune.planning.mmpp import Mmpp

RESIDUES = 32
"""Cells of the time that the replica is still busy when the first request of a batch comes."""
MOMENTS = 40
"""Cells of the time in which further requests come."""
FILLINGS = 16
"""Cells of the time in which a batch is filled."""
SPACINGS = 12
"""Quantiles of the time between the ends of executions of several replicas."""
TIMES = 1024
"""Moments at which counts are tabled."""
LONGEST_QUEUE = 12_000
"""Requests beyond which none is believed to wait."""
_UNLIKELY = 1e-4
"""Of the longest queues: longer ones are tried."""
_NEGLIGIBLE = 1e-9
_STEPS = 60
"""From the first state to one that is likely."""


class Waited(NamedTuple):
    """Requests by latency."""

    latency_s: Samples
    """Shape (points,)."""
    requests: Samples
    """Of each phase, as it is when they come, in the mean batch; shape (points, 2)."""
    size_share: Samples
    """Share of the batches of 1, 2, ... B requests."""
    busy: Samples
    """Share of the requests of each phase that find the replica busy, shape (2,)."""

    @property
    def mean_batch(self) -> float:
        """Mean requests of a batch."""
        return float(self.size_share @ np.arange(1, len(self.size_share) + 1))

    @property
    def busy_share(self) -> float:
        """Share of all requests that find the replica busy."""
        of_phase = self.requests.sum(axis=0)
        return float(self.busy @ of_phase / of_phase.sum())


class _Groups(NamedTuple):
    """Requests that stand alike, but for their place in the batch; shape (groups,) unless noted."""

    soonest_s: Samples
    """From arrival, when the batch begins if it is full: W0."""
    latest_s: Samples
    """When it begins in any case: R."""
    requests: Samples
    """By place in the batch, from its first on, and phase; shape (groups, B, 2)."""
    busy: Samples
    """Of them, those who find the replica busy, shape (2,)."""


class _Residues(NamedTuple):
    """Cells of a; the first is a = 0."""

    middle_s: Samples
    edges_s: Samples


def wait_for_one(arrivals: Mmpp, timeout_s: float, batch_s: Samples, speed: int | None) -> Waited:
    """Return how long requests wait for one replica and are executed.

    Args:
        arrivals: less, on average, than it serves.
        timeout_s: of a batch's first request.
        batch_s: seconds of batches of 1, 2, ... requests, as long as their answers take.
        speed: by which it is held for less than that; None: for no time at all.
    """
    held_s = batch_s / speed if speed else np.zeros_like(batch_s)
    random_ends = speed is not None and timeout_s == 0 and len(batch_s) > 1
    spread = _spacings(speed) if speed and random_ends else np.ones(1)
    residues = _residues(float(held_s.max() * spread.max()))
    largest = _most_within(arrivals, float(residues.middle_s.max()), len(batch_s))
    at_free = counts_at(arrivals, np.append(residues.middle_s, held_s[-1]), largest)
    fresh, left, size_share = _chain(arrivals, timeout_s, (held_s, spread), residues, at_free)
    groups = [_of_fresh(arrivals, timeout_s, held_s, residues, fresh)]
    if left.any():
        groups.append(_of_left(arrivals, timeout_s, held_s, left, largest))
    latencies, requests = zip(*(_outcomes(arrivals, one, batch_s) for one in groups), strict=True)
    total = np.sum([one.requests.sum(axis=(0, 1)) for one in groups], axis=0)
    busy = np.sum([one.busy for one in groups], axis=0) / np.where(total > 0, total, 1.0)
    return Waited(np.concatenate(latencies), np.concatenate(requests), size_share, busy)


def _spacings(replicas: int) -> Samples:
    """Times between ends of executions over their mean, each as likely, where ends are random.

    Of c ends in an interval the next is the smallest of c - 1 uniform ones after another: a
    beta variable with parameters 1 and c - 1.
    """
    if replicas == 1:
        return np.ones(1)
    at = (np.arange(SPACINGS) + 0.5) / SPACINGS
    spread = 1 - (1 - at) ** (1 / (replicas - 1))
    return np.asarray(spread / spread.mean())


def _residues(longest_s: float) -> _Residues:
    if longest_s == 0:
        return _Residues(np.zeros(1), np.zeros(1))
    edges_s = np.linspace(0.0, longest_s, RESIDUES + 1)
    return _Residues(np.append(0.0, (edges_s[:-1] + edges_s[1:]) / 2), edges_s)


def _most_within(arrivals: Mmpp, horizon_s: float, max_batch: int) -> int:
    """More requests than come within the horizon, and than make a batch."""
    mean = max(arrivals.rates_rps) * horizon_s
    return max(int(mean + 8 * mean**0.5) + 10, max_batch + 2)


def _chain(
    arrivals: Mmpp,
    timeout_s: float,
    holds: tuple[Samples, Samples],
    residues: _Residues,
    at_free: Samples,
) -> tuple[Samples, Samples, Samples]:
    """Solve the chain.

    Returns:
        Batches that begin fresh by a and phase, shape (residues, 2), and with requests left over
        by their number, from one, and phase, shape (numbers, 2), each a share of all batches;
        and the share of the batches of 1, 2, ... B requests.
    """
    held_s, spread = holds
    most, largest = len(held_s), at_free.shape[1]
    first = np.mean([_first(arrivals, held_s * one, residues) for one in spread], axis=0)
    fresh = _fresh(arrivals, timeout_s, most, residues, at_free[:-1])
    begun = np.einsum("nigj,gjqk->niqk", first, fresh)
    waited = _left(arrivals, timeout_s, held_s[-1], most, at_free[-1])
    longest = 4 * most + largest + 200 if held_s[-1] > 0 else most
    while True:
        law = _stationary(begun, waited, at_free[-1], longest)
        if law[-longest // 20 :].sum() < _UNLIKELY or longest >= LONGEST_QUEUE or held_s[-1] == 0:
            break
        longest = min(3 * longest, LONGEST_QUEUE)
    size_share = law[:most].sum(axis=1)
    size_share[-1] += law[most:].sum()
    return np.einsum("ni,nigj->gj", law[:most], first), law[most:], size_share


def _first(arrivals: Mmpp, held_s: Samples, residues: _Residues) -> Samples:
    """When and in which phase the first request comes after a batch began that left nobody.

    Returns:
        Shape (batch sizes, 2, residues, 2): it comes v after the begin with density
        exp(D0 v) D1, a = o(n) - v.
    """
    edges_s = residues.edges_s[::-1]
    ago_s = np.maximum(held_s[:, None] - edges_s, 0.0)  # ascending, 0 up to o(n)
    silent = counts_at(arrivals, ago_s.ravel(), 1)[:, 0].reshape(*ago_s.shape, 2, 2)
    cells = (silent[:, :-1] - silent[:, 1:]) @ until_next(arrivals)
    idle = silent[:, -1:] @ until_next(arrivals)
    found = np.concatenate([idle, cells[:, ::-1]], axis=1)
    return np.asarray(found.transpose(0, 2, 1, 3))


def _fresh(
    arrivals: Mmpp, timeout_s: float, most: int, residues: _Residues, at_free: Samples
) -> Samples:
    """Requests and phase when the batch begins whose first request came a before.

    Returns:
        Shape (residues, 2, requests from one on, 2).
    """
    found = at_free.copy()
    still = residues.middle_s < timeout_s
    if most > 1 and still.any():
        counts = counts_at(arrivals, np.array([timeout_s]), most - 1)
        until = durations(arrivals, counts)[0, -1]
        so_far = durations(arrivals, at_free[still, : most - 1])[:, -1]
        found[still, : most - 1] = counts
        found[still, most - 1] += np.maximum(until - so_far, 0.0) @ arrivals.d1
    return np.asarray(found.transpose(0, 2, 1, 3))


def _left(arrivals: Mmpp, timeout_s: float, held_s: float, most: int, at_free: Samples) -> Samples:
    """Requests and phase when the next batch begins, where 1 ... B - 1 were left over.

    Returns:
        Shape (numbers left, 2, requests from one on, 2).
    """
    largest = len(at_free)
    found = np.zeros((most - 1, largest + most, 2, 2))
    for number in range(1, most):
        found[number - 1, number - 1 : number - 1 + largest] = at_free
        remaining_s = timeout_s - held_s - number / arrivals.mean_rps
        if remaining_s <= 0:
            continue
        counts = counts_at(arrivals, np.array([remaining_s]), most - 1)
        spent_s = durations(arrivals, counts)[0]
        at_once = found[number - 1, : most - 1].copy()
        found[number - 1, : most - 1] = 0.0
        for have in range(number, most):
            need = most - have
            law = at_once[have - 1]
            found[number - 1, have - 1 : most - 1] += law @ counts[0, :need]
            found[number - 1, most - 1] += law @ spent_s[need - 1] @ arrivals.d1
    return np.asarray(found.transpose(0, 2, 1, 3))


def _stationary(begun: Samples, waited: Samples, at_free: Samples, longest: int) -> Samples:
    """Return the share of batches that begin with 1 ... `longest` requests, shape (longest, 2).

    What would lead beyond is lost. One state that is likely is given weight one, and its own
    equation is left out, so that the others keep their band.
    """
    most = len(begun)
    wide = max(begun.shape[2], waited.shape[2]) if most > 1 else begun.shape[2]
    lower, upper = 2 * wide + 2, 2 * most + 1
    size = 2 * longest
    band = np.zeros((lower + upper + 1, size))
    rows = [(number, begun[number]) for number in range(most)]
    rows += [(most + number, waited[number]) for number in range(most - 1)]
    for number, row in rows:
        flat = row[:, :longest].reshape(2, -1)
        for phase in range(2):
            source = 2 * number + phase
            if source < size:
                target = np.arange(flat.shape[1])
                band[upper + target - source, source] = flat[phase]
    start = len(rows)
    for phase in range(2):
        for after in range(2):
            at = upper + 2 * (np.arange(len(at_free)) - most) + after - phase
            band[at, 2 * start + phase :: 2] = at_free[:, phase, after, None]
    band[upper] -= 1.0
    _drop_outside(band, upper)
    likely = _likely(band, upper)
    at = np.arange(max(0, likely - lower), min(size, likely + upper + 1))
    band[upper + likely - at, at] = 0.0
    band[upper, likely] = 1.0
    law = solve_banded((lower, upper), band, np.eye(1, size, likely)[0], overwrite_ab=True)
    law = law.clip(min=0).reshape(longest, 2)
    return np.asarray(law / law.sum())


def _drop_outside(band: Samples, upper: int) -> None:
    """Set to nought what lies in the band's corners, outside the matrix."""
    size = band.shape[1]
    target = np.arange(len(band))[:, None] - upper + np.arange(size)
    band[(target < 0) | (target >= size)] = 0.0


def _likely(band: Samples, upper: int) -> int:
    """Return a state that is often visited, by some steps from the first."""
    size = band.shape[1]
    change = dia_array((band, upper - np.arange(len(band))), shape=(size, size)).tocsr()
    law = np.zeros(size)
    law[:2] = 0.5
    for _ in range(_STEPS):
        law = law + change @ law
    return int(np.argmax(law))


def _of_fresh(
    arrivals: Mmpp, timeout_s: float, held_s: Samples, residues: _Residues, fresh: Samples
) -> _Groups:
    """Requests that come from the first one of a fresh batch until it begins."""
    most, at_s = len(held_s), residues.middle_s
    last_s = np.maximum(at_s, timeout_s)
    cell_s = last_s / MOMENTS
    since_s = cell_s[:, None] * (np.arange(MOMENTS) + 0.5)
    largest = _most_within(arrivals, float(at_s.max()), most)
    unique_s, place = np.unique(since_s, return_inverse=True)
    counts = counts_at(arrivals, unique_s, largest)[place.reshape(since_s.shape)]
    come = np.einsum("gi,gzqij->gzqj", fresh, counts) @ arrivals.d1
    come *= cell_s[:, None, None, None]
    waits = since_s < at_s[:, None]
    come[:, :, most - 1 :] *= waits[:, :, None, None]  # a full batch has begun by then
    places = np.zeros((len(at_s), MOMENTS + 1, -(-(largest + 1) // most) * most, 2))
    places[:, 1:, 1 : largest + 1] = come
    places[:, 0, 0] = fresh
    moments_s = np.concatenate([np.zeros((len(at_s), 1)), since_s], axis=1)
    soonest_s = np.maximum(at_s[:, None] - moments_s, 0.0)
    latest_s = last_s[:, None] - moments_s
    finds = np.concatenate([(at_s > 0)[:, None], waits], axis=1)
    busy = np.einsum("gzqi,gz->i", places, finds)
    return _levels(arrivals, timeout_s, held_s, (soonest_s, latest_s, places), busy)


def _of_left(
    arrivals: Mmpp, timeout_s: float, held_s: Samples, left: Samples, largest: int
) -> _Groups:
    """Requests that come while a batch is executed that left others waiting."""
    most, cell_s = len(held_s), held_s[-1] / MOMENTS
    since_s = cell_s * (np.arange(MOMENTS) + 0.5)
    come = counts_at(arrivals, since_s, largest) @ arrivals.d1 * cell_s
    beyond = np.cumsum(left.sum(axis=1)[::-1])[::-1]
    left = left[: int(np.searchsorted(-beyond, -_NEGLIGIBLE * beyond[0])) + 1]
    count = len(left) + largest
    places = np.zeros((MOMENTS, -(-(count + 1) // most) * most, 2))
    for phase in range(2):
        for after in range(2):
            law = fftconvolve(left[None, :, phase], come[:, :, phase, after], axes=1)
            places[:, 1 : law.shape[1] + 1, after] += law.clip(min=0)
    soonest_s = (held_s[-1] - since_s)[None]
    latest_s = np.maximum(soonest_s, timeout_s - since_s)
    busy = places.sum(axis=(0, 1))
    return _levels(arrivals, timeout_s, held_s, (soonest_s, latest_s, places[None]), busy)


def _levels(
    arrivals: Mmpp,
    timeout_s: float,
    held_s: Samples,
    standing: tuple[Samples, Samples, Samples],
    busy: Samples,
) -> _Groups:
    """Cut the queue into batches: those behind the first begin one full batch later each."""
    soonest_s, latest_s, places = standing
    most = len(held_s)
    cut = places.reshape(*places.shape[:2], -1, most, 2)
    behind_s = np.arange(cut.shape[2]) * held_s[-1]
    begin_s = soonest_s[:, :, None] + behind_s
    weight = cut.sum(axis=(3, 4))
    ahead = np.einsum("gzlpi,p->gzl", cut, np.arange(most)) / np.where(weight > 0, weight, 1.0)
    end_s = np.maximum(begin_s, timeout_s - ahead / arrivals.mean_rps)
    end_s[:, :, 0] = latest_s
    kept = weight > _NEGLIGIBLE * weight.sum()
    return _Groups(begin_s[kept], end_s[kept], cut[kept], busy)


def _outcomes(arrivals: Mmpp, groups: _Groups, batch_s: Samples) -> tuple[Samples, Samples]:
    """Return latencies, shape (points,), and the requests at each by phase, shape (points, 2)."""
    most, soonest_s, latest_s = len(batch_s), groups.soonest_s, groups.latest_s
    if most == 1:
        return soonest_s + batch_s[0], groups.requests[:, 0]
    enough_s = 4 * most / arrivals.mean_rps + float((latest_s - soonest_s).max())
    times_s = np.linspace(0.0, min(float(latest_s.max()), enough_s) or 1e-9, TIMES)
    within = counts_at(arrivals, times_s, most).sum(axis=3)
    unfilled = np.zeros_like(within)  # by place in the batch: fewer come than it lacks
    unfilled[:, :-1] = np.cumsum(within, axis=1)[:, -2::-1]

    def at(moment_s: Samples) -> npt.NDArray[np.int64]:
        return np.asarray(np.rint(moment_s / times_s[1]).astype(np.int64).clip(max=TIMES - 1))

    small = fftconvolve(groups.requests, within[at(latest_s)], axes=1)[:, : most - 1].clip(min=0)
    small_s = latest_s[:, None] + batch_s[: most - 1]
    full = (groups.requests * (1 - unfilled[at(soonest_s)])).sum(axis=1)
    opens = latest_s > soonest_s
    share = (np.arange(FILLINGS + 1) / FILLINGS)[:, None]
    edges_s = soonest_s[opens] + share * (latest_s - soonest_s)[opens]
    open_yet = np.einsum("gpi,tgpi->tgi", groups.requests[opens], unfilled[at(edges_s)])
    filled = (open_yet[:-1] - open_yet[1:]).clip(min=0)
    filled_s = (edges_s[:-1] + edges_s[1:]) / 2 + batch_s[-1]
    latency_s = np.concatenate([small_s.ravel(), soonest_s + batch_s[-1], filled_s.ravel()])
    return latency_s, np.concatenate([small.reshape(-1, 2), full, filled.reshape(-1, 2)])
