"""Region-based reinforcement learning (RRL): the search, whole.

After Qin et al., "Swift machine learning model serving scheduling: a region based reinforcement
learning approach", SC'19, doi 10.1145/3295500.3356164, and its sequel on adaptive regions, IoT-J
2020, doi 10.1109/JIOT.2020.2965103. State: the load level. Action: a configuration. The value of
a pair that was not measured is estimated from the measured pairs in its region. What is learnt
here is not latency itself but by how much a prediction of it errs,

    y = log(measured / predicted)                                                            (1)

so that the prediction is the blank start and learning corrects it. With x a pair's coordinates
(log-scaled knobs and load), d the Euclidean distance, and i over the measured pairs in the region
of x, each with its measurement noise n_i,

    w_i  = exp(-d(x, x_i) / h) / n_i^2                            weight of a neighbour      (2)
    mu   = sum(w_i y_i) / (sum(w_i) + 1 / t^2)                    expected error             (3)
    s^2  = 1 / (sum(w_i) + 1 / t^2) + r^2 (1 - exp(-d_min / h))   its uncertainty            (4)
    t^2  = (N t0^2 + sum_all(y_i^2)) / (N + n)                    trust the prediction earned (5)

(3) is the posterior mean under independent Gaussian evidence and the prior N(0, t^2); the second
term of (4) is what no neighbour can tell, r^2 being the spread of errors within the region. A
region starts as the whole space and is split across the axis that best separates its members
while they disagree by more than their noise (6); the tree is grown afresh after each
measurement, so regions also merge again when new members agree. Regions are boxes, as the
2019 paper's are, but of learnt size, as the 2020 sequel's.

The next pair has the largest expected improvement over its load's incumbent per second of
measuring (7). The search is settled when, at every load, the chance that some unmeasured pair
beats the incumbent by more than `min_gain` is below `max_doubt`, members of one region being
taken as one (8). That chance rests on errors that vary smoothly: where they jump between regions
and the better side was never measured, it is too optimistic.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from autotune.outcome import Samples
from autotune.strategy.protocol import Observation, Pair

REACH = 2.0
"""h of (2): lattice steps over which an error's relevance falls to a third."""
PRIOR_ERROR = 0.2
"""t0 of (5): a prediction is first trusted to within a factor of exp(0.2)."""
PRIOR_WEIGHT = 4.0
"""N of (5), in measurements."""
SPLIT_RATIO = 2.0
"""(6): a region splits when its spread exceeds this multiple of its members' noise."""
MIN_MEMBERS = 2
"""Fewest measured members on each side of a split."""


class Settings(NamedTuple):
    """When to stop."""

    min_gain: float = 0.03
    """An improvement below this share is not worth finding."""
    max_doubt: float = 0.05
    """Largest chance that something better remains unmeasured."""


class _Estimate(NamedTuple):
    """Belief about all pairs; arrays of shape (loads, points)."""

    mean: Samples
    """Expected log latency."""
    deviation: Samples
    region: npt.NDArray[np.int64]


class Rrl:
    """The search over all (load, point) pairs. See the module for the equations."""

    def __init__(
        self,
        predicted_s: Samples,
        coordinates: Samples,
        loads_rps: Samples,
        settings: Settings | None = None,
    ) -> None:
        """Start from predictions.

        Args:
            predicted_s: predicted latency, seconds, shape (loads, points).
            coordinates: of the points, shape (points, axes), a step of 1 being a doubling.
            loads_rps: shape (loads,).
            settings: when to stop.
        """
        self._log_predicted = np.log(predicted_s)
        self._shape = predicted_s.shape
        self._settings = settings or Settings()
        loads, points = self._shape
        log_loads = np.log2(loads_rps)
        self._places = np.concatenate(
            [
                np.repeat(log_loads, points)[:, None],
                np.tile(coordinates, (loads, 1)),
            ],
            axis=1,
        )
        self._told: dict[Pair, Observation] = {}
        self._estimate = self._learn()

    def ask(self, cost_s: Samples) -> Pair | None:
        """Return the pair of the largest expected improvement per second; None when settled."""
        mean, deviation, _ = self._estimate
        open_pairs = self._open_pairs()
        for load in range(self._shape[0]):  # from below: a lower load is cheaper to fail at
            if not self.best(load) and open_pairs[load].any():
                return Pair(load, int(np.argmin(np.where(open_pairs[load], mean[load], np.inf))))
        z = self._margins()
        if self._is_settled(z, open_pairs):
            return None
        density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
        improvement = deviation * (z * ndtr(z) + density)  # (7), Mockus 1975
        score = np.where(open_pairs, improvement / cost_s, -np.inf)
        best = int(np.argmax(score))
        return Pair(*divmod(best, self._shape[1])) if np.isfinite(score.flat[best]) else None

    def tell(self, pair: Pair, observation: Observation) -> None:
        """Learn from a measurement and estimate all pairs anew."""
        self._told[pair] = observation
        self._estimate = self._learn()

    def best(self, load: int) -> list[int]:
        """Return the measured points that work at this load, best estimate first."""
        measured = [
            pair.point
            for pair, seen in self._told.items()
            if pair.load == load and seen.log_ratio is not None
        ]
        return sorted(measured, key=lambda point: float(self._estimate.mean[load, point]))

    def is_settled(self) -> bool:
        """Whether, by (8), nothing left unmeasured is likely to matter at any load."""
        return self._is_settled(self._margins(), self._open_pairs())

    def _is_settled(self, margins: Samples, open_pairs: npt.NDArray[np.bool_]) -> bool:
        region = self._estimate.region
        chance = np.where(open_pairs, ndtr(margins), 0.0)
        for load in range(self._shape[0]):
            highest = np.zeros(int(region.max()) + 1)
            np.maximum.at(highest, region[load], chance[load])
            if 1 - np.prod(1 - highest) > self._settings.max_doubt:
                return False
        return True

    def estimated_s(self) -> Samples:
        """Return the expected latency of every pair in seconds, shape (loads, points)."""
        return np.asarray(np.exp(self._estimate.mean))

    def _margins(self) -> Samples:
        """By how many deviations each pair is expected to beat what would be worth having."""
        targets = np.full(self._shape[0], np.inf)
        for load in range(self._shape[0]):
            if best := self.best(load):
                targets[load] = self._estimate.mean[load, best[0]]
        targets += np.log(1 - self._settings.min_gain)
        return np.asarray((targets[:, None] - self._estimate.mean) / self._estimate.deviation)

    def _open_pairs(self) -> npt.NDArray[np.bool_]:
        """Pairs neither measured nor of a configuration that failed at any load."""
        still_open = np.ones(self._shape, dtype=bool)
        for pair, seen in self._told.items():
            still_open[pair.load, pair.point] = False
            if seen.log_ratio is None:
                still_open[:, pair.point] = False
        return still_open

    def _learn(self) -> _Estimate:
        index, errors, noise = self._evidence()
        region = np.zeros(len(self._places), dtype=np.int64)
        _split(region, self._places, _Evidence(index, errors, noise))
        trust = (PRIOR_WEIGHT * PRIOR_ERROR**2 + np.sum(errors**2)) / (PRIOR_WEIGHT + len(errors))
        mu = np.zeros(len(self._places))
        variance = np.full(len(self._places), trust + PRIOR_ERROR**2)
        for label in np.unique(region):
            members = np.flatnonzero(region[index] == label)
            if not len(members):
                continue
            inside = region == label
            gaps = self._places[inside][:, None] - self._places[index[members]][None]
            nearness = np.exp(-np.sqrt(np.sum(gaps**2, axis=2)) / REACH)
            weights = nearness / noise[members] ** 2  # (2)
            precision = weights.sum(axis=1) + 1 / trust
            mu[inside] = weights @ errors[members] / precision  # (3)
            spread = _spread(errors[members])
            variance[inside] = 1 / precision + spread * (1 - nearness.max(axis=1))  # (4)
        return _Estimate(
            mean=self._log_predicted + mu.reshape(self._shape),
            deviation=np.sqrt(variance).reshape(self._shape),
            region=region.reshape(self._shape),
        )

    def _evidence(self) -> tuple[npt.NDArray[np.int64], Samples, Samples]:
        working = [
            (pair.load * self._shape[1] + pair.point, seen.log_ratio, seen.noise)
            for pair, seen in self._told.items()
            if seen.log_ratio is not None
        ]
        index = np.array([entry[0] for entry in working], dtype=np.int64)
        errors = np.array([entry[1] for entry in working], dtype=np.float64)
        return index, errors, np.array([entry[2] for entry in working], dtype=np.float64)


class _Evidence(NamedTuple):
    """Measured pairs: position among all pairs, error (1), and its noise."""

    positions: npt.NDArray[np.int64]
    errors: Samples
    noise: Samples


def _spread(errors: Samples) -> float:
    """Variance within a region, never below that of an unknown prediction.

    Members that agree may all lie on one side of a step that was not seen: agreement among them
    says little about members far away.
    """
    squares = float(np.sum((errors - errors.mean()) ** 2))
    learnt = (PRIOR_WEIGHT * PRIOR_ERROR**2 + squares) / (PRIOR_WEIGHT + len(errors))
    return max(PRIOR_ERROR**2, learnt)


def _split(region: npt.NDArray[np.int64], places: Samples, seen: _Evidence) -> None:
    """Split regions (6), in place, until the members of each agree to within their noise."""
    waiting = [0]
    while waiting:
        label = waiting.pop()
        members = np.flatnonzero(region[seen.positions] == label)
        if len(members) < 2 * MIN_MEMBERS:
            continue
        errors, expected = seen.errors[members], float(np.mean(seen.noise[members] ** 2))
        if float(np.var(errors, ddof=1)) <= SPLIT_RATIO * expected:
            continue
        cut = _best_cut(places[seen.positions[members]], errors)
        if cut is None:
            continue
        axis, threshold = cut
        fresh = int(region.max()) + 1
        region[(region == label) & (places[:, axis] > threshold)] = fresh
        waiting += [label, fresh]


def _best_cut(places: Samples, errors: Samples) -> tuple[int, float] | None:
    """Return the (axis, threshold) that leaves the least squared error on its two sides."""
    best: tuple[float, int, float] | None = None
    for axis in range(places.shape[1]):
        values = np.unique(places[:, axis])
        for threshold in (values[:-1] + values[1:]) / 2:
            low = places[:, axis] <= threshold
            if min(low.sum(), (~low).sum()) < MIN_MEMBERS:
                continue
            left = sum(float(np.var(side) * len(side)) for side in (errors[low], errors[~low]))
            if best is None or left < best[0]:
                best = (left, axis, float(threshold))
    return None if best is None else (best[1], best[2])
