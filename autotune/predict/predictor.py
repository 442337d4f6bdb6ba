"""What every configuration should do at every load, corrected by what measured ones did."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.outcome import Samples
from autotune.predict.correction import Correction, States, as_states, corrected, no_deviation
from autotune.predict.forecast import QUANTILES, Forecast, forecast
from autotune.predict.queue_simulation import Indices, Lanes, batch_seconds
from autotune.predict.rest import ALONE, BESIDE
from autotune.predict.service_law import ServiceLaw
from autotune.predict.taught import Taught
from autotune.stats.service import ServiceState

NUDGE = 0.2
"""Service times are made this much shorter (log) to see how latency answers: what is slower than
thought matters less, since it is not chosen."""
UNMODELLED = 0.2
"""Standard deviation (log) of latency by what no service time explains: on recorded tables of two
real models, predictions of the likely best miss by 0.1 to 0.4, however well known their sessions.
"""
OWN = 0.5
"""Of an execution at least, whatever it is thought to have lost by resting."""
CHANGED = 0.01
"""A correction that moves service times by less (log) is not worth simulating again."""
WITHIN_REACH = 4.0
"""Points predicted slower than the best by more than this factor are left at that while what is
learnt makes them slower still."""


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
    taught: Taught | None = None
    """What other searches taught of the law's errors."""


class Predictor:
    """Predictions of all pairs; they change with what is learnt.

    Attributes:
        predicted_s: latency at the quantile, shape (loads, points).
        quantiles_s: latency at `QUANTILES`, shape (loads, points, quantiles).
        trust: chance that what other searches taught of the law holds; None: nothing was taught,
            or seen yet.
    """

    def __init__(self, basis: Basis) -> None:
        """Predict everything from the law alone."""
        self._basis = basis
        self._states: dict[tuple[int, int, int], _State] = {}
        self.trust: float | None = None
        self._deviation = no_deviation(len(basis.shapes))
        shape = (len(basis.arrivals_s), len(basis.shapes))
        self.predicted_s, self._answer = np.empty(shape), np.empty(shape)
        self.quantiles_s = np.empty((*shape, len(QUANTILES)))
        self._lanes = basis.lanes
        self._simulated = [basis.lanes] * shape[0]
        for load in range(shape[0]):
            self._simulate(load, np.arange(shape[1]))

    @property
    def lanes(self) -> Lanes:
        """The points as the queue simulation sees them, uncorrected."""
        return self._basis.lanes

    @property
    def sessions(self) -> Indices:
        """Which of the sessions each point needs, shape (points,)."""
        return self._basis.shapes

    def corrected(self, points: Indices) -> Lanes:
        """Return some points as they are predicted by now."""
        return self._lanes.some(points)

    @property
    def law(self) -> ServiceLaw:
        """The law that is corrected."""
        return self._basis.law

    @property
    def is_known(self) -> npt.NDArray[np.bool_]:
        """Which points need sessions that were seen, shape (points,)."""
        return np.isin(self._basis.shapes, [shape for shape, _, _ in self._states])

    @property
    def doubt(self) -> Samples:
        """Standard deviation (log) of predicted latency, shape (loads, points).

        By what the law may have wrong, as latency answers to it, and by what is not in the law.
        """
        return np.hypot(self.service_doubt, UNMODELLED)

    @property
    def service_doubt(self) -> Samples:
        """Standard deviation (log) by what the law may have wrong alone, shape (loads, points)."""
        return np.asarray(self._answer * self._deviation)

    def seen(self) -> list[tuple[int, ServiceState, float]]:
        """Return what was seen of each state: the sessions' index, their own time, and the law's.

        Both in seconds.
        """
        found = []
        for (shape, size, busy), state in self._states.items():
            lane = int(np.argmax(self._basis.shapes == shape))
            own = ServiceState(size, busy, 0.0, state.executions)
            law_s = _law_s(self._basis.lanes, lane, own)
            own_s = law_s * float(np.exp(state.log_ratio))
            found.append((shape, own._replace(median_s=own_s), law_s))
        return found

    def foresee(self, points: Indices, arrivals_s: Samples) -> Forecast:
        """Predict some points under other arrivals, as corrected so far."""
        basis = self._basis
        return forecast(arrivals_s, self._lanes.some(points), basis.law, basis.quantile)

    def learn(self, seen: Sequence[tuple[int, Sequence[ServiceState]]]) -> None:
        """Correct the law for sessions that were seen serving, and for others as they are alike.

        Args:
            seen: a point that needs these sessions, and the executions seen of it.
        """
        for lane, states in seen:
            for state in states:
                self._remember(lane, state)
        if not self._states:
            return
        basis, found = self._basis, list(self._states.values())
        taught = None if basis.taught is None else basis.taught.at(*np.array([*self._states]).T)
        correction = Correction(
            as_states(
                [one.place for one in found], [(one.size, one.share) for one in found], taught
            ),
            np.array([one.log_ratio for one in found]),
            np.array([one.executions for one in found]),
        )
        self.trust = None if taught is None else correction.trust
        largest = max(size for _, size, _ in self._states)
        anchor = max(4, 2 * largest)
        self._lanes = corrected(
            basis.lanes, basis.shapes, basis.places, correction, anchor, basis.taught
        )
        self._deviation = self._deviations(correction, largest)
        for load, row in enumerate(self.predicted_s):
            slower, faster = _moves(self._simulated[load], self._lanes)
            within = row <= WITHIN_REACH * row.min()
            again = np.flatnonzero((faster > CHANGED) | ((slower > CHANGED) & within))
            if len(again):
                self._simulate(load, again)

    def teach(self, taught: Taught | None) -> None:
        """Go by what other searches teach of the law's errors from now on."""
        self._basis = self._basis._replace(taught=taught)
        self.learn([])

    def _remember(self, lane: int, state: ServiceState) -> None:
        """Average with what was seen of the state before, on the scale of the law's errors."""
        basis, shape = self._basis, int(self._basis.shapes[lane])
        others = max(1, int(basis.lanes.replicas[lane]) - 1)
        # What it costs to have rested is known apart, and not the sessions' own.
        own_s = max(state.median_s - _rest_s(basis.lanes, lane, state), OWN * state.median_s)
        ratio = float(np.log(own_s / _law_s(basis.lanes, lane, state)))
        key, count = (shape, state.batch_size, state.busy), state.executions
        if key in self._states:
            known = self._states[key]
            count += known.executions
            ratio += (known.log_ratio - ratio) * known.executions / count
        share = min(1.0, (state.busy - 1) / others)
        place = basis.places[shape]
        self._states[key] = _State(place, float(state.batch_size), share, ratio, count)

    def _deviations(self, correction: Correction, largest: int) -> Samples:
        """How far service times may still be off, of batches up to the largest seen."""
        basis, lanes = self._basis, self._basis.lanes
        sizes = np.sqrt(np.minimum(lanes.max_batch, largest).astype(float))
        shares = np.where(lanes.replicas > 1, 0.5, 0.0)
        busy = 1 + shares * (lanes.replicas - 1)
        taught = None if basis.taught is None else basis.taught.at(basis.shapes, sizes, busy)
        return correction.at(States(basis.places[basis.shapes], sizes, shares, taught))[1]

    def _simulate(self, load: int, points: Indices) -> None:
        basis = self._basis
        lanes = _nudged(self._lanes.some(points), (0.0, -NUDGE))
        found = forecast(basis.arrivals_s[load], lanes, basis.law, basis.quantile)
        found_s = found.objective_s.reshape(2, len(points))
        self.predicted_s[load, points] = found_s[0]
        self.quantiles_s[load, points] = found.quantiles_s[: len(points)]
        answer = np.log(found_s[0] / found_s[1]) / NUDGE
        self._answer[load, points] = answer.clip(min=1.0)
        self._simulated[load] = _updated(self._simulated[load], self._lanes, points)


class _State(NamedTuple):
    """A state that was seen, by (1) of `correction`."""

    place: Samples
    size: float
    share: float
    log_ratio: float
    executions: int


def _moves(before: Lanes, after: Lanes) -> tuple[Samples, Samples]:
    """How much (log) slower, and how much faster, lanes became: alone, in full batches, busy."""

    every = np.arange(len(after.replicas))

    def log_s(lanes: Lanes, size: Indices, busy: Indices) -> Samples:
        crowding = lanes.crowding[every, busy]
        return np.asarray(np.log(batch_seconds(lanes.alone_s, every, size) * crowding))

    one = np.ones(len(every), dtype=np.int64)
    states = [(one, one), (after.max_batch, one), (one, after.replicas)]
    moves = np.array([log_s(after, *state) - log_s(before, *state) for state in states])
    return moves.max(axis=0), -moves.min(axis=0)


def _updated(lanes: Lanes, by: Lanes, points: Indices) -> Lanes:
    alone_s, crowding = lanes.alone_s.copy(), lanes.crowding.copy()
    alone_s[points], crowding[points] = by.alone_s[points], by.crowding[points]
    return lanes._replace(alone_s=alone_s, crowding=crowding)


def _law_s(lanes: Lanes, lane: int, state: ServiceState) -> float:
    alone_s = batch_seconds(lanes.alone_s, np.array(lane), state.batch_size)
    busy = min(state.busy, lanes.crowding.shape[1] - 1)
    return float(alone_s * lanes.crowding[lane, busy])


def _rest_s(lanes: Lanes, lane: int, state: ServiceState) -> float:
    if lanes.rests_s is None or lanes.rests_as is None:
        return 0.0
    w_s = lanes.rests_s[lanes.rests_as[lane], BESIDE if state.busy > 1 else ALONE]
    return state.rested * float(np.median(w_s))


def _nudged(lanes: Lanes, log_factors: Sequence[float]) -> Lanes:
    """The lanes over and over, at each factor of their service times."""
    times = len(log_factors)
    factors = np.repeat(np.exp(log_factors), len(lanes.replicas))
    return lanes.some(np.tile(np.arange(len(lanes.replicas)), times)).slower(factors)
