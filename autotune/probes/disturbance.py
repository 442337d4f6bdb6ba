"""What the machine did to a process between two moments: the kernel's counters, and differences.

Sources: proc(5) for `/proc/stat` and `/proc/vmstat`; the kernel's admin guide for cgroup v1 and v2
(`cpu.stat`), pressure stall information (`/proc/pressure`) and cpufreq.
"""

import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path

from autotune.outcome import Disturbance
from autotune.probes.cores import cgroup_folders, usable_cpus
from autotune.probes.files import read_number, read_table, read_text
from autotune.probes.threads import cpu_seconds
from autotune.spec import Record


class Counters(Record, frozen=True):
    """One snapshot; all but `frequency_mhz` only ever grow. None: the platform does not tell."""

    time_s: float
    """Monotonic clock."""
    cpus: tuple[int, ...]
    """Numbers of the CPUs whose time is counted: those that this process may run on."""
    busy_s: float | None
    """Seconds of these CPUs in any process or interrupt, stolen time left out."""
    steal_s: float | None
    """Seconds of these CPUs that the hypervisor gave to somebody else."""
    throttled_periods: int | None
    throttled_s: float | None
    """Seconds that the cgroups from this process's to the root held back, summed over CPUs."""
    own_cpu_s: float
    """CPU seconds of this process and its workers, user and system, all threads."""
    involuntary_switches: int
    """Of a worker's threads, only those that still run."""
    major_faults: int
    swapped_pages: int | None
    memory_pressure_s: float | None
    """Seconds in which some process of the machine waited for memory."""
    frequency_mhz: float | None
    """Mean over these CPUs, now."""


def read_counters(
    proc: Path = Path("/proc"),
    sys: Path = Path("/sys"),
    cpus: frozenset[int] | None = None,
    workers: Sequence[int] = (),
) -> Counters:
    """Read the counters of this process and of `cpus` (else the CPUs that it may run on).

    CPUs outside the affinity mask are left out: what runs there takes nothing from this process.
    What `workers` use, processes by their ids, is this one's own.

    Raises:
        ProcessLookupError: a worker has ended.
    """
    cpus = usable_cpus() if cpus is None else cpus
    busy_s, steal_s = _cpu_times_s(proc / "stat", cpus)
    throttled_periods, throttled_s = _throttled(
        cgroup_folders(sys / "fs/cgroup", proc / "self/cgroup", "cpu")
    )
    own = resource.getrusage(resource.RUSAGE_SELF)
    memory = read_table(proc / "vmstat")
    return Counters(
        time_s=time.monotonic(),
        cpus=tuple(sorted(cpus)),
        busy_s=busy_s,
        steal_s=steal_s,
        throttled_periods=throttled_periods,
        throttled_s=throttled_s,
        own_cpu_s=cpu_seconds(workers),
        involuntary_switches=own.ru_nivcsw + sum(_switches(proc / f"{pid}") for pid in workers),
        major_faults=own.ru_majflt + sum(_major_faults(proc / f"{pid}") for pid in workers),
        swapped_pages=memory["pswpin"] + memory["pswpout"] if "pswpin" in memory else None,
        memory_pressure_s=_pressure_s(proc / "pressure/memory"),
        frequency_mhz=_frequency_mhz(sys / "devices/system/cpu", cpus),
    )


def between(before: Counters, after: Counters) -> Disturbance:
    """Return what happened from `before` to `after`, both read in the same process.

    Where the CPUs that the process may run on changed in between, nothing is known of their time.

    Raises:
        ValueError: `after` is not later than `before`.
    """
    seconds = after.time_s - before.time_s
    if seconds <= 0:
        raise ValueError("the second snapshot must be later than the first")
    same = before.cpus == after.cpus
    busy_s = _difference(before.busy_s, after.busy_s) if same else None
    steal_s = _difference(before.steal_s, after.steal_s) if same else None
    pressure_s = _difference(before.memory_pressure_s, after.memory_pressure_s)
    periods = _difference(before.throttled_periods, after.throttled_periods)
    swapped = _difference(before.swapped_pages, after.swapped_pages)
    own_s = after.own_cpu_s - before.own_cpu_s
    return Disturbance(
        seconds=seconds,
        cpus=len(after.cpus),
        steal_share=None if steal_s is None else steal_s / (seconds * len(after.cpus)),
        # The kernel samples busy time by ticks, so it can fall short of the own time alone.
        other_cpu_share=None if busy_s is None else max(0.0, busy_s - own_s) / seconds,
        throttled_periods=None if periods is None else int(periods),
        throttled_s=_difference(before.throttled_s, after.throttled_s),
        # A worker's thread that ended has taken its own along.
        involuntary_switches_per_s=max(0, after.involuntary_switches - before.involuntary_switches)
        / seconds,
        major_faults=after.major_faults - before.major_faults,
        swapped_pages=None if swapped is None else int(swapped),
        memory_pressure_share=None if pressure_s is None else pressure_s / seconds,
        frequency_change=_change(before.frequency_mhz, after.frequency_mhz),
    )


def _switches(process: Path) -> int:
    """Summed over its threads: what the process itself tells is its first thread's."""
    return sum(
        read_table(status).get("nonvoluntary_ctxt_switches", 0)
        for status in process.glob("task/*/status")
    )


def _major_faults(process: Path) -> int:
    # A name may hold spaces and brackets, so the last bracket ends it.
    fields = read_text(process / "stat").rpartition(")")[2].split()
    return int(fields[9]) if len(fields) > 9 else 0


def _cpu_times_s(stat: Path, cpus: frozenset[int]) -> tuple[float | None, float | None]:
    """Busy and stolen seconds of `cpus`; guest time is part of user time already."""
    wanted = {f"cpu{number}" for number in cpus}
    rows = [line.split() for line in read_text(stat).splitlines() if line.startswith("cpu")]
    ticks = [[int(part) for part in row[1:]] for row in rows if row[0] in wanted]
    if len(ticks) != len(cpus) or any(len(row) < 8 for row in ticks):
        return None, None
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    busy = sum(
        user + nice + system + irq + soft for user, nice, system, _, _, irq, soft, *_ in ticks
    )
    return busy * tick_s, sum(row[7] for row in ticks) * tick_s


def _throttled(folders: list[Path]) -> tuple[int | None, float | None]:
    """Periods and seconds: v2 counts microseconds, v1 nanoseconds, each only its own group's."""
    # A controller that is mounted under two names must not count twice.
    different = {(stat.st_dev, stat.st_ino): one for one in folders for stat in [one.stat()]}
    tables = [read_table(folder / "cpu.stat") for folder in different.values()]
    stats = [table for table in tables if "nr_throttled" in table]
    if not stats:
        return None, None
    seconds = sum(
        stat.get("throttled_usec", 0) / 1e6 + stat.get("throttled_time", 0) / 1e9 for stat in stats
    )
    return sum(stat["nr_throttled"] for stat in stats), seconds


def _pressure_s(pressure: Path) -> float | None:
    for line in read_text(pressure).splitlines():
        kind, _, total_us = line.partition(" total=")
        if kind.startswith("some ") and total_us.isdecimal():
            return int(total_us) / 1e6
    return None


def _frequency_mhz(folder: Path, cpus: frozenset[int]) -> float | None:
    """From cpufreq alone: `cpu MHz` in /proc/cpuinfo is a constant on many virtual machines."""
    read = (read_number(folder / f"cpu{cpu}/cpufreq/scaling_cur_freq") for cpu in cpus)
    khz = [number for number in read if number is not None]
    return sum(khz) / len(khz) / 1e3 if khz else None


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _change(before: float | None, after: float | None) -> float | None:
    return after / before - 1 if before and after is not None else None
