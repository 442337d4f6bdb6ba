"""What a run says of service times: by batch size and by how many replicas were busy."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autotune.outcome import Measured, Samples


class Executions(NamedTuple):
    """Batches that were executed, arrays of shape (batches,)."""

    batch_size: Samples
    busy: Samples
    """Replicas executing when the batch began, its own included."""
    seconds: Samples


class ServiceState(NamedTuple):
    """The typical execution at one batch size beside a number of busy replicas."""

    batch_size: int
    busy: int
    median_s: float
    executions: int


def executions_of(runs: Sequence[Measured]) -> Executions:
    """Return the batches of all runs."""
    found = [_executions(run) for run in runs]
    return Executions(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _executions(run: Measured) -> Executions:
    together = np.stack([run.started_s, run.finished_s, run.batch_size], axis=1)
    started_s, finished_s, batch_size = np.unique(together, axis=0).T
    begun = np.arange(1, len(started_s) + 1)
    ended = np.searchsorted(np.sort(finished_s), started_s, side="right")
    return Executions(batch_size, (begun - ended).astype(float), finished_s - started_s)


def service_states(executions: Executions) -> list[ServiceState]:
    """Return the states that occurred, most frequent first."""
    states = np.stack([executions.batch_size, executions.busy], axis=1)
    found, of, counts = np.unique(states, axis=0, return_inverse=True, return_counts=True)
    return [
        ServiceState(
            int(found[i, 0]),
            int(found[i, 1]),
            float(np.median(executions.seconds[of.ravel() == i])),
            int(counts[i]),
        )
        for i in np.argsort(-counts, kind="stable")
    ]
