"""Joint searches of a synthetic machine, kept in a store, that may be killed."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from desk import TICK_S, Killed, without_times
from joint_world import JointWorld, SlowedBench, asked
from msgspec import structs

from autotune.outcome import Measured, ServiceTimes, TrialOutcome
from autotune.records import Failed
from autotune.spec import SessionShape, TrialSpec
from autotune.stages import memory as memory_module
from autotune.stages.events import Event, Said
from autotune.stages.question import Keeping
from autotune.stats.judge import Decides
from autotune.together import make
from autotune.together.benches import Seated
from autotune.together.records import TogetherFile
from autotune.trial.wire import ClosedLoop


class MortalBench(SlowedBench):
    """Counts what it is asked alone; the same question gets the same answer."""

    def __init__(self, world: "MortalWorld") -> None:
        super().__init__(lambda config: False)
        self._world = world

    def service_times(
        self, shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes | Failed:
        self._world.count()
        return super().service_times(shape, request, timeout_s, keep)

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        self.trials = [trial] * (int(1e6 * trial.arrivals_s[-1]) % 997)
        return super().measure(trial, judge)


class MortalWorld(JointWorld):
    """Takes time, and is killed in the `dies_at`-th question."""

    def __init__(self, dies_at: int | None = None, interrupted: bool = False) -> None:
        super().__init__()
        self.benches = [MortalBench(self) for _ in range(2)]
        self.asked = 0
        self._dies_at, self._how = dies_at, KeyboardInterrupt if interrupted else Killed

    def beside(
        self, models: Sequence[int], shape: SessionShape, request: ClosedLoop, timeout_s: float
    ) -> list[ServiceTimes | Failed]:
        self.count()
        return super().beside(models, shape, request, timeout_s)

    def measure(self, seats: Sequence[Seated]) -> list[Measured] | Failed:
        self.count()
        found = super().measure(seats)
        self.clock_s = math.ceil(self.clock_s / TICK_S) * TICK_S
        return found

    def count(self) -> None:
        self.clock_s += TICK_S
        self.asked += 1
        if self.asked == self._dies_at:
            raise self._how


class JointDesk:
    """Where somebody searches for two models, again and again."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, monkeypatch
        self.models = (folder / "a.onnx", folder / "b.onnx")
        for path in self.models:
            path.write_text(f"the model {path.name}")
        self.store = folder / "store.sqlite"
        self.said: list[str] = []
        self.world = MortalWorld()
        # Whoever was killed in these tests still lives.
        monkeypatch.setattr(memory_module, "is_gone", lambda owner: True)
        # Of predictions, nothing depends where measurements are made up.
        monkeypatch.setattr("autotune.stages.survey.FORECAST_REQUESTS", 20)
        monkeypatch.setattr("autotune.together.joints.KEPT", 3)
        monkeypatch.setattr("autotune.together.joints.OWN_POINTS", 8)

    def search(
        self,
        dies_at: int | None = None,
        interrupted: bool = False,
        fresh: bool = False,
        **given: Any,
    ) -> TogetherFile:
        """Search in a new world, which `world` then is."""
        self.world, self.said = MortalWorld(dies_at, interrupted), []
        self._patch.setattr(make, "Benches", lambda models, follows: self.world)
        usual: dict[str, Any] = {
            "load_rps": 60.0,
            "slo_ms": 40.0,
            "budget_s": 30.0,
            "models": self.models,
            "keeping": Keeping(store=self.store, fresh=fresh, allow_shared=True),
        }
        return make.search_together(asked(**(usual | given)), self._observe)

    def search_until_killed(self, dies_at: int, **given: Any) -> None:
        """Likewise; it must come as far as this."""
        with pytest.raises(Killed):
            self.search(dies_at, **given)

    def _observe(self, event: Event) -> None:
        if isinstance(event, Said):
            self.said.append(event.text)


def joint_without_times(found: TogetherFile) -> TogetherFile:
    """What was found, without when."""
    return structs.replace(
        found,
        started_at="",
        seconds=0.0,
        trials=[structs.replace(one, seconds=0.0) for one in found.trials],
        members={name: without_times(one) for name, one in found.members.items()},
    )
