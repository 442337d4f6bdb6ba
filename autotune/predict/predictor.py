"""What every configuration should do at every load, corrected by what measured ones did."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.outcome import Samples
from autotune.predict.correction import UNKNOWN, corrected, fit_correction, spread_corrections
from autotune.predict.forecast import QUANTILES, forecast
from autotune.predict.queue_simulation import Lanes
from autotune.predict.service_law import ServiceLaw
from autotune.stats.service import ServiceState

Indices = npt.NDArray[np.int64]

NUDGE = 0.2
"""Service times are made this much shorter (log) to see how latency answers: what is slower than
thought matters less, since it is not chosen."""
CHANGED = 0.01
"""A correction that moves service times by less (log) is not worth simulating again."""
WITHIN_REACH = 4.0
"""Points predicted slower than the best by more than this factor keep the prediction they have."""


class Basis(NamedTuple):
    """What predictions stand on."""

    lanes: Lanes
    law: ServiceLaw
    shapes: Indices
    """Of each lane, an index of the sessions that it needs, shape (lanes,)."""
    places: Samples
    """Coordinates of these sessions, shape (shapes, knobs)."""
    arrivals_s: Sequence[Samples]
    """At each load."""
    quantile: float


class Predictor:
    """Predictions of all pairs; they change with what is learnt.

    Attributes:
        predicted_s: latency at the quantile, shape (loads, points).
        quantiles_s: latency at `QUANTILES`, shape (loads, points, quantiles).
    """

    def __init__(self, basis: Basis) -> None:
        """Predict everything from the law alone."""
        self._basis = basis
        self._measured: dict[int, Samples] = {}
        self._states: dict[int, list[tuple[ServiceState, float]]] = {}
        self._correction = np.zeros((len(basis.places), 3))
        self._deviation = np.full(len(basis.places), UNKNOWN)
        shape = (len(basis.arrivals_s), len(basis.shapes))
        self.predicted_s, self._answer = np.empty(shape), np.empty(shape)
        self.quantiles_s = np.empty((*shape, len(QUANTILES)))
        for load in range(shape[0]):
            self._simulate(load, np.arange(shape[1]))

    @property
    def lanes(self) -> Lanes:
        """The points as the queue simulation sees them, uncorrected."""
        return self._basis.lanes

    @property
    def is_known(self) -> npt.NDArray[np.bool_]:
        """Which points need sessions that were seen, shape (points,)."""
        return np.isin(self._basis.shapes, list(self._measured))

    @property
    def doubt(self) -> Samples:
        """Standard deviation (log) of latency by what the law may have wrong, (loads, points)."""
        return np.asarray(self._answer * self._deviation[self._basis.shapes])

    def learn(self, seen: Sequence[tuple[int, Sequence[ServiceState]]]) -> None:
        """Correct the law for sessions that were seen serving, and for others as they are alike.

        Args:
            seen: a point that needs these sessions, and the executions seen of it.
        """
        lanes = self._basis.lanes
        for lane, states in seen:
            shape = int(self._basis.shapes[lane])
            known = self._states.setdefault(shape, [])
            known.extend((state, _law_s(lanes, lane, state)) for state in states)
            if known:
                law_s = np.array([law_s for _, law_s in known])
                replicas = int(lanes.replicas[lane])
                own = fit_correction([state for state, _ in known], law_s, replicas)
                self._measured[shape] = own
        if not self._measured:
            return
        before = self._correction
        found = spread_corrections(self._measured, self._basis.places)
        self._correction, self._deviation = found
        moved = np.abs(self._correction - before) @ np.array([1.0, 2.0, 1.0]) > CHANGED
        for load, row in enumerate(self.predicted_s):
            within = row <= WITHIN_REACH * row.min()
            again = np.flatnonzero(moved[self._basis.shapes] & within)
            if len(again):
                self._simulate(load, again)

    def _simulate(self, load: int, points: Indices) -> None:
        basis = self._basis
        lanes = corrected(_only(basis.lanes, points), self._correction[basis.shapes[points]])
        lanes = _nudged(lanes, (0.0, -NUDGE))
        found = forecast(basis.arrivals_s[load], lanes, basis.law, basis.quantile)
        found_s = found.objective_s.reshape(2, len(points))
        self.predicted_s[load, points] = found_s[0]
        self.quantiles_s[load, points] = found.quantiles_s[: len(points)]
        answer = np.log(found_s[0] / found_s[1]) / NUDGE
        self._answer[load, points] = answer.clip(min=1.0)


def _law_s(lanes: Lanes, lane: int, state: ServiceState) -> float:
    batch_s = lanes.fixed_s[lane] + lanes.item_s[lane] * state.batch_size
    busy = min(state.busy, lanes.crowding.shape[1] - 1)
    return float(batch_s * lanes.crowding[lane, busy])


def _only(lanes: Lanes, points: Indices) -> Lanes:
    return lanes._replace(
        replicas=lanes.replicas[points],
        max_batch=lanes.max_batch[points],
        timeout_s=lanes.timeout_s[points],
        fixed_s=lanes.fixed_s[points],
        item_s=lanes.item_s[points],
        crowding=lanes.crowding[points],
    )


def _nudged(lanes: Lanes, log_factors: Sequence[float]) -> Lanes:
    """The lanes over and over, at each factor of their service times."""
    times = len(log_factors)
    factors = np.repeat(np.exp(log_factors), len(lanes.replicas))
    every = _only(lanes, np.tile(np.arange(len(lanes.replicas)), times))
    return every._replace(fixed_s=every.fixed_s * factors, item_s=every.item_s * factors)
