"""Which machine this is: what a tuned file is valid for."""

import os
import platform
from pathlib import Path

from autotune.probes.cores import usable_cores
from autotune.probes.gpus import gpu_names
from autotune.spec import Record


class Machine(Record, frozen=True):
    """The machine's fingerprint, as far as it decides which configuration is best."""

    cpu: str
    architecture: str
    os: str
    cores_usable: int
    cpu_quota: float | None
    memory_gib: float
    gpus: list[str] = []  # noqa: RUF012 - each record has its own
    """Names of those that may be used, MIG slices and MPS named as such; empty: none is."""


def this_machine(with_gpus: bool = False) -> Machine:
    """Read this machine's fingerprint, with its GPUs where they take part."""
    cores = usable_cores()
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cpu=_cpu_name(),
        architecture=platform.machine(),
        os=f"{platform.system()} {platform.release()}",
        cores_usable=cores.usable,
        cpu_quota=cores.quota,
        memory_gib=round(memory_bytes / 2**30, 1),
        gpus=gpu_names() if with_gpus else [],
    )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
