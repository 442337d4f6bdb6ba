"""Everything measured so far, so that an answer can be written at any moment."""

from statistics import median

from autotune.arrivals import Traffic
from autotune.config_file import Phase, Trial
from autotune.outcome import Measured, TrialOutcome
from autotune.records import Failed, Summary
from autotune.spec import ServingConfig, SessionShape, Slo
from autotune.stages.drive import repeats_after
from autotune.stages.question import Deadline
from autotune.stages.reference import CostWindow
from autotune.stats.summary import summarize


class Journal:
    """The trials of one search, raw samples by phase, load and configuration."""

    def __init__(self, slo: Slo, deadline: Deadline) -> None:
        """Start empty."""
        self._slo, self._deadline = slo, deadline
        self.trials: list[Trial] = []
        self.cost_windows: list[CostWindow] = []
        self._runs: dict[tuple[Phase, float, ServingConfig], list[Measured]] = {}
        self._openings_s: dict[SessionShape, list[float]] = {}

    def add(
        self,
        phase: Phase,
        traffic: Traffic,
        config: ServingConfig,
        predicted_ms: float,
        timed: tuple[TrialOutcome, float],
    ) -> Summary | Failed:
        """Keep an outcome (lead-in already cut) with the seconds it took; return its summary."""
        outcome, seconds = timed
        result = summarize([outcome], self._slo) if isinstance(outcome, Measured) else outcome
        if isinstance(outcome, Measured):
            self._runs.setdefault((phase, traffic.load_rps, config), []).append(outcome)
        self.trials.append(
            Trial(
                phase=phase,
                load_rps=traffic.load_rps,
                config=config,
                predicted_ms=predicted_ms,
                seconds=round(seconds, 3),
                at_s=round(self._deadline.elapsed_s, 3),
                measured=result if isinstance(result, Summary) else None,
                failure=result if isinstance(result, Failed) else None,
            )
        )
        return result

    def repeats(self) -> int:
        """How often the next window deserves to be measured again, should it be disturbed."""
        return repeats_after([bool(one.measured.disturbed) for one in self.trials if one.measured])

    def runs(self, phase: Phase, traffic: Traffic, config: ServingConfig) -> list[Measured]:
        """Return the raw runs of a configuration at a load in one phase, in order."""
        return self._runs.get((phase, traffic.load_rps, config), [])

    def runs_at(self, load_rps: float, config: ServingConfig) -> list[Measured]:
        """Return those of both phases, in order."""
        phases: tuple[Phase, ...] = ("search", "confirm")
        return [run for phase in phases for run in self._runs.get((phase, load_rps, config), [])]

    def all_runs(self) -> list[Measured]:
        """Return every raw run."""
        return [run for runs in self._runs.values() for run in runs]

    def opened(self, shape: SessionShape, seconds: float) -> None:
        """Keep for how long a measurement waited for its sessions; 0: they stood already."""
        if seconds > 0:
            self._openings_s.setdefault(shape, []).append(seconds)

    def open_s(self) -> dict[SessionShape, float]:
        """Return the typical seconds to open sessions, as far as measurements had to."""
        return {shape: median(seconds) for shape, seconds in self._openings_s.items()}
