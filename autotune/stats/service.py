"""What a run says of service times: by batch size and by how many replicas were busy."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autotune.outcome import Measured, Samples
from autotune.spec import SessionShape

REST_S = 0.003
"""After which a replica with nothing to do has lost most of what makes it fast: on two virtual
cores an execution took 0.05, 0.1, 0.4 and 0.7 ms longer after 0.5, 1, 3 and 10 ms."""


class Executions(NamedTuple):
    """Batches that were executed, arrays of shape (batches,)."""

    batch_size: Samples
    busy: Samples
    """Replicas executing when the batch began, its own included."""
    seconds: Samples
    rest_s: Samples
    """For how long the replica had nothing to do before."""


class ServiceState(NamedTuple):
    """The typical execution at one batch size beside a number of busy replicas."""

    batch_size: int
    busy: int
    median_s: float
    executions: int
    rested: float = 0.0
    """Mean of `rested` over them."""


def rested(rest_s: Samples) -> Samples:
    """Return what share of its speed to lose a replica has lost after seconds of rest."""
    return np.asarray(-np.expm1(-np.maximum(rest_s, 0.0) / REST_S))


def executions_of(runs: Sequence[Measured]) -> Executions:
    """Return the batches of all runs."""
    found = [_executions(run) for run in runs]
    return Executions(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _executions(run: Measured) -> Executions:
    together = np.stack([run.started_s, run.finished_s, run.batch_size], axis=1)
    found, first = np.unique(together, axis=0, return_index=True)
    started_s, finished_s, batch_size = found.T
    begun = np.arange(1, len(started_s) + 1)
    ended = np.searchsorted(np.sort(finished_s), started_s, side="right")
    busy = (begun - ended).astype(float)
    return Executions(batch_size, busy, finished_s - started_s, started_s - run.ready_s[first])


def busy_with_room(shape: SessionShape, cores: int, default_threads: int) -> int:
    """Return how many busy replicas have a core for each thread.

    Beside more, the typical execution says little: some run as if alone while others wait for them.
    """
    if shape.family.on_gpu:
        return shape.replicas
    return max(1, cores // shape.threads(default_threads))


def service_states(executions: Executions) -> list[ServiceState]:
    """Return the states that occurred, most frequent first."""
    states = np.stack([executions.batch_size, executions.busy], axis=1)
    found, of, counts = np.unique(states, axis=0, return_inverse=True, return_counts=True)
    share = rested(executions.rest_s)
    return [
        ServiceState(
            int(found[i, 0]),
            int(found[i, 1]),
            float(np.median(executions.seconds[of.ravel() == i])),
            int(counts[i]),
            float(np.mean(share[of.ravel() == i])),
        )
        for i in np.argsort(-counts, kind="stable")
    ]
