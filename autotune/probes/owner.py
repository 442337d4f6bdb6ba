"""Which process something belongs to, told apart from any later one of the same number.

A name holds the boot of the machine with its namespace of processes, the process id, and when that
process started. So an owner is only ever taken for gone where it can be seen to be.
"""

import os
from pathlib import Path
from zlib import crc32

from autotune.probes.files import read_text

PROC = Path("/proc")
_STARTED = 19
"""Field 22 of proc(5), `stat`, counted after the name: when the process started, since boot."""


def this_process(proc: Path = PROC) -> str:
    """Return the name of this process, like `8f3a01c2-4711-90210`."""
    pid = os.getpid()
    return f"{place(proc)}-{pid}-{_started(pid, proc)}"


def is_gone(owner: str, proc: Path = PROC) -> bool:
    """Whether the process of this name has ended; False where it could not be seen from here."""
    where, _, rest = owner.partition("-")
    pid, _, started = rest.partition("-")
    if where != place(proc) or not pid.isdecimal():
        return False
    return _started(int(pid), proc) != started


def place(proc: Path = PROC) -> str:
    """Tell apart machines, their boots, and containers, in eight digits."""
    try:
        processes = os.readlink(proc / "self/ns/pid")
    except OSError:
        processes = ""
    boot = read_text(proc / "sys/kernel/random/boot_id")
    return f"{crc32(f'{boot} {processes}'.encode()):08x}"


def _started(pid: int, proc: Path) -> str:
    """Return when a process started, in ticks; 0 where there is none."""
    fields = read_text(proc / f"{pid}/stat").rpartition(")")[2].split()
    return fields[_STARTED] if len(fields) > _STARTED else "0"
