"""What a process is doing: its threads, and the CPU time that this one has used."""

import resource
from pathlib import Path
from typing import Literal


def thread_count(pid: int | Literal["self"] = "self") -> int:
    """Return how many threads a process has; 0 once it ended, or where nobody tells."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return 0


def cpu_seconds() -> float:
    """Return the CPU seconds that this process has used, all threads together."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
