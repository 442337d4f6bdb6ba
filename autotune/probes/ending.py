"""How processes end: with the one that started them, and for what reason."""

import contextlib
import ctypes
import os
import signal
import stat
import sys

from autotune.records import Failed

_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 2000
_NO_MEMORY = ("bad_alloc", "MemoryError", "Cannot allocate memory", "out of memory")
"""Last words of a process that was refused memory and could not go on."""


def end_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when the thread that started it ends; exit if it has."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(1)


def how_it_ended(code: int | None, last_words: str) -> Failed:
    """Say what ended a process that should have gone on.

    Args:
        code: its exit code, negative for a signal; None where it is not known to have ended.
        last_words: the last line that it printed.
    """
    detail = f"the process ended with exit code {code}"
    if code is None:
        detail = "the process no longer answers, and had not ended"
    killed = code == -signal.SIGKILL
    starved = killed or any(words in last_words for words in _NO_MEMORY)
    if code is not None and code < 0:
        detail = f"the process was killed by {signal.Signals(-code).name}"
        detail += ", most likely for want of memory" if killed else ""
    return Failed(
        kind="out_of_memory" if starved else "crash",
        detail=f"{detail}: {last_words}" if last_words else detail,
    )


def last_line(descriptor: int) -> str:
    """Return the last line in an open file; empty where it is no file, or may not be read."""
    with contextlib.suppress(OSError):
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            start = max(0, status.st_size - _TAIL_BYTES)
            lines = os.pread(descriptor, _TAIL_BYTES, start).decode(errors="replace").strip()
            return lines.splitlines()[-1].strip() if lines else ""
    return ""
