"""How many threads torch computes with, for each replica of a process that has several."""

import threading

import torch

from autotune.errors import ModelError
from autotune.spec import SessionShape

DEFAULT_THREADS: int = torch.get_num_threads()
"""Intra-op threads that torch takes untold."""

_own = threading.local()


def use_threads(count: int) -> None:
    """Let the calling thread compute with `count` intra-op threads; 0: torch's own choice.

    The number belongs to the thread that sets it (OpenMP's, and MKL's local one), and a new thread
    begins with the one set last: so each sees to its own before it runs.
    """
    wanted = count or DEFAULT_THREADS
    if getattr(_own, "count", None) != wanted:
        torch.set_num_threads(wanted)
        _own.count = wanted


def use_interop_threads(shape: SessionShape) -> None:
    """Give this process the inter-op threads of `shape`; torch's own choice where all is its own.

    Raises:
        ModelError: they were set to another number before, which torch allows once per process.
    """
    if shape.intra_op_threads == 0 and shape.execution_mode == "sequential":
        return
    if torch.get_num_interop_threads() == shape.inter_op_threads:
        return
    try:
        torch.set_num_interop_threads(shape.inter_op_threads)
    except RuntimeError:
        raise ModelError(
            f"this process computes with {torch.get_num_interop_threads()} inter-op threads, which "
            f"torch sets once per process, and {shape.inter_op_threads} are asked for"
        ) from None
