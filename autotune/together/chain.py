"""A chain as one service: what its requests met from end to end, from the logs of its steps."""

from collections.abc import Sequence

import numpy as np
from msgspec import structs

from autotune.outcome import Measured


def joined(runs: Sequence[Measured], per_request: Sequence[int]) -> tuple[Measured, list[Measured]]:
    """Return a chain's run from end to end, and each step's with when its requests came.

    A step takes requests in the order in which the one before answered them. A request is answered
    when all its executions are, and lost where one of them is.

    Args:
        runs: of the steps; but for the first, `scheduled_s` is not when their requests came.
        per_request: executions for each answer of the step before.
    """
    first = runs[0]
    offered = first.served + first.lost
    ends_s = np.append(first.finished_s, np.full(first.lost, np.inf))
    owner = np.arange(offered)
    steps = [first]
    for run, times in zip(runs[1:], per_request[1:], strict=True):
        before = steps[-1]
        order = np.argsort(before.finished_s, kind="stable")
        owner = np.repeat(owner[: before.served][order], times)
        came_s = np.repeat(before.finished_s[order], times)
        finished_s = np.full(len(owner), np.inf)
        finished_s[: run.served] = run.finished_s
        np.maximum.at(ends_s, owner, finished_s)
        lost = len(owner) - run.served
        steps.append(structs.replace(run, scheduled_s=came_s[: run.served], lost=lost))
    answered = np.isfinite(ends_s[: first.served])
    whole = structs.replace(
        first,
        **{
            name: getattr(first, name)[answered]
            for name in ("scheduled_s", "ready_s", "claimed_s", "started_s", "batch_size")
        },
        finished_s=ends_s[: first.served][answered],
        lost=offered - int(answered.sum()),
        cpu_s=sum(run.cpu_s for run in runs),
        joules=None if len(runs) > 1 else first.joules,
        peak_memory_bytes=sum(run.peak_memory_bytes for run in runs),
        disturbed=[clause for run in runs for clause in run.disturbed],
    )
    return whole, steps
