"""How the usable CPUs relate: which share a core, which lie apart, which are slower.

Source: the kernel's ABI documentation, `sysfs-devices-system-cpu` and `sysfs-devices-node`.
"""

from pathlib import Path

from autotune.probes.files import read_number, read_text

_SYS = Path("/sys")
_INTEL_KINDS = ("cpu_core", "cpu_atom", "cpu_lowpower")
_ONE_KIND = 0.9
"""Favoured cores of one kind differ by a few per cent; efficiency cores by a third and more."""


def parse_cpus(text: str) -> frozenset[int]:
    """Return the numbers in the kernel's list format, such as `0-3,8`; none for an empty text.

    Raises:
        ValueError: the text is not such a list.
    """
    cpus: set[int] = set()
    for part in text.split(",") if text.strip() else []:
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return frozenset(cpus)


def format_cpus(cpus: frozenset[int]) -> str:
    """Return the numbers in the kernel's list format, as `taskset -c` takes them."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs)


def physical_cores(cpus: frozenset[int], sys: Path = _SYS) -> list[frozenset[int]] | None:
    """Return the cores behind `cpus`, each as its hardware threads, whether in `cpus` or not.

    None where the platform does not tell.
    """
    lists = [
        read_text(sys / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        for cpu in sorted(cpus)
    ]
    return list(dict.fromkeys(map(parse_cpus, lists))) if all(lists) else None


def numa_nodes(cpus: frozenset[int], sys: Path = _SYS) -> dict[str, frozenset[int]] | None:
    """Return those of `cpus` that lie in each NUMA node; None where the platform does not tell."""
    lists = {
        path.parent.name: parse_cpus(read_text(path)) & cpus
        for path in sorted((sys / "devices/system/node").glob("node[0-9]*/cpulist"))
    }
    return {name: inside for name, inside in lists.items() if inside} or None


def core_kinds(cpus: frozenset[int], sys: Path = _SYS) -> list[frozenset[int]] | None:
    """Return `cpus` by kind of core, the fastest first; None where the platform does not tell.

    Asks for Intel's kinds, then for the scheduler's capacity, then for the highest frequency.
    """
    intel = [parse_cpus(read_text(sys / f"devices/{name}/cpus")) for name in _INTEL_KINDS]
    if cpus <= frozenset().union(*intel):
        return [kind & cpus for kind in intel if kind & cpus]
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        read = {cpu: read_number(sys / f"devices/system/cpu/cpu{cpu}/{name}") for cpu in cpus}
        speeds = {cpu: speed for cpu, speed in read.items() if speed is not None}
        if len(speeds) == len(cpus):
            enough = _ONE_KIND * max(speeds.values())
            fast = frozenset(cpu for cpu in cpus if speeds[cpu] >= enough)
            return [kind for kind in (fast, cpus - fast) if kind]
    return None
