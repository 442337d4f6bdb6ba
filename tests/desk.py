"""Searches of a synthetic machine with a clock of its own, kept in a store, that may be killed."""

from pathlib import Path

import pytest
from msgspec import structs
from synthetic import CORES, SyntheticBench

from autotune import tune
from autotune.arrivals import Traffic
from autotune.config_file import TunedFile
from autotune.outcome import ServiceTimes, TrialOutcome
from autotune.probes.cores import Cores
from autotune.records import Failed
from autotune.spec import ModelSpec, SessionShape, Slo, TrialSpec
from autotune.stages import memory as memory_module
from autotune.stages import survey as survey_module
from autotune.stages.events import Event, Said
from autotune.stages.question import Keeping, Question
from autotune.stats.judge import Decides
from autotune.trial.wire import ClosedLoop

TICK_S = 0.25
"""Of the clock: sums of it are exact, in whatever order."""


class Killed(BaseException):
    """The process is gone."""


class MortalBench(SyntheticBench):
    """Takes time on a clock of its own, and is killed in the `dies_at`-th question."""

    def __init__(self, model: Path, dies_at: int | None = None, interrupted: bool = False) -> None:
        super().__init__()
        self.model = ModelSpec(path=str(model))
        self.asked = 0
        self._dies_at, self._how = dies_at, KeyboardInterrupt if interrupted else Killed
        self._clock_s = 0.0

    def now_s(self) -> float:
        return self._clock_s

    def service_times(
        self, shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes | Failed:
        self._count()
        return super().service_times(shape, request, timeout_s, keep)

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        self._count()
        # The same question gets the same answer, whoever asked what before.
        self.trials = [trial] * (int(1e6 * trial.arrivals_s[-1]) % 997)
        return super().measure(trial, judge)

    def _count(self) -> None:
        self._clock_s += TICK_S
        self.asked += 1
        if self.asked == self._dies_at:
            raise self._how


class Desk:
    """Where somebody searches, again and again."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.model = folder / "model.onnx"
        self.model.write_bytes(b"a model")
        self.store = folder / "store.sqlite"
        self.said: list[str] = []
        self.bench = MortalBench(self.model)
        self._patch = monkeypatch

    def search(self, dies_at: int | None = None, **asked: object) -> TunedFile:
        """Search with a new bench, which `bench` then is."""
        interrupted = bool(asked.pop("interrupted", False))
        keeping = Keeping(store=self.store, allow_shared=True)
        question = Question(
            model=ModelSpec(path=str(self.model)),
            name="model.onnx",
            slo=Slo(latency_ms=50),
            traffics=[Traffic(load_rps=130)],
            budget_s=60.0,
            max_trials=3,
            seed=0,
            output=None,
            keeping=keeping,
        )
        self.bench = MortalBench(self.model, dies_at, interrupted)
        self._patch.setattr(tune, "Bench", lambda model, allowed: self.bench)
        self.said = []
        return tune.search(structs.replace(question, **asked), self._observe)

    def search_until_killed(self, dies_at: int, **asked: object) -> None:
        with pytest.raises(Killed):
            self.search(dies_at, **asked)

    def _observe(self, event: Event) -> None:
        if isinstance(event, Said):
            self.said.append(event.text)


def make_desk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return a desk on two cores."""
    two = Cores(affinity=CORES, quota=None)
    monkeypatch.setattr(survey_module, "usable_cores", lambda: two)
    # Whoever was killed in these tests still lives.
    monkeypatch.setattr(memory_module, "is_gone", lambda owner: True)
    monkeypatch.setattr("autotune.stages.reference.yardstick_ms", lambda: 1.0)
    simulate_less(monkeypatch)
    return Desk(folder, monkeypatch)


def simulate_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out long simulations, of which nothing depends where measurements are made up."""
    monkeypatch.setattr("autotune.stages.answer.curves", lambda context, ground, config: [])
    monkeypatch.setattr("autotune.stages.survey._sustainable_rps", lambda *of: 150.0)
    monkeypatch.setattr("autotune.stages.survey.FORECAST_REQUESTS", 100)


def without_times(tuned: TunedFile) -> TunedFile:
    """What was found, without when: how long numpy took is in no memory."""
    search = structs.replace(tuned.search, started_at="", seconds=0.0, profile_seconds=0.0)
    trials = [structs.replace(trial, seconds=0.0, at_s=0.0) for trial in tuned.trials]
    return structs.replace(tuned, search=search, trials=trials)
