"""What one execution costs in CPU time on one thread: tells a heavier model from a busy machine.

Wall time would not do. Beside two processes that kept both cores of a small virtual machine busy,
the median wall time of an execution grew sixfold, its CPU time by 3 to 5 %. What CPU time does not
hide are guests of the same host: for minutes all that this machine computed took up to 15 % more of
it. Such spells come and go, so many short windows are taken and the fast ones count; and beside
each stands a yardstick that no model changes, SHA-256 of a megabyte.
"""

import hashlib
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from autotune.config_file import Reference
from autotune.outcome import Samples
from autotune.records import Failed
from autotune.spec import SessionShape
from autotune.stages.events import Doing
from autotune.trial.bench import LOAD_TIMEOUT_S
from autotune.trial.measures import Measures
from autotune.trial.wire import ClosedLoop

if TYPE_CHECKING:
    from autotune.stages.context import Context

ONE_THREAD = SessionShape(
    replicas=1,
    intra_op_threads=1,
    inter_op_threads=1,
    execution_mode="sequential",
    spinning=False,
)
WINDOW_S = 0.1
MIN_RUNS = 2
WINDOWS = 10
"""Before the search measures, and as many when it has."""
MAX_SHARE = 0.03
"""Of the budget, each time; a model so slow that not even one window fits gets one."""
FAST = 0.2
"""Quantile of the windows that counts: what slows some of them down does not count."""
YARDSTICK_S = 0.01
_YARDSTICK = bytes(1 << 20)


class CostWindow(NamedTuple):
    """CPU time in ms, means over a short time."""

    execution_ms: float
    yardstick_ms: float


def cost_windows(bench: Measures, windows: int, keep: bool = False) -> list[CostWindow]:
    """Measure one execution, and the yardstick, in each of some windows; none if it fails."""
    loop = ClosedLoop(busy=1, batch_size=1, duration_s=WINDOW_S, min_runs=MIN_RUNS)
    found = []
    for _ in range(windows):
        times = bench.service_times(ONE_THREAD, loop, LOAD_TIMEOUT_S, keep)
        if isinstance(times, Failed):
            break
        found.append(CostWindow(1e3 * times.cpu_s, yardstick_ms()))
    return found


def yardstick_ms() -> float:
    """Return the CPU time in ms that this thread takes for the yardstick."""
    started_s, runs = time.thread_time(), 0
    while (spent_s := time.thread_time() - started_s) < YARDSTICK_S:
        hashlib.sha256(_YARDSTICK).digest()
        runs += 1
    return 1e3 * spent_s / runs


def take_reference(context: "Context", name: str, run_s: float) -> None:
    """Measure some windows, for a model whose run takes `run_s`, and keep them under a name.

    A search through a server has the reference of the engine's own.
    """
    if context.question.engine is not None:
        return
    context.observe(Doing(what="timing single executions"))
    bench, windows = context.bench, windows_within(context.deadline.budget_s, run_s)
    context.journal.cost_windows += bench.settle(
        name, list[CostWindow], lambda: cost_windows(bench, windows)
    )


def windows_within(budget_s: float, run_s: float) -> int:
    """Return how many windows a search may afford each time."""
    window_s = max(WINDOW_S, MIN_RUNS * run_s)
    return max(1, min(WINDOWS, math.floor(MAX_SHARE * budget_s / window_s)))


def reference_of(windows: Sequence[CostWindow]) -> Reference | None:
    """Return the record; None where nothing was measured."""
    if not windows:
        return None
    execution_ms = [one.execution_ms for one in windows]
    return Reference(
        execution_cpu_ms=float(np.exp(fast(np.log(execution_ms)))),
        windows_cpu_ms=execution_ms,
        yardstick_cpu_ms=[one.yardstick_ms for one in windows],
    )


def fast(logs: Samples) -> float:
    """Return the quantile that counts, of the logarithms of windows."""
    return float(np.quantile(logs, FAST))
