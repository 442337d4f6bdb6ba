"""What may befall a measurement from outside, so that it is none: suspensions, another machine."""

from collections.abc import Callable
from typing import TypeVar

from autotune.errors import MeasureError
from autotune.probes.cores import usable_cores
from autotune.probes.sleep import LEAST_SLEEP_S, asleep_s
from autotune.trial.spawn import Child

T = TypeVar("T")

MOST_SUSPENDED = 5
"""Measurements in a row into which a suspension fell; then nothing can be measured."""


class Circumstances:
    """The machine as it was when measuring began, and whether everything ran since."""

    def __init__(self) -> None:
        """Look at the machine."""
        self._cores = usable_cores()
        self._asleep_s = asleep_s()
        self._suspended = False

    def unsuspended(self, take: Callable[[], T]) -> T:
        """Measure again what a suspension fell into: it is no property of a configuration.

        Raises:
            MeasureError: suspensions do not end.
        """
        for _ in range(MOST_SUSPENDED):
            outcome = self.once(take)
            if outcome is not None:
                return outcome
        raise MeasureError(
            "processes are stopped and continued (SIGSTOP, SIGCONT) all the time, or the machine "
            "is put to sleep: nothing can be measured meanwhile"
        )

    def once(self, take: Callable[[], T]) -> T | None:
        """Measure once; None where a suspension fell into it."""
        self._suspended = False
        outcome = take()
        return None if self._suspended else outcome

    def look_at(self, child: Child) -> None:
        """See what happened while a child answered.

        Raises:
            MeasureError: the machine is no longer what it was.
        """
        self.look(child.was_stopped())

    def look(self, stopped: bool = False) -> None:
        """Likewise while something else measured, which was stopped meanwhile or not."""
        before_s, self._asleep_s = self._asleep_s, asleep_s()
        slept = self._asleep_s - before_s > LEAST_SLEEP_S
        self._suspended = stopped or slept or self._suspended
        now = usable_cores()
        if now != self._cores:
            raise MeasureError(
                f"the machine changed: {self._cores.describe()} became {now.describe()}: what was "
                "measured before is kept; search again on the machine as it is now"
            )
