"""The service law, corrected by executions seen while serving.

What an execution of b requests beside k busy replicas took, over what the law says, is for the
sessions of one shape with R replicas

    log ratio = c0 + c1 log2 b + c2 (k - 1) / max(1, R - 1)                                  (1)

fitted to the typical executions of each state (b, k) by ridge regression, c ~ N(0, PRIOR^2): a
Gaussian prior and noise (Bishop 2006, 3.53). A shape that was not measured is taken to err as
those near it do, less the farther: with w = exp(-distance) in its coordinates,

    c = sum(w_i c_i) / (1 + sum(w_i)),   Var c0 = u^2 / (1 + sum(w_i))                    (2), (3)

u^2 being how far measured shapes were from what (2) says of them by the others, and a prior.
"""

from collections.abc import Sequence

import numpy as np

from autotune.outcome import Samples
from autotune.predict.queue_simulation import Lanes
from autotune.stats.service import ServiceState

PRIOR = np.array([0.3, 0.05, 0.15])
"""Standard deviations of c: of a law fitted to other sessions, of batches, of crowding."""
UNKNOWN, UNKNOWN_WEIGHT = 0.2, 4.0
"""u to begin with, and its weight in measured shapes."""
KNOWN = 0.05
"""Standard deviation of c0 of a shape that was measured: other batches, other crowding."""
STATE_NOISE, EXECUTION_NOISE = 0.03, 0.10
"""Standard deviations (log) of a state, however often seen, and of a single execution."""


def fit_correction(states: Sequence[ServiceState], law_s: Samples, replicas: int) -> Samples:
    """Return c of (1) for the sessions that these states were seen of, shape (3,).

    Args:
        states: typical executions.
        law_s: what the law says of each, seconds.
        replicas: R.
    """
    ratios = np.log(np.array([state.median_s for state in states]) / law_s)
    features = np.array(
        [
            [1.0, np.log2(state.batch_size), (state.busy - 1) / max(1, replicas - 1)]
            for state in states
        ]
    )
    counts = np.array([state.executions for state in states])
    weights = 1 / (STATE_NOISE**2 + EXECUTION_NOISE**2 / counts)
    precision = (features.T * weights) @ features + np.diag(1 / PRIOR**2)
    return np.asarray(np.linalg.solve(precision, (features.T * weights) @ ratios))


def spread_corrections(measured: dict[int, Samples], places: Samples) -> tuple[Samples, Samples]:
    """Return c of all shapes by (2), those measured their own, and how far c0 may still be off.

    Args:
        measured: c by index of the shape; at least one.
        places: coordinates of the shapes, shape (shapes, knobs), a step of 1 being a doubling.

    Returns:
        c, shape (shapes, 3), and the standard deviation (3) of c0, shape (shapes,).
    """
    indices, own = list(measured), np.array(list(measured.values()))
    distance = np.abs(places[:, None] - places[indices][None]).sum(axis=2)
    w = np.exp(-distance)
    found = w @ own / (1 + w.sum(axis=1, keepdims=True))
    others = w[indices] - np.eye(len(indices))
    missed = own[:, 0] - others @ own[:, 0] / (1 + others.sum(axis=1))
    squares = UNKNOWN_WEIGHT * UNKNOWN**2 + np.sum(missed**2)
    deviation = np.sqrt(squares / (UNKNOWN_WEIGHT + len(own)) / (1 + w.sum(axis=1)))  # (3)
    found[indices], deviation[indices] = own, KNOWN
    return np.asarray(found), np.asarray(deviation)


def corrected(lanes: Lanes, correction: Samples) -> Lanes:
    """Return the lanes with (1) applied, c of each lane of shape (lanes, 3).

    A lane's batch time is linear in the batch: (1) holds at one request and at a full batch.
    """
    largest = lanes.max_batch
    one_s = (lanes.fixed_s + lanes.item_s) * np.exp(correction[:, 0])
    full_s = (lanes.fixed_s + lanes.item_s * largest) * np.exp(
        correction[:, 0] + correction[:, 1] * np.log2(largest)
    )
    item_s = np.where(largest > 1, (full_s - one_s) / np.maximum(1, largest - 1), lanes.item_s)
    item_s = item_s.clip(min=0)
    busy = np.arange(lanes.crowding.shape[1])
    share = (busy - 1) / np.maximum(1, lanes.replicas - 1)[:, None]
    return lanes._replace(
        fixed_s=one_s - item_s,
        item_s=item_s,
        crowding=lanes.crowding * np.exp(correction[:, 2:] * share.clip(min=0)),
    )
