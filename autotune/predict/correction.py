"""The service law, corrected by executions seen while serving.

What an execution of b requests beside k busy replicas took, over what the law says, is taken for a
Gaussian process over the sessions' coordinates x, log2 b and the share u of the other replicas that
are busy, of covariance

    l^2 w(x) (SPEED^2 + BATCH^2 w(log2 b / 2) + CROWD^2 w(u)),    w(d) = exp(-|d|)           (1)

in log units: sessions err as their neighbours do, most of all alike at every batch and busyness;
l, by which the law is as a whole worse than presumed, is the likeliest of a few (Rasmussen and
Williams 2006, 2.30). A state (x, b, k) counts by its typical execution, with noise

    STATE_NOISE^2 + EXECUTION_NOISE^2 / executions                                           (2)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from autotune.outcome import Samples
from autotune.predict.queue_simulation import Indices, Lanes, table_sizes
from autotune.stats.gaussian import Gaussian

SPEED, BATCH, CROWD = 0.20, 0.08, 0.10
"""Standard deviations of the law's errors: of other sessions, of batches, of crowding."""
WORSE = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Values of l."""
DOUBLINGS = 2.0
"""Of the batch, over which its own error is remembered."""
STATE_NOISE, EXECUTION_NOISE = 0.03, 0.10
"""Standard deviations (log) of a state, however often seen, and of a single execution."""


class States(NamedTuple):
    """States of sessions; arrays of shape (states,) unless noted."""

    places: Samples
    """Coordinates of the sessions, shape (states, knobs), a step of 1 being a doubling."""
    batch_size: Samples
    busy_share: Samples
    """Of the replicas beside one's own."""


class Correction:
    """What the law has wrong, as far as is known."""

    def __init__(self, seen: States, log_ratio: Samples, executions: Samples) -> None:
        """Learn from states, each with its ratio to the law and how often it was seen."""
        self._seen = seen
        noise = np.diag(STATE_NOISE**2 + EXECUTION_NOISE**2 / executions)
        kinship = _covariance(seen, seen)
        candidates = [(Gaussian(one**2 * kinship + noise, log_ratio), one) for one in WORSE]
        self._gaussian, self._worse = max(candidates, key=lambda one: one[0].log_evidence)

    def at(self, states: States) -> tuple[Samples, Samples]:
        """Return the expected log ratio and its standard deviation."""
        scale = self._worse**2
        variance = scale * np.full(len(states.batch_size), SPEED**2 + BATCH**2 + CROWD**2)
        return self._gaussian.at(scale * _covariance(self._seen, states), variance)


def no_deviation(count: int) -> Samples:
    """Return the standard deviation of the law's errors before anything was seen."""
    return np.full(count, float(np.sqrt(SPEED**2 + BATCH**2 + CROWD**2)))


def _covariance(left: States, right: States) -> Samples:
    def near(one: npt.ArrayLike, other: npt.ArrayLike) -> Samples:
        return np.exp(-np.abs(np.subtract.outer(one, other)))

    sessions = np.exp(-cdist(left.places, right.places, "cityblock"))
    batch = near(np.log2(left.batch_size) / DOUBLINGS, np.log2(right.batch_size) / DOUBLINGS)
    crowd = near(left.busy_share, right.busy_share)
    return np.asarray(sessions * (SPEED**2 + BATCH**2 * batch + CROWD**2 * crowd))


def corrected(
    lanes: Lanes, shapes: Indices, places: Samples, correction: Correction, anchor: int
) -> Lanes:
    """Return the lanes as they are expected to be.

    Batch times are put right alone; beside each number of others for a full batch, since batches
    are full where many are busy. Batches above `anchor` err as it does.

    Args:
        lanes: by the law.
        shapes: which sessions each lane needs, shape (lanes,).
        places: coordinates of these sessions, shape (sessions, knobs).
        correction: what the law has wrong.
        anchor: about the largest batch that there is evidence of.
    """
    sizes = np.minimum(table_sizes(2 ** (lanes.alone_s.shape[1] - 1)), anchor)
    every = States(
        np.repeat(places, len(sizes), axis=0),
        np.tile(sizes, len(places)),
        np.zeros(len(places) * len(sizes)),
    )
    ratio = np.exp(correction.at(every)[0]).reshape(len(places), len(sizes))
    largest = np.minimum(lanes.max_batch, anchor)
    kinds, of = np.unique(np.stack([shapes, largest, lanes.replicas]), axis=1, return_inverse=True)
    return lanes._replace(
        alone_s=np.maximum.accumulate(lanes.alone_s * ratio[shapes], axis=1),
        crowding=lanes.crowding * _crowding_ratio(kinds, places, correction, lanes)[of.ravel()],
    )


def _crowding_ratio(
    kinds: Indices, places: Samples, correction: Correction, lanes: Lanes
) -> Samples:
    """By what factor crowding differs from the law's: rows of (sessions, batch, replicas)."""
    shape, batch, replicas = kinds
    ratio = np.ones((len(shape), lanes.crowding.shape[1]))
    alone, _ = correction.at(States(places[shape], batch.astype(float), np.zeros(len(shape))))
    for busy in range(2, ratio.shape[1]):
        having = np.flatnonzero(replicas >= busy)
        share = (busy - 1) / (replicas[having] - 1)
        states = States(places[shape[having]], batch[having].astype(float), share)
        ratio[having, busy] = np.exp(correction.at(states)[0] - alone[having])
    return ratio


def as_states(places: Sequence[Samples], batch_busy: Sequence[tuple[float, float]]) -> States:
    """Return states from their parts."""
    sizes, shares = np.array(batch_busy, dtype=float).reshape(-1, 2).T
    return States(np.array(places, dtype=float).reshape(len(sizes), -1), sizes, shares)
