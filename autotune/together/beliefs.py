"""What each joint configuration should do, corrected by what measured ones did."""

from collections.abc import Sequence

import numpy as np

from autotune.outcome import Samples
from autotune.predict.predictor import Basis, Predictor
from autotune.records import Failed
from autotune.stages.goal import LOST_NOISE, MIN_NOISE, standard_error
from autotune.stats.service import busy_with_room, executions_of, service_states
from autotune.stats.summary import summarize
from autotune.strategy.protocol import Observation, Prediction
from autotune.together.joints import Space, latencies, slowed_by_all, worst
from autotune.together.measuring import Run
from autotune.together.question import Service
from autotune.together.scale import at
from autotune.together.survey import Ground, Known


class Beliefs:
    """A predictor for each model, over the joint configurations."""

    def __init__(self, ground: Ground, services: Sequence[Service], space: Space) -> None:
        """Predict everything from what each model does alone, and each pair to each other."""
        self._ground, self._services, self._space = ground, services, space
        self._predictors = [
            Predictor(_basis(one, space, number)) for number, one in enumerate(ground.known)
        ]
        self._by_law: dict[float, Samples] = {}

    @property
    def worst(self) -> Samples:
        """Log of the worst service's latency over its SLO, shape (joints,)."""
        latency_s = [one.predicted_s[0] for one in self._predictors]
        return worst(self._services, self._ground.known, latency_s)

    def by_law(self, scale: float) -> Samples:
        """Return the same at a share of all loads, uncorrected.

        What was learnt at the loads asked for, and above what is sustained, holds for no others.
        """
        if scale not in self._by_law:
            ground, joints = at(self._ground, scale), self._space.joints
            points = np.array([joint.points for joint in joints]).T
            latency_s = [
                latencies(ground, number, points[number], slowed)
                for number, slowed in enumerate(slowed_by_all(ground, joints))
            ]
            self._by_law[scale] = worst(self._services, ground.known, latency_s)
        return self._by_law[scale]

    def predicted_s(self, model: int, place: int) -> float:
        """Return predicted latency of one model's executions in a joint configuration."""
        return float(self._predictors[model].predicted_s[0, place])

    def prediction(self) -> Prediction:
        """Return the same for the strategy: the doubt is that of the model doubted most."""
        doubt = np.max([one.doubt[0] for one in self._predictors], axis=0)
        return Prediction(self.worst[None], doubt[None])

    def learn(self, place: int, run: Run) -> None:
        """Correct each model's law by the executions that were seen beside the others'."""
        joint = self._space.joints[place]
        for number, (one, predictor) in enumerate(
            zip(self._ground.known, self._predictors, strict=True)
        ):
            shape = one.lattice.configs[joint.points[number]].session_shape
            cores = joint.own_cores[number] if joint.own_cores else self._ground.cores
            room = busy_with_room(shape, cores, one.info.default_threads)
            if run.models[number].served:
                states = service_states(executions_of([run.models[number]]))
                predictor.learn([(place, [state for state in states if state.busy <= room])])

    def observed(self, place: int, outcome: Run | Failed) -> Observation:
        """Turn a measurement into what the strategy learns."""
        if isinstance(outcome, Failed):
            return Observation(None)
        found = []
        for service, run in zip(self._services, outcome.services, strict=True):
            seen, noise = summarize([run], service.slo), LOST_NOISE
            latency_ms = seen.objective.value_ms
            if latency_ms is None:
                expected_ms = service.slo.latency_ms * float(np.exp(self.worst[place]))
                latency_ms = max(expected_ms, seen.largest_ms)
            else:
                noise = max(MIN_NOISE, standard_error(seen.objective))
            found.append((float(np.log(latency_ms / service.slo.latency_ms)), noise))
        return Observation(*max(found))


def _basis(one: Known, space: Space, model: int) -> Basis:
    """Return what one model's predictions stand on: its sessions, and how much they are slowed."""
    points = np.array([joint.points[model] for joint in space.joints])
    slowed = space.slowed[model]
    own = np.array([joint.own_cores is not None for joint in space.joints], dtype=float)
    places = np.column_stack(
        [one.lattice.coordinates[points][:, : one.lattice.session_axes], np.log2(slowed), own]
    )
    shapes, of = np.unique(places.round(6), axis=0, return_inverse=True)
    return Basis(
        lanes=one.lanes.some(points).slower(slowed),
        law=one.law,
        shapes=of.ravel(),
        places=shapes,
        arrivals_s=[one.arrivals_s],
        quantile=one.quantile,
    )
