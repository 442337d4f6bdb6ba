"""How large the caches of a core are, and how fast its clock may go, as the kernel states it.

Source: the kernel's ABI documentation, `sysfs-devices-system-cpu`.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from autotune.probes.files import read_number, read_text

_SYS = Path("/sys")
_PROC = Path("/proc")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def cache_bytes(cpus: Iterable[int], level: int, sys: Path = _SYS) -> float | None:
    """Return the size of the smallest cache of a level that one of `cpus` has; instructions' apart.

    None where the platform does not tell.
    """
    sizes = []
    for cpu in cpus:
        for index in (sys / f"devices/system/cpu/cpu{cpu}/cache").glob("index[0-9]*"):
            is_it = read_number(index / "level") == level
            size = _parsed(read_text(index / "size"))
            if is_it and size and read_text(index / "type") != "Instruction":
                sizes.append(size)
    return min(sizes, default=None)


def highest_clock_ghz(cpus: frozenset[int], sys: Path = _SYS, proc: Path = _PROC) -> float | None:
    """Return the highest clock of `cpus` that the platform states; None: it states none.

    Without frequency scaling, as in most virtual machines, that is the clock of now.
    """
    kilohertz = [
        read_number(sys / f"devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq") for cpu in cpus
    ]
    if known := [clock for clock in kilohertz if clock]:
        return max(known) / 1e6
    megahertz = re.findall(r"^cpu MHz\s*: *(\d+\.?\d*)$", read_text(proc / "cpuinfo"), re.MULTILINE)
    return max((float(clock) / 1e3 for clock in megahertz), default=0.0) or None


def _parsed(size: str) -> float | None:
    """`2048K`."""
    found = re.fullmatch(r"(\d+)([KMG]?)", size)
    return float(found[1]) * _UNITS[found[2]] if found else None
