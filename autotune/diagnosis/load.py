"""Checks that need a moment's watching: who else computes, and how late sleepers wake."""

import math
import time
from collections.abc import Callable

from autotune.diagnosis.finding import Finding, finding
from autotune.outcome import Disturbance
from autotune.probes.disturbance import Counters, between, read_counters
from autotune.probes.processes import Busy, busiest, other_processes
from autotune.spec import Record
from autotune.stats.disturbance import crowded, stolen

_NAP_S = 1e-3
_LATE_S = 1e-3
"""A replica sleeps until the next arrival, so lateness is latency: a millisecond shows in a p99."""


class Watched(Record, frozen=True):
    """What went on while this process slept."""

    before: Counters
    sample: Disturbance
    top: Busy | None
    """The process that used most CPU; None where none did, or none can be seen."""


def watch(seconds: float = 1.0) -> Watched:
    """Sleep for `seconds` and return what the others did meanwhile."""
    processes, before = other_processes(), read_counters()
    time.sleep(seconds)
    sample = between(before, read_counters())
    return Watched(before=before, sample=sample, top=busiest(processes, other_processes()))


def other_load(watched: Watched, cores: int) -> Finding:
    """Whether other processes use the cores; `cores` as in `crowded`."""
    sample, top = watched.sample, watched.top
    if sample.other_cpu_share is None:
        return finding("other load", "unknown", "CPU times are not told here.", "See top.")
    found = f"Other processes use {sample.other_cpu_share:.2f} of {sample.cpus} CPUs"
    if not crowded(sample, cores):
        return finding("other load", "ok", f"{found}.")
    if top is None:
        return finding(
            "other load",
            "spoils",
            f"{found}, unseen from here.",
            "Look from outside the container.",
        )
    return finding(
        "other load",
        "spoils",
        f"{found}, most of all {top.name} (pid {top.pid}): {top.cpu_s / sample.seconds:.2f}.",
        f"Stop {top.name} and what else computes, or wait for it.",
    )


def steal(sample: Disturbance) -> Finding:
    """Whether the hypervisor gives this machine's time to others."""
    if sample.steal_share is None:
        return finding("steal", "unknown", "Stolen time is not told here.", "See vmstat's st.")
    found = f"{100 * sample.steal_share:.1f} % of CPU time was stolen by a hypervisor."
    if not stolen(sample):
        return finding("steal", "ok", found)
    return finding(
        "steal", "spoils", found, "Use an instance with dedicated CPUs, or wait for quieter hours."
    )


def lateness_s(naps: int = 200, sleep: Callable[[float], None] = time.sleep) -> list[float]:
    """Sleep a millisecond `naps` times and return by how much each was too long, ascending."""
    late: list[float] = []
    for _ in range(naps):
        start_s = time.perf_counter()
        sleep(_NAP_S)
        late.append(time.perf_counter() - start_s - _NAP_S)
    return sorted(late)


def wake_ups(late_s: list[float]) -> Finding:
    """Whether sleepers wake on time; `late_s` ascending."""
    p50_s, p99_s = (late_s[math.ceil(quantile * len(late_s)) - 1] for quantile in (0.5, 0.99))
    found = f"Sleepers wake {p50_s * 1e3:.2f} ms late (p50), {p99_s * 1e3:.2f} ms (p99)."
    if p99_s <= _LATE_S:
        return finding("wake-ups", "ok", found)
    return finding(
        "wake-ups",
        "spoils",
        found,
        "Stop other load; forbid deep sleep states: sudo cpupower idle-set -D 50",
    )
