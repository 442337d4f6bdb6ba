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
from autotune.predict.queue_simulation import Lanes
from autotune.stats.gaussian import Gaussian

SPEED, BATCH, CROWD = 0.20, 0.08, 0.10
"""Standard deviations of the law's errors: of other sessions, of batches, of crowding."""
WORSE = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Values of l."""
DOUBLINGS = 2.0
"""Of the batch, over which its own error is remembered."""
MOST_PER_REQUEST = 1.5
"""What a further request may add, in runs of one: large batches fall out of caches."""
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


def corrected(lanes: Lanes, places: Samples, correction: Correction, anchor: int) -> Lanes:
    """Return the lanes as they are expected to be.

    A lane's batch time is linear in the batch: it is put right for one request and for `anchor`, or
    a full batch where that is smaller, alone; and for the latter beside each number of others,
    since batches are full where many are busy.

    Args:
        lanes: by the law.
        places: coordinates of each lane's sessions, shape (lanes, knobs).
        correction: what the law has wrong.
        anchor: about the largest batch that there is evidence of.
    """
    largest, alone = np.minimum(lanes.max_batch, anchor).astype(float), np.zeros(len(places))
    one, _ = correction.at(States(places, np.ones(len(places)), alone))
    full, _ = correction.at(States(places, largest, alone))
    one_s = (lanes.fixed_s + lanes.item_s) * np.exp(one)
    full_s = (lanes.fixed_s + lanes.item_s * largest) * np.exp(full)
    item_s = np.where(largest > 1, (full_s - one_s) / np.maximum(1, largest - 1), lanes.item_s)
    item_s = np.minimum(item_s.clip(min=0), MOST_PER_REQUEST * one_s)
    crowding = lanes.crowding.copy()
    for busy in range(2, crowding.shape[1]):
        having = np.flatnonzero(lanes.replicas >= busy)
        share = (busy - 1) / (lanes.replicas[having] - 1)
        beside, _ = correction.at(States(places[having], largest[having], share))
        crowding[having, busy] *= np.exp(beside - full[having])
    return lanes._replace(fixed_s=one_s - item_s, item_s=item_s, crowding=crowding)


def as_states(places: Sequence[Samples], batch_busy: Sequence[tuple[float, float]]) -> States:
    """Return states from their parts."""
    sizes, shares = np.array(batch_busy, dtype=float).reshape(-1, 2).T
    return States(np.array(places, dtype=float).reshape(len(sizes), -1), sizes, shares)
