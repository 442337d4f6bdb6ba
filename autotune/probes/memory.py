"""How much memory this process may use, and how much it has used."""

import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from autotune.probes.cores import cgroup_folders
from autotune.probes.files import read_number, read_table

_UNLIMITED_BYTES = 1 << 60


def available_memory_bytes(
    cgroup_root: Path = Path("/sys/fs/cgroup"),
    proc_cgroup: Path = Path("/proc/self/cgroup"),
    meminfo: Path = Path("/proc/meminfo"),
) -> int | None:
    """Return the bytes that can still be taken: the machine's, or less where a cgroup says so.

    None where the platform does not tell.
    """
    rooms = [kib * 1024 for name, kib in read_table(meminfo).items() if name == "MemAvailable"]
    for folder in cgroup_folders(cgroup_root, proc_cgroup, "memory"):
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            limit, used = read_number(folder / limit_name), read_number(folder / used_name)
            if limit is not None and used is not None and limit < _UNLIMITED_BYTES:
                rooms.append(max(0, limit - used + _reclaimable_bytes(folder)))
    return min(rooms, default=None)


def peak_memory_bytes(workers: Sequence[int] = (), proc: Path = Path("/proc")) -> int:
    """Return the largest resident size that this process has had, plus those of its workers.

    Pages that they share count once for each, and peaks need not have come together: with
    workers it is the most that they may have used.

    Args:
        workers: process ids; one that has ended counts as nothing.
        proc: the kernel's account of processes.
    """
    return _own_peak_bytes(proc / "self/status") + peaks_bytes(workers, proc)


def peaks_bytes(pids: Sequence[int], proc: Path = Path("/proc")) -> int:
    """Return the largest resident sizes that processes have had, summed; of the ended, nothing."""
    return 1024 * sum(read_table(proc / f"{pid}/status").get("VmHWM", 0) for pid in pids)


def _own_peak_bytes(status: Path) -> int:
    if (peak_kib := read_table(status).get("VmHWM")) is not None:
        return peak_kib * 1024
    # On Linux this one would count what the parent used before it started this program.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _reclaimable_bytes(folder: Path) -> int:
    """Page cache counts as used but goes when it is needed."""
    stat = read_table(folder / "memory.stat")
    # v1 counts children in the usage, so in `total_inactive_file`, but not in `inactive_file`.
    return stat.get("total_inactive_file") or stat.get("inactive_file") or 0
