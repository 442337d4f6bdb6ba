"""What processes are doing: their threads, and the CPU time that they have used."""

import ctypes
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal


def thread_count(pid: int | Literal["self"] = "self") -> int:
    """Return how many threads a process has; 0 once it ended, or where nobody tells."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return 0


def cpu_seconds(workers: Sequence[int] = ()) -> float:
    """Return the CPU seconds that this process and its workers have used, all threads together.

    Args:
        workers: process ids. They must still run: the kernel's own account of children has only
            those that have ended.

    Raises:
        ProcessLookupError: a worker has ended.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime + sum(map(process_cpu_s, workers))


def process_cpu_s(pid: int) -> float:
    """Return the CPU seconds of another process, all threads together.

    By its own clock: `/proc` would tell it in ticks of 10 ms.

    Raises:
        ProcessLookupError: it has ended.
    """
    clock = ctypes.c_int()
    error = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise ProcessLookupError(f"process {pid} has ended: its CPU time cannot be read")
    return time.clock_gettime(clock.value)
