"""Checks of the processor: cores that are not alike, clocks that change, time that is slow to read.

Source: the kernel's ABI documentation and admin guide (cpufreq, SMT control).
"""

from pathlib import Path

from autotune.diagnosis.finding import Finding, finding
from autotune.probes.files import read_number, read_text
from autotune.probes.topology import core_kinds, format_cpus, numa_nodes, physical_cores

_PROC = Path("/proc")
_SYS = Path("/sys")
_FAST_CLOCKS = {"tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page"}
"""Read in user space; the others cost a system call or a slow device each time."""
_TURBO = (("intel_pstate/no_turbo", 0), ("cpufreq/boost", 1))
"""Files below devices/system/cpu and the number that says that turbo is on."""


def smt(cpus: frozenset[int], sys: Path = _SYS) -> Finding:
    """Whether usable CPUs are hardware threads that share a core."""
    cores = physical_cores(cpus, sys)
    if cores is None:
        return finding(
            "smt", "unknown", "Which CPUs share a core is not told here.", "See lscpu -e."
        )
    if all(len(core) == 1 for core in cores):
        return finding("smt", "ok", f"Each of the {len(cpus)} usable CPUs is a core of its own.")
    first = format_cpus(frozenset(min(core & cpus) for core in cores))
    if len(cores) == len(cpus):
        return finding(
            "smt",
            "note",
            f"Each of the {len(cpus)} usable CPUs shares its core with a CPU that others may use.",
            "Keep the siblings idle, or turn SMT off in /sys/devices/system/cpu/smt/control.",
        )
    return finding(
        "smt",
        "note",
        f"The {len(cpus)} usable CPUs are hardware threads of {len(cores)} cores.",
        f"For steadier numbers use one thread of each core: taskset -c {first} autotune ...",
    )


def core_types(cpus: frozenset[int], sys: Path = _SYS) -> Finding:
    """Whether some usable CPUs are slower than others by design."""
    kinds = core_kinds(cpus, sys)
    if kinds is None:
        return finding(
            "core types",
            "unknown",
            "Whether all cores are equally fast is not told here.",
            "See the processor's data sheet; pin to cores of one kind with taskset -c.",
        )
    if len(kinds) == 1:
        return finding("core types", "ok", "All usable CPUs are equally fast.")
    fast, slow = format_cpus(kinds[0]), format_cpus(cpus - kinds[0])
    return finding(
        "core types",
        "spoils",
        f"CPUs {slow} are slower than CPUs {fast}: latency depends on where a thread runs.",
        f"Use cores of one kind: taskset -c {fast} autotune ...",
    )


def numa(cpus: frozenset[int], sys: Path = _SYS) -> Finding:
    """Whether the usable CPUs lie in several memory nodes."""
    nodes = numa_nodes(cpus, sys)
    if nodes is None:
        return finding("numa", "unknown", "Memory nodes are not told here.", "See numactl -H.")
    if len(nodes) == 1:
        return finding("numa", "ok", "All usable CPUs lie in one memory node.")
    listed = ", ".join(f"{name}: {format_cpus(inside)}" for name, inside in nodes.items())
    number = next(iter(nodes)).removeprefix("node")
    return finding(
        "numa",
        "note",
        f"The usable CPUs lie in {len(nodes)} memory nodes ({listed}).",
        f"Tune one node: numactl --cpunodebind={number} --membind={number} autotune ...",
    )


def governor(cpus: frozenset[int], sys: Path = _SYS) -> Finding:
    """Whether the clock follows the load."""
    folder = sys / "devices/system/cpu"
    names = {read_text(folder / f"cpu{cpu}/cpufreq/scaling_governor") for cpu in cpus}
    if "" in names:
        return finding(
            "governor",
            "unknown",
            "The frequency governor is not told here; on a virtual machine the host sets it.",
            "Set it on the host: cpupower frequency-set -g performance",
        )
    if names == {"performance"}:
        return finding("governor", "ok", "The frequency governor is performance.")
    return finding(
        "governor",
        "spoils",
        f"The frequency governor is {' and '.join(sorted(names))}: low loads run at a lower clock.",
        "sudo cpupower frequency-set -g performance",
    )


def turbo(sys: Path = _SYS) -> Finding:
    """Whether the clock depends on heat and on how many cores are busy."""
    for name, on in _TURBO:
        number = read_number(sys / "devices/system/cpu" / name)
        if number == on:
            return finding(
                "turbo",
                "note",
                "Turbo is on: the clock depends on heat and on how many cores are busy.",
                f"For steadier numbers: echo {1 - on} | sudo tee /sys/devices/system/cpu/{name}",
            )
        if number is not None:
            return finding("turbo", "ok", "Turbo is off.")
    return finding(
        "turbo", "unknown", "Whether turbo is on is not told here.", "See the firmware or the host."
    )


def virtual_machine(proc: Path = _PROC) -> Finding:
    """Whether a hypervisor stands between; only x86 says so in its flags."""
    lines = read_text(proc / "cpuinfo").splitlines()
    flags = next(
        (line.partition(":")[2].split() for line in lines if line.startswith("flags")), None
    )
    if flags is None:
        return finding(
            "hypervisor",
            "unknown",
            "This processor does not say whether it is virtual.",
            "See systemd-detect-virt.",
        )
    if "hypervisor" not in flags:
        return finding("hypervisor", "ok", "No hypervisor.")
    return finding(
        "hypervisor",
        "note",
        "This is a virtual machine: neighbours share caches, memory and clock unseen.",
        "Search again at another hour, or on a dedicated host, and compare.",
    )


def clock(sys: Path = _SYS) -> Finding:
    """Whether reading the time is cheap."""
    folder = sys / "devices/system/clocksource/clocksource0"
    name = read_text(folder / "current_clocksource")
    if not name:
        return finding("clock", "unknown", "The clock source is not told here.", "See dmesg.")
    if name in _FAST_CLOCKS:
        return finding("clock", "ok", f"The clock source is {name}.")
    return finding(
        "clock",
        "note",
        f"The clock source is {name}: each reading costs about a microsecond or more.",
        f"Choose another of: {read_text(folder / 'available_clocksource')} (current_clocksource).",
    )
