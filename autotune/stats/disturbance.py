"""Whether a run was disturbed so much that its numbers say more about the machine's other guests.

A share of the time is judged by what a p99 notices: one per cent.
"""

import math

from autotune.outcome import Disturbance

TICK_S = 0.01
"""Resolution of the kernel's CPU times: USER_HZ is 100 wherever ONNX Runtime has packages."""
STEAL_SHARE = 0.01
"""A p99 moves when one per cent of the time is affected."""
STEAL_TICKS = 2
"""A counter that is cut to whole ticks is off by up to one at each end."""
OTHER_SHARE = 0.05
"""Daemons, kernel threads and the tuner itself use some per cent of an idle machine."""
OTHER_DEVIATIONS = 3
"""Busy time is sampled once per tick: three standard deviations of that are not evidence."""
THROTTLED_SHARE = 0.01
"""A p99 moves when one per cent of the time is affected."""
MAJOR_FAULTS = 10
"""Each waits for storage; a handful are code that is used for the first time."""
SWAPPED_PAGES = 0
"""Nothing is swapped while there is memory; when there is not, waits reach many milliseconds."""
PRESSURE_SHARE = 0.01
"""A p99 moves when one per cent of the time is affected."""
FREQUENCY_FALL = 0.10
"""Momentary readings under load differ by some per cent. (An idle core may be boosted by more.)"""


def disturbed_because(one: Disturbance, cores: int) -> list[str]:
    """Return a clause with its number for each thing that exceeds its threshold.

    `cores` are those that the process may use at once (`Cores.usable`). Involuntary switches are
    evidence beside the CPU use of others, not a reason: threads that outnumber the cores preempt
    one another. Neither is throttling (see `throttled_because`). What the platform does not tell
    is no reason.
    """
    clauses: list[str] = []
    if stolen(one):
        clauses.append(f"{_percent(one.steal_share)} of CPU time stolen by the hypervisor")
    if crowded(one, cores):
        clauses.append(
            f"other processes used {one.other_cpu_share:.2f} cores "
            f"(it was preempted {one.involuntary_switches_per_s:.0f} times/s)"
        )
    if (one.swapped_pages or 0) > SWAPPED_PAGES:
        clauses.append(f"{_count(one.swapped_pages or 0, 'page')} swapped")
    if one.major_faults > MAJOR_FAULTS:
        clauses.append(f"it waited for storage in {one.major_faults} page faults")
    if (one.memory_pressure_share or 0.0) > PRESSURE_SHARE:
        clauses.append(f"{_percent(one.memory_pressure_share)} of the time under memory pressure")
    if (one.frequency_change or 0.0) < -FREQUENCY_FALL:
        clauses.append(f"core frequency fell by {_percent(-(one.frequency_change or 0.0))}")
    return clauses


def throttled_because(one: Disturbance) -> str | None:
    """Return a clause where the cgroup's quota held the process back; None where it did not.

    A configuration with more threads than the quota grants throttles itself, each time: that is
    no disturbance, but the truth about it.
    """
    if not one.throttled_periods or (one.throttled_s or 0.0) <= THROTTLED_SHARE * one.seconds:
        return None
    periods = _count(one.throttled_periods, "period")
    return f"the cgroup throttled it in {periods} ({one.throttled_s:.2f} s)"


def stolen(one: Disturbance) -> bool:
    """Whether the hypervisor took more than its threshold, and more than the ticks can hide."""
    return (one.steal_share or 0.0) > max(STEAL_SHARE, STEAL_TICKS * TICK_S / one.seconds)


def crowded(one: Disturbance, cores: int) -> bool:
    """Whether others used more of the CPUs than `cores` leaves them, beyond what sampling errs.

    Sampling n = `cpus` x `seconds` / `TICK_S` ticks errs by at most sqrt(n) / 2 of them (a
    binomial count), for the own time is exact and the others' is the difference.
    """
    if one.other_cpu_share is None:
        return False
    contended = one.other_cpu_share - max(0, one.cpus - cores)
    sampling = OTHER_DEVIATIONS * math.sqrt(one.cpus * TICK_S / one.seconds) / 2
    return contended > max(OTHER_SHARE * cores, sampling)


def severity(one: Disturbance) -> float:
    """Return the share of the CPUs' time that the run lost: 0 where it had the machine to itself.

    The sum of what was stolen, used by others, and waited for memory. Good for picking
    the least disturbed of several repeats on one machine; what the platform does not tell adds
    nothing. Frequency is left out, because momentary readings would drown the rest.
    """
    return (
        (one.steal_share or 0.0)
        + (one.other_cpu_share or 0.0) / one.cpus
        + (one.memory_pressure_share or 0.0)
    )


def _percent(share: float | None) -> str:
    percent = 100 * (share or 0.0)
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
