"""What is told of windows before and after they are measured, in the same words everywhere."""

import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

from autotune.arrivals import Traffic
from autotune.outcome import Measured
from autotune.spec import ServingConfig, Slo
from autotune.stages.drive import Window, lead_in_s
from autotune.stages.events import Doing, Tried
from autotune.stats.summary import summarize
from autotune.units import format_rps


def doing(phase: str, traffic: Traffic, config: ServingConfig, window: Window) -> Doing:
    """Say that a window is about to be measured."""
    what = f"{phase} {format_rps(traffic.load_rps)}/s: {config.describe()}"
    return Doing(what=what, seconds=window.seconds + lead_in_s(window.seconds))


class Rounds(NamedTuple):
    """Interleaved rounds under one traffic that end in time."""

    phase: Literal["check", "compare"]
    traffic: Traffic
    slo: Slo
    rounds: int
    ends_at_s: float
    """On the clock of `time.monotonic`."""

    @property
    def left_s(self) -> float:
        """Seconds until they end, never below zero."""
        return max(0.0, self.ends_at_s - time.monotonic())

    def begins(self, config: ServingConfig, window: Window) -> Doing:
        """Say that one of its windows is about to be measured."""
        return doing(self.phase, self.traffic, config, window)

    def ended(
        self,
        config: ServingConfig,
        last: Measured,
        runs: Sequence[Measured],
        number: int,
        promised_ms: float | None = None,
    ) -> Tried:
        """Say what came of a configuration's last run, and of all its runs, in round `number`."""
        return Tried(
            phase=self.phase,
            load_rps=self.traffic.load_rps,
            config=config,
            predicted_ms=promised_ms,
            result=summarize([last], self.slo),
            best=None,
            ends_in_s=self.left_s,
            so_far=summarize(runs, self.slo),
            round_number=number + 1,
            rounds=self.rounds,
        )
