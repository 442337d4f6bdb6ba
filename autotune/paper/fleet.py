"""Latency of very many configurations: all by a formula, those that matter by simulation.

The formula, for R replicas with batches of up to B that wait at most T, at a load of l requests/s,
S(b, k) being the seconds of a batch of b with k replicas busy: a batch grows to what arrives within
T, or while all replicas are busy,

    b = max(1 + l T, l S(b, R) / R),  1 <= b <= B;      k = l S(b, 1 + k) / b others busy      (1)

p95 = max(fill, queue) + S at the jitter's p95 and in the company of the p95 of k. The first of a
batch waits for company for min(T, (B - 1) / l). The queue, with r = l S(B, R) / (R B), is all busy
with probability r^sqrt(2 (R + 1)), and then exponential with mean S(B, R) / (2 R B (1 - r)), since
batches of B arrive as evenly as B requests do (after Sakasegawa 1977, "An approximation formula
L_q = a r^b / (1 - r)", Annals of the Institute of Statistical Mathematics 29, and Kingman). Where
r > 1 the backlog of a run of n requests grows to (r - 1) n / l. What it errs by is learnt from what
is simulated.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from autotune.outcome import Flags, Samples
from autotune.paper.grid import Grid, Indices, Knobs
from autotune.predict.queue_simulation import Lanes, batch_seconds, table_sizes

EXACT = 20_000
"""Configurations that are simulated at each load: all where there are no more than these."""
TURNS = 8
"""In which they are chosen, each wiser than the last."""
CHUNK = 2000
"""Simulated at once: more would not fit the processor's caches."""
ROUNDS = 6
"""Of iterating (1)."""
PASSES = 4
"""Of finding which batches form and how long those take."""
EDGES = (0.5, 0.8, 0.95, 1.05, 1.5)
"""Values of r between which the formula's error is alike."""
TAIL = 1.64
"""Standard deviations from the average to p95."""
MOST_BACKLOG = 2.5
"""Standard deviations of arrivals that a queue may be behind at the end of a finite run."""
ANCHOR = 2.0
"""Batches up to this many times the average are timed right, the average one a bit too slow."""
ROWS = 4096
"""Rows of a service table computed at once."""

Law = Callable[[Knobs, Samples, Samples], Samples]
"""Median seconds of a batch with (these knobs, this many busy, of this size); all broadcast."""
Simulate = Callable[[Lanes, Indices], tuple[Samples, Samples]]
"""Lanes, and the points that they are -> latency at the SLO's percentile, share over the SLO."""


class Fleet(NamedTuple):
    """Configurations as a queue sees them."""

    row: Indices
    """Shape (points,): which row of the tables below."""
    replicas: Indices
    max_batch: Indices
    timeout_s: Samples
    alone_s: Samples
    """Shape (rows, steps): seconds of a batch of 2 ** step requests beside no other."""
    crowding: Samples
    """Shape (rows, most replicas + 1): slow-down with so many replicas busy."""

    def some(self, which: Indices) -> "Fleet":
        """Return some of the points."""
        return self._replace(
            row=self.row[which],
            replicas=self.replicas[which],
            max_batch=self.max_batch[which],
            timeout_s=self.timeout_s[which],
        )

    def lanes(self, which: Indices) -> Lanes:
        """Return some of the points as lanes."""
        row, replicas = self.row[which], self.replicas[which]
        return Lanes(
            replicas=replicas,
            max_batch=self.max_batch[which],
            timeout_s=self.timeout_s[which],
            alone_s=self.alone_s[row],
            crowding=self.crowding[row, : int(replicas.max()) + 1],
        )

    def batch_s(self, batch: Samples, busy: Samples) -> Samples:
        """Return seconds of a batch of each point, also between whole numbers of busy replicas."""
        below = np.floor(busy).astype(np.int64)
        above = np.minimum(below + 1, self.crowding.shape[1] - 1)
        crowd = self.crowding[self.row, below]
        crowd += (self.crowding[self.row, above] - crowd) * (busy - below)
        return batch_seconds(self.alone_s, self.row, batch) * crowd


class Estimate(NamedTuple):
    """What the formula says of each point, as arrays."""

    latency_s: Samples
    """At p95."""
    least_s: Samples
    """Of a request that waits for nothing."""
    busy: Samples
    """Replicas at work, on average."""
    utilisation: Samples
    """r of the formula."""


def true_fleet(grid: Grid, law: Law) -> Fleet:
    """Express a machine's law as rows of (session, batch size), the largest for each point.

    A row's times are exact for batches of powers of two while alone, and for its size at any number
    of busy replicas; other sizes are slowed by company as that one is, for queues know no other.
    """
    knobs, count = grid.knobs, len(grid.batches)
    most = int(knobs.replicas.max())
    session, size = np.divmod(np.arange(len(grid.sessions) * count), count)
    batch = grid.batches[size].astype(np.float64)[:, None]
    sizes = table_sizes(int(grid.batches.max()))
    alone_s, full_s = np.empty((len(session), len(sizes))), np.empty((len(session), most + 1))
    busy = np.arange(most + 1, dtype=np.float64).clip(min=1)[None, :]
    for first in range(0, len(session), ROWS):
        rows = slice(first, first + ROWS)
        some = knobs.at(session[rows][:, None])
        alone_s[rows] = law(some, np.ones((1, 1)), sizes[None, :])
        # No lane asks for more than it has.
        full_s[rows] = law(some, np.minimum(busy, some.replicas), batch[rows])
    return Fleet(
        row=grid.session * count + grid.batch,
        replicas=knobs.replicas[grid.session].astype(np.int64),
        max_batch=grid.max_batch,
        timeout_s=grid.timeout_ms / 1e3,
        alone_s=alone_s,
        crowding=full_s / full_s[:, 1:2],
    )


def at_work(fleet: Fleet, sizes: Indices, load_rps: float) -> Fleet:
    """Return a true fleet whose rows suit the batches that form at a load.

    These depend on the times that the rows give; of several answers that agree with themselves,
    the one with the smallest batches is taken, at which a machine that starts idle arrives.

    Args:
        fleet: with rows as of `true_fleet`.
        sizes: the batch sizes of these rows.
        load_rps: the load.
    """
    first = fleet.row // len(sizes) * len(sizes)
    here = fleet._replace(row=first)
    for _ in range(PASSES):
        batch, _ = _at_work(here, load_rps)
        size = np.searchsorted(sizes, np.minimum(ANCHOR * batch, fleet.max_batch))
        here = here._replace(row=first + size)
    return here


def predicted_fleet(grid: Grid, sessions: Lanes) -> Fleet:
    """Return the fleet under a law that knows sessions only: one row each, made by autotune."""
    return Fleet(
        row=grid.session,
        replicas=sessions.replicas[grid.session],
        max_batch=grid.max_batch,
        timeout_s=grid.timeout_ms / 1e3,
        alone_s=sessions.alone_s,
        crowding=sessions.crowding,
    )


def estimate(fleet: Fleet, load_rps: float, requests: int, jitter: Samples) -> Estimate:
    """Return p95 of every point by the formula.

    Args:
        fleet: the points.
        load_rps: Poisson arrivals.
        requests: how many arrive.
        jitter: sorted ratios of executions to their median.
    """
    replicas, largest = fleet.replicas.astype(np.float64), fleet.max_batch.astype(np.float64)
    full_s = fleet.batch_s(largest, replicas)
    utilisation = load_rps * full_s / (replicas * largest)
    batch, busy = _at_work(fleet, load_rps)
    usual_s = fleet.batch_s(batch, busy)
    # What p95 meets is the company of more than the average.
    service_s = fleet.batch_s(batch, np.minimum(1 + busy + TAIL * np.sqrt(busy), replicas))
    fill_s = np.where(largest > 1, np.minimum(fleet.timeout_s, (largest - 1) / load_rps), 0.0)
    spare = np.maximum(1 - utilisation, 1e-6)
    all_busy = np.minimum(utilisation, 1.0) ** np.sqrt(2 * (replicas + 1))
    behind_s = np.log(np.maximum(all_busy / 0.05, 1)) * full_s / (2 * replicas * spare * largest)
    behind_s = np.minimum(behind_s, MOST_BACKLOG * np.sqrt(requests) / load_rps)
    # The end of a batch under way, where requests of a small batch must wait for it.
    occupied = np.minimum(load_rps / batch * usual_s / replicas, 1.0)
    rest_s = np.where(largest > 1, 0.95 * usual_s / replicas * occupied, 0.0)
    backlog_s = 0.95 * requests / load_rps * (np.maximum(utilisation, 1.0) - 1)
    spread = float(np.quantile(jitter, 0.95))
    latency_s = np.maximum(fill_s, rest_s + behind_s) + backlog_s + service_s * spread
    least_s = fleet.batch_s(np.ones(len(replicas)), np.ones(len(replicas)))
    return Estimate(latency_s, least_s, busy.clip(min=1), utilisation)


def _at_work(fleet: Fleet, load_rps: float) -> tuple[Samples, Samples]:
    """Return the average batch, and how many replicas work on one, by (1)."""
    replicas, largest = fleet.replicas.astype(np.float64), fleet.max_batch.astype(np.float64)
    company = np.where(largest > 1, 1 + load_rps * fleet.timeout_s, 1.0)
    batch, busy = np.minimum(company, largest), np.zeros(len(replicas))
    for _ in range(ROUNDS):
        growing = load_rps * fleet.batch_s(batch, replicas) / replicas
        batch = np.clip(np.maximum(company, growing), 1.0, largest)
        usual_s = fleet.batch_s(batch, np.minimum(1 + busy, replicas))
        busy = (busy + np.minimum(load_rps / batch * usual_s, replicas)) / 2
    return batch, busy


def latency(
    fleet: Fleet, guess: Estimate, cells: Sequence[Indices], simulate: Simulate, exact: int = EXACT
) -> tuple[Samples, Samples, Flags]:
    """Return latency at p95, the share over the SLO where simulated, and where that is.

    Simulated are one point of each cell, as far as a third of the allowance goes, then, in turns,
    those that look best by the formula less its error so far, where they are (see `_error`).

    Args:
        fleet: the points.
        guess: what the formula says of them.
        cells: of growing fineness, each of shape (points,): which points are neighbours.
        simulate: of some of them.
        exact: how many of them to simulate at most.
    """
    points = len(fleet.row)
    value_s, over = guess.latency_s.copy(), np.full(points, np.nan)
    known = np.zeros(points, dtype=np.bool_)
    likes = [np.searchsorted(EDGES, guess.utilisation) * 2 + (fleet.max_batch > 1), *cells]
    chosen = np.arange(points) if points <= exact else _spread(likes, exact // 3)
    for turn in range(TURNS):
        value_s[chosen], over[chosen] = _simulated(fleet, chosen, simulate)
        known[chosen] = True
        if known.all():
            break
        value_s[~known] = (guess.latency_s * _error(guess, value_s, known, likes))[~known]
        left = (exact - int(known.sum())) // max(1, TURNS - 1 - turn)
        hopes = np.where(known, np.inf, value_s)
        chosen = np.argpartition(hopes, left)[:left]
    # What was only estimated may not pass for the best.
    least_s = 1.001 * float(value_s[known].min())
    return np.where(known, value_s, np.maximum(value_s, least_s)), over, known


def _spread(likes: Sequence[Indices], count: int) -> Indices:
    """Return about `count` points: one of each cell, of the finest cells that are not too many.

    The rest of them is random. The default, which all are compared with, is always among them.
    """
    shuffled = np.random.default_rng(0).permutation(len(likes[0]))
    firsts = np.zeros(0, dtype=np.int64)
    for cells in likes:
        _, finer = np.unique(cells[shuffled], return_index=True)
        firsts = finer if len(finer) <= count or not len(firsts) else firsts
    others = np.setdiff1d(np.arange(count), firsts)[: max(0, count - len(firsts))]
    return np.union1d([0], shuffled[np.concatenate([firsts, others])])


def _simulated(fleet: Fleet, which: Indices, simulate: Simulate) -> tuple[Samples, Samples]:
    """Simulate some points, those of like many replicas together: the widest sets the pace."""
    value_s, over = np.empty(len(which)), np.empty(len(which))
    order = np.argsort(fleet.replicas[which], kind="stable")
    for first in range(0, len(which), CHUNK):
        some = order[first : first + CHUNK]
        value_s[some], over[some] = simulate(fleet.lanes(which[some]), which[some])
    return value_s, over


def _error(guess: Estimate, value_s: Samples, known: Flags, likes: Sequence[Indices]) -> Samples:
    """Return by what factor the formula errs for each point, from those that are known.

    The error of points of like utilisation is refined cell by cell, each cell's shrunk as if one
    more point had none.
    """
    rest = np.log(value_s[known] / guess.latency_s[known])
    error = np.zeros(len(value_s))
    for cells in likes:
        own = cells[known]
        count = np.bincount(own, minlength=int(cells.max()) + 1)
        mean = np.bincount(own, weights=rest, minlength=len(count)) / (1 + count)
        rest = rest - mean[own]
        error += mean[cells]
    return np.asarray(np.exp(error))


def share_over(least_s: Samples, p95_s: Samples, slo_s: float) -> Samples:
    """Return the share of requests over the SLO, latency being exponential above its least."""
    beyond = (slo_s - least_s) / np.maximum(p95_s - least_s, 1e-9)
    return np.asarray(np.where(slo_s > least_s, 0.05 ** beyond.clip(min=0), 1.0))
