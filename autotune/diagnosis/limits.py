"""Checks of what is granted: CPU quota, memory, and permission to read energy."""

from collections.abc import Mapping
from pathlib import Path

from autotune.diagnosis.finding import Finding, finding
from autotune.outcome import Disturbance
from autotune.probes.confinement import why_network_stays
from autotune.probes.cores import Cores
from autotune.probes.disturbance import Counters
from autotune.probes.energy import Energy, energy_uj, with_gpus
from autotune.probes.files import read_table
from autotune.probes.memory import available_memory_bytes
from autotune.probes.topology import format_cpus

_GIB = 2**30
_SCARCE_BYTES = _GIB
"""A runtime with a small model takes some hundred MiB per child process."""


def quota(cores: Cores) -> Finding:
    """Whether the cgroup grants less CPU time than the affinity mask promises."""
    if cores.quota is None or cores.quota >= cores.affinity:
        return finding("quota", "ok", f"No CPU quota below the {cores.affinity} usable CPUs.")
    found = f"The cgroup grants {cores.quota:g} of {cores.affinity} CPUs"
    whole = format_cpus(frozenset(range(cores.usable)))
    remedy = f"Grant whole CPUs without a quota: docker run --cpuset-cpus={whole}, not --cpus"
    if cores.quota != int(cores.quota):
        return finding(
            "quota",
            "spoils",
            f"{found}: what does not fit stands still for the rest of each quota period.",
            remedy,
        )
    return finding(
        "quota", "note", f"{found}: more threads than that stand still part of the time.", remedy
    )


def throttling(since_start: Counters, sample: Disturbance) -> Finding:
    """Whether the cgroup has held threads back, ever or during the sample."""
    periods = since_start.throttled_periods
    if periods is None:
        return finding(
            "throttling",
            "unknown",
            "Throttling is not counted here.",
            "See cpu.stat of the container's cgroup on the host.",
        )
    if not periods:
        return finding("throttling", "ok", "The cgroup has never held threads back.")
    now = bool(sample.throttled_periods)
    return finding(
        "throttling",
        "spoils" if now else "note",
        f"The cgroup has held threads back in {periods} quota periods "
        f"({since_start.throttled_s:.1f} s){', also just now' if now else ', not just now'}.",
        "Raise the quota, or stop what else runs in this cgroup.",
    )


def memory(
    sample: Disturbance, proc: Path = Path("/proc"), cgroup_root: Path = Path("/sys/fs/cgroup")
) -> Finding:
    """Whether memory is nearly full, or swap in use."""
    table = read_table(proc / "meminfo")
    available = available_memory_bytes(cgroup_root, proc / "self/cgroup", proc / "meminfo")
    if available is None:
        return finding("memory", "unknown", "Available memory is not told here.", "See free -m.")
    swap_bytes = 1024 * (table.get("SwapTotal", 0) - table.get("SwapFree", 0))
    found = f"{available / _GIB:.1f} GiB are available, {swap_bytes / _GIB:.1f} GiB are swapped out"
    if sample.swapped_pages:
        found += f", {sample.swapped_pages} pages moved just now"
    if available < _SCARCE_BYTES or sample.swapped_pages:
        return finding("memory", "spoils", f"{found}.", "Stop what holds the memory.")
    if swap_bytes > 0:
        return finding("memory", "note", f"{found}.", "Bring it back: swapoff -a && swapon -a")
    return finding("memory", "ok", f"{found}.")


def network() -> Finding:
    """Whether a model's process can be denied the network."""
    if (reason := why_network_stays()) is None:
        return finding("network", "ok", "A model's process is denied the network.")
    return finding(
        "network",
        "note",
        f"A model's process keeps the network: {reason}.",
        "Run models that you do not trust in a container without network.",
    )


def energy(
    powercap: Path = Path("/sys/class/powercap"), gpus_mj: Mapping[str, int] | None = None
) -> Finding:
    """Whether energy can be told beside latency; of GPUs, where their millijoules were read."""
    reading = energy_uj(powercap)
    gpus = with_gpus(Energy(state="absent", domains={}), gpus_mj).described
    beside = f" Of {gpus} it can be read." if gpus else ""
    if reading.state == "absent":
        return finding(
            "energy",
            "note",
            f"No energy counters (RAPL) here, as on most virtual machines.{beside}",
            "Times are not affected; energy is reckoned from CPU time, by watts that you may name.",
        )
    if reading.state == "unreadable":
        return finding(
            "energy",
            "note",
            f"The energy counters (RAPL) may not be read by this user.{beside}",
            "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj",
        )
    named = with_gpus(reading, gpus_mj).described
    return finding("energy", "ok", f"Energy can be read of {named}.")
