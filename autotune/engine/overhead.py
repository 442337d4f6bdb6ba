"""What the engine itself costs: the same code around a model that does nothing."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autotune.engine.replica import start_replicas
from autotune.engine.source import ScheduleSource, Tensors
from autotune.request_log import new_log

_BATCHES = 200
_BATCH_SIZE = 8


class Overhead(NamedTuple):
    """Seconds of CPU that the engine adds, one replica at a time holding the interpreter."""

    batch_s: float
    request_s: float


def measure_overhead(samples: Sequence[Tensors], batchable: bool) -> Overhead:
    """Serve a backlog with a model that does nothing, alone and, if possible, in batches."""
    alone_s = _batch_s(samples, 1)
    if not batchable:
        return Overhead(batch_s=alone_s, request_s=0.0)
    request_s = max(0.0, (_batch_s(samples, _BATCH_SIZE) - alone_s) / (_BATCH_SIZE - 1))
    return Overhead(batch_s=max(0.0, alone_s - request_s), request_s=request_s)


def _batch_s(samples: Sequence[Tensors], size: int) -> float:
    log = new_log(_BATCHES * size)
    source = ScheduleSource([0.0] * (_BATCHES * size), samples, log)
    log.start_clock()
    for thread in start_replicas([_nothing], source, size, 0.0):
        thread.join()
    return log.elapsed_s / _BATCHES


def _nothing(inputs: Tensors) -> Tensors:
    """Answer with rows of its own: inputs given back would be copied, which no real model costs."""
    rows = next(iter(inputs.values()), np.empty(0)).shape[:1]
    return {"nothing": np.empty(rows)}
