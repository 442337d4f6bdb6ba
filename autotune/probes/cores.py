"""How many cores this process may really use: affinity and cgroup quota, never the host's count."""

import math
import os
from pathlib import Path

from autotune.probes.files import read_text
from autotune.spec import Record

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_PROC_CGROUP = Path("/proc/self/cgroup")


class Cores(Record, frozen=True):
    """Usable cores and what bounds them."""

    affinity: int
    """Cores that the scheduler may put this process on."""
    quota: float | None
    """CPU seconds per second that the cgroup grants; None where unlimited."""

    @property
    def usable(self) -> int:
        """Whole cores to plan threads for: a quota of 1.5 plans for 1, one of 0.5 for 1."""
        return self.affinity if self.quota is None else max(1, min(self.affinity, int(self.quota)))

    def describe(self) -> str:
        """The cores in words: `2 cores`, `4 cores under a quota of 1.5`."""
        cores = f"{self.affinity} core{'s' if self.affinity != 1 else ''}"
        return cores if self.quota is None else f"{cores} under a quota of {self.quota:g}"


def usable_cores() -> Cores:
    """Read affinity and quota of this process."""
    return Cores(affinity=len(usable_cpus()), quota=cgroup_quota(_CGROUP_ROOT, _PROC_CGROUP))


def usable_cpus() -> frozenset[int]:
    """Return the numbers of the CPUs that the scheduler may put this process on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def cgroup_quota(cgroup_root: Path, proc_cgroup: Path) -> float | None:
    """Return the tightest CPU quota from this process's cgroup up to the root, in cores.

    Reads `cpu.max` (v2) and `cpu.cfs_quota_us` over `cpu.cfs_period_us` (v1). Inside a container
    the path in `proc_cgroup` may lie outside what is mounted: the mount's root then counts.
    """
    quotas = [
        quota
        for folder in cgroup_folders(cgroup_root, proc_cgroup, "cpu")
        for quota in (_quota_v2(folder), _quota_v1(folder))
        if quota is not None
    ]
    return min(quotas, default=None)


def cgroup_folders(cgroup_root: Path, proc_cgroup: Path, controller: str) -> list[Path]:
    """Return the cgroup folders, v1 and v2, that govern `controller`, from the leaf to the root."""
    folders: list[Path] = []
    for line in read_text(proc_cgroup).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            mounts = [cgroup_root, cgroup_root / "unified"]
        elif controller in controllers.split(","):
            mounts = [cgroup_root / controllers, cgroup_root / controller]
        else:
            continue
        for mount in mounts:
            leaf = mount / path.strip().lstrip("/")
            while leaf != mount and mount in leaf.parents:
                folders.append(leaf)
                leaf = leaf.parent
            folders.append(mount)
    return [folder for folder in folders if folder.is_dir()]


def _quota_v2(folder: Path) -> float | None:
    parts = read_text(folder / "cpu.max").split()
    if not parts or parts[0] == "max":
        return None
    return _ratio(parts[0], parts[1] if len(parts) > 1 else "100000")


def _quota_v1(folder: Path) -> float | None:
    return _ratio(read_text(folder / "cpu.cfs_quota_us"), read_text(folder / "cpu.cfs_period_us"))


def _ratio(quota: str, period: str) -> float | None:
    try:
        cores = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):
        return None
    return cores if cores > 0 and math.isfinite(cores) else None
