"""Where executions, measurements and whole searches lie, on scales that hold on any machine.

A step of 1 is a doubling, or a switch thrown; threads are counted against cores, loads against what
the machine sustains, times against one request on one thread.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autotune.lesson import Lesson
from autotune.outcome import Samples
from autotune.spec import Family, ServingConfig, SessionShape
from autotune.traits import MachineTraits, ModelTraits

BATCH_SCALE = 0.5
"""A batch twice as large is as far as threads by a factor of 1.4: batches follow simpler laws."""
OTHER_FAMILY = 4.0
"""Between what executes sessions in one way and in another: hardly anything is learnt across."""
FURTHEST = 4.0
"""In doublings: what is further off in load or predicted latency is not further yet."""
LIGHT = 0.25
"""Weight of traits that tell little; the others count fully."""
_GROUPS = {
    "conv": ("conv",),
    "matmul": ("matmul", "gemm", "linear", "mm", "einsum"),
    "attention": ("attention", "softmax", "layernorm", "layer_norm"),
    "recurrent": ("lstm", "gru", "rnn", "loop", "scan"),
    "tree": ("tree",),
}
"""Of operators, by what their names hold."""


class Task(NamedTuple):
    """The search that places are relative to."""

    cores: int
    default_threads: int
    base_s: float
    """Of one request on one thread alone."""
    sustainable_rps: float


def task_of(lesson: Lesson) -> Task:
    """Return the same of a search that was made."""
    return Task(lesson.cores, lesson.default_threads, lesson.base_s, lesson.sustainable_rps)


def session_place(shape: SessionShape, busy: float, task: Task) -> list[float]:
    """Return where sessions lie with some replicas busy, batches left aside."""
    intra = shape.intra_op_threads or task.default_threads
    threads = shape.threads(task.default_threads)
    parallel = shape.execution_mode == "parallel"
    spins = shape.spinning and (intra > 1 or parallel)
    lingering = max(0.0, shape.replicas - busy) * (threads - 1) * spins
    return [
        math.log2(intra / task.cores),
        0.5 * math.log2(intra),
        math.log2(busy * threads / task.cores),
        float(spins),
        math.log2(shape.inter_op_threads) if parallel else 0.0,
        math.log2(1 + lingering / task.cores),
        OTHER_FAMILY * _family_number(shape.family),
    ]


def room(shape: SessionShape, task: Task) -> int:
    """Return how many replicas can be busy with a core for each thread; at least one."""
    return max(1, task.cores // shape.threads(task.default_threads))


def time_place(shape: SessionShape, batch_size: float, busy: float, task: Task) -> list[float]:
    """Return where an execution lies."""
    return [*session_place(shape, busy, task), BATCH_SCALE * math.log2(batch_size)]


def latency_place(
    config: ServingConfig, load_rps: float, predicted_s: float, task: Task
) -> list[float]:
    """Return where a measurement lies."""
    sustained = load_rps / task.sustainable_rps if task.sustainable_rps else 1.0
    shape = config.session_shape
    return [
        *session_place(shape, float(config.replicas), task),
        BATCH_SCALE * math.log2(config.max_batch_size),
        BATCH_SCALE * math.log2(1 + 1e-3 * config.batch_timeout_ms / task.base_s),
        float(np.clip(math.log2(sustained), -FURTHEST, FURTHEST)),
        float(np.clip(math.log2(predicted_s / task.base_s), -FURTHEST, FURTHEST)),
    ]


def search_place(model: ModelTraits, machine: MachineTraits, base_s: float) -> list[float]:
    """Return where a search lies among searches; nan where a trait is not known."""
    moved = (model.weight_bytes or 0.0) + (model.activation_bytes or 0.0)
    shares = [_share(model, names) for names in _GROUPS.values()]
    width = model.nodes / model.depth if model.depth else 0.0
    return [
        _log2(base_s),
        LIGHT * _log2(model.flops),
        _log2(model.flops) - _log2(moved),
        LIGHT * _log2(moved),
        LIGHT * _log2(model.nodes),
        _log2(width),
        *(2.0 * share for share in shares),
        math.log2(machine.cores),
        LIGHT * _log2(machine.core_gflops),
        _log2(machine.all_gflops) - _log2(machine.core_gflops) - math.log2(machine.cores),
        _log2(machine.all_gbps) - _log2(machine.core_gbps) - math.log2(machine.cores),
        _log2(machine.core_gbps) - _log2(machine.core_gflops),
    ]


def known_places(places: Sequence[list[float]]) -> Samples:
    """Return places as an array, shape (searches, traits); what is not known is as is usual."""
    found = np.array(places, dtype=float)
    for column in found.T:
        known = column[np.isfinite(column)]
        column[~np.isfinite(column)] = float(np.median(known)) if len(known) else 0.0
    return found


def _log2(value: float) -> float:
    return math.log2(value) if value > 0 else math.nan


def _share(model: ModelTraits, names: tuple[str, ...]) -> float:
    """Share of the work, or of the nodes where that is not known, in operators of a group."""
    counted = model.work or model.operators
    total = sum(counted.values())
    if not total:
        return math.nan
    inside = (
        value for name, value in counted.items() if any(part in name.lower() for part in names)
    )
    return sum(inside) / total


def _family_number(family: Family) -> int:
    """A number of its own for each; 0 for what is most usual."""
    text = family.describe()
    return 0 if family == Family() else 1 + sum(text.encode()) % 97
