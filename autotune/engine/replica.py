"""Replicas: threads that take a batch, execute it, and hand the answers back."""

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Sequence

from autotune.engine.source import Source, Tensors, split, stack

Infer = Callable[[Tensors], Tensors]
"""A model: inputs by name, stacked along the first axis -> outputs by name."""

_PR_SET_TIMERSLACK = 29
_TIMER_SLACK_NS = 1_000


def start_replicas(
    infers: Sequence[Infer], source: Source, max_batch_size: int, batch_timeout_s: float
) -> list[threading.Thread]:
    """Start one thread per replica; each ends when the source has no more requests."""
    lock = threading.Lock()
    threads = [
        threading.Thread(
            target=_serve,
            args=(infer, source, lock, max_batch_size, batch_timeout_s),
            name=f"replica-{index}",
            daemon=True,
        )
        for index, infer in enumerate(infers)
    ]
    for thread in threads:
        thread.start()
    return threads


def _serve(
    infer: Infer,
    source: Source,
    lock: threading.Lock,
    max_batch_size: int,
    batch_timeout_s: float,
) -> None:
    _lower_timer_slack()
    while True:
        with lock:
            batch = source.take(max_batch_size, batch_timeout_s)
        if batch is None:
            return
        if not batch.inputs:
            continue  # every request of it was cancelled
        started_s = time.perf_counter()
        try:
            answers = split(infer(stack(batch.inputs)), batch.inputs)
        except Exception as error:  # whatever the model raises is the requests' answer
            source.fail(batch, error)
        else:
            source.complete(batch, answers, started_s)


def _lower_timer_slack() -> None:
    """Wake this thread within microseconds of its time: the kernel's default adds 50."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK_NS, 0, 0, 0)
