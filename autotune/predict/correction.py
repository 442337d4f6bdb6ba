"""The service law, corrected by executions seen while serving.

What an execution of b requests beside k busy replicas took, over what the law says, is taken for a
Gaussian process over the sessions' coordinates x, log2 b and the share u of the other replicas that
are busy, of covariance

    l^2 w(x) (SPEED^2 + BATCH^2 w(log2 b / 2) + CROWD^2 w(u)),    w(d) = exp(-|d|)           (1)

in log units: sessions err as their neighbours do, most of all alike at every batch and busyness;
l, by which the law is as a whole worse than presumed, is the likeliest of a few (Rasmussen and
Williams 2006, 2.30). A state (x, b, k) counts by its typical execution, with noise

    STATE_NOISE^2 + EXECUTION_NOISE^2 / executions                                           (2)

Other searches may have taught that the law errs by e(x, b, u). Whether that holds here is not
known: of the two hypotheses, that (1) is of mean e or of mean 0, each counts by

    P(taught | seen) = P(seen | taught) / (P(seen | taught) + P(seen | blank))               (3)

so that what was taught earns its weight by what is seen, and loses it (Hoeting et al. 1999,
"Bayesian Model Averaging", 2).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from scipy.special import expit

from autotune.outcome import Samples
from autotune.predict.queue_simulation import Indices, Lanes, table_sizes
from autotune.predict.taught import Taught
from autotune.stats.gaussian import Gaussian, mixed

SPEED, BATCH, CROWD = 0.20, 0.08, 0.10
"""Standard deviations of the law's errors: of other sessions, of batches, of crowding."""
WORSE = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Values of l."""
TAUGHT_WORSE = (0.25, *WORSE)
"""Likewise, of what was taught: that may be better than any law."""
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
    taught: Samples | None = None
    """e of (3); None: nothing was taught."""


class Correction:
    """What the law has wrong, as far as is known."""

    def __init__(self, seen: States, log_ratio: Samples, executions: Samples) -> None:
        """Learn from states, each with its ratio to the law and how often it was seen."""
        self._blank = _Hypothesis(seen, log_ratio, executions, WORSE)
        self._taught: _Hypothesis | None = None
        self.trust = 0.0
        """(3)."""
        if seen.taught is not None:
            off = log_ratio - seen.taught
            self._taught = _Hypothesis(seen, off, executions, TAUGHT_WORSE)
            odds = self._taught.log_evidence - self._blank.log_evidence
            self.trust = float(expit(odds))

    def at(self, states: States) -> tuple[Samples, Samples]:
        """Return the expected log ratio and its standard deviation."""
        blank = self._blank.at(states)
        if self._taught is None or states.taught is None:
            return blank
        mean, deviation = self._taught.at(states)
        return mixed(blank, (mean + states.taught, deviation), self.trust)


class _Hypothesis:
    """The process (1) with the likeliest l."""

    def __init__(
        self, seen: States, off: Samples, executions: Samples, worse: Sequence[float]
    ) -> None:
        self._seen = seen
        noise = np.diag(STATE_NOISE**2 + EXECUTION_NOISE**2 / executions)
        kinship = _covariance(seen, seen)
        candidates = [(Gaussian(one**2 * kinship + noise, off), one) for one in worse]
        self._gaussian, self._worse = max(candidates, key=lambda one: one[0].log_evidence)

    @property
    def log_evidence(self) -> float:
        return self._gaussian.log_evidence

    def at(self, states: States) -> tuple[Samples, Samples]:
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
    lanes: Lanes,
    shapes: Indices,
    places: Samples,
    correction: Correction,
    anchor: int,
    taught: Taught | None = None,
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
        taught: what else is known of the law's errors.
    """
    sizes = np.minimum(table_sizes(2 ** (lanes.alone_s.shape[1] - 1)), anchor)
    of, every_size = np.repeat(np.arange(len(places)), len(sizes)), np.tile(sizes, len(places))
    every = States(
        places[of],
        every_size,
        np.zeros(len(of)),
        None if taught is None else taught.at(of, every_size, 1.0),
    )
    ratio = np.exp(correction.at(every)[0]).reshape(len(places), len(sizes))
    largest = np.minimum(lanes.max_batch, anchor)
    kinds, lane_of = np.unique(
        np.stack([shapes, largest, lanes.replicas]), axis=1, return_inverse=True
    )
    return lanes._replace(
        alone_s=np.maximum.accumulate(lanes.alone_s * ratio[shapes], axis=1),
        crowding=lanes.crowding
        * _crowding_ratio(kinds, places, correction, lanes, taught)[lane_of.ravel()],
    )


def _crowding_ratio(
    kinds: Indices,
    places: Samples,
    correction: Correction,
    lanes: Lanes,
    taught: Taught | None,
) -> Samples:
    """By what factor crowding differs from the law's: rows of (sessions, batch, replicas)."""
    shape, batch, replicas = kinds

    def expected(which: Indices, busy: int) -> Samples:
        sizes = batch[which].astype(float)
        share = (busy - 1) / np.maximum(replicas[which] - 1, 1)
        told = None if taught is None else taught.at(shape[which], sizes, busy)
        return correction.at(States(places[shape[which]], sizes, share, told))[0]

    ratio = np.ones((len(shape), lanes.crowding.shape[1]))
    alone = expected(np.arange(len(shape)), 1)
    for busy in range(2, ratio.shape[1]):
        having = np.flatnonzero(replicas >= busy)
        ratio[having, busy] = np.exp(expected(having, busy) - alone[having])
    return ratio


def as_states(
    places: Sequence[Samples],
    batch_busy: Sequence[tuple[float, float]],
    taught: Samples | None = None,
) -> States:
    """Return states from their parts."""
    sizes, shares = np.array(batch_busy, dtype=float).reshape(-1, 2).T
    return States(np.array(places, dtype=float).reshape(len(sizes), -1), sizes, shares, taught)
