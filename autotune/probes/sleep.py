"""Whether the machine was put to sleep: then clocks of running processes stood still as well."""

import time

LEAST_SLEEP_S = 0.1
"""Less is how far two readings are apart."""


def asleep_s() -> float:
    """Return for how long the machine has slept since it was started; 0: the kernel does not tell.

    Source: clock_gettime(2): CLOCK_BOOTTIME goes on while the system is suspended.
    """
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
