"""How what was learnt reaches a search: as errors of its law, and as errors of its predictions."""

from collections.abc import Sequence

import numpy as np

from autotune.learn.experience import Experience
from autotune.outcome import Samples
from autotune.predict.queue_simulation import Indices, Lanes
from autotune.predict.taught import Taught, teach
from autotune.spec import ServingConfig
from autotune.strategy.protocol import Prediction

LEAST_ERROR = 0.05
"""Standard deviation (log) of a prediction at least, whatever was learnt."""


def taught_law(
    experience: Experience, lanes: Lanes, sessions: Indices, configs: Sequence[ServingConfig]
) -> Taught | None:
    """Return by how much the law is expected to err; None: nothing is known of service times.

    Args:
        experience: what was learnt.
        lanes: by the law.
        sessions: which of the sessions each lane needs, shape (lanes,).
        configs: of the lanes.
    """
    if not experience.knows_times:
        return None
    first = np.unique(sessions, return_index=True)[1]
    shapes = [configs[int(lane)].session_shape for lane in first]
    return teach(lanes, shapes, lambda states: experience.law_errors(states).mean)


def taught_latency(
    experience: Experience,
    loads_rps: Sequence[float],
    configs: Sequence[ServingConfig],
    predicted_s: Samples,
    service_doubt: Samples,
) -> Prediction | None:
    """Return what latency (log seconds) is expected to be; None: nothing is known of it.

    Args:
        experience: what was learnt.
        loads_rps: at which.
        configs: of which.
        predicted_s: latency predicted from service times, shape (loads, points).
        service_doubt: standard deviation (log) of that by what is not known of service times.
    """
    errors = experience.errors(loads_rps, configs, predicted_s)
    if errors is None:
        return None
    deviation = np.hypot(service_doubt, np.maximum(errors.deviation, LEAST_ERROR))
    return Prediction(np.log(predicted_s) + errors.mean, deviation)
