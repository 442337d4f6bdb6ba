"""Which processes run here beside this one, as far as they can be seen, and how much they use."""

import os
from pathlib import Path

from autotune.spec import Record


class Busy(Record, frozen=True):
    """A process and the CPU seconds that it has used."""

    pid: int
    name: str
    cpu_s: float


def other_processes(proc: Path = Path("/proc")) -> dict[int, Busy]:
    """Return every visible process but this one, by its number. Source: proc(5), `stat`."""
    found: dict[int, Busy] = {}
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    for path in proc.glob("[0-9]*/stat"):
        pid = int(path.parent.name)
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        # A name may hold spaces and brackets, so the last bracket ends it.
        head, _, tail = text.rpartition(")")
        user, system = tail.split()[11:13]
        if pid != os.getpid():
            name = head.partition("(")[2]
            found[pid] = Busy(pid=pid, name=name, cpu_s=(int(user) + int(system)) * tick_s)
    return found


def busiest(before: dict[int, Busy], after: dict[int, Busy]) -> Busy | None:
    """Return the process that used most CPU between two readings, with what it used.

    A process that began in between counts with all that it used; None where none used any.
    """
    used = [
        Busy(pid=pid, name=later.name, cpu_s=later.cpu_s - (earlier.cpu_s if earlier else 0.0))
        for pid, later in after.items()
        for earlier in [before.get(pid)]
    ]
    most = max(used, key=lambda one: one.cpu_s, default=None)
    return most if most and most.cpu_s > 0 else None
