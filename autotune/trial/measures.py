"""What a search asks of whoever measures for it."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from autotune.outcome import ModelInfo, ServiceTimes, TrialOutcome
from autotune.records import Failed, Placement
from autotune.spec import ModelSpec, ServingConfig, SessionShape, TrialSpec
from autotune.stats.judge import Decides
from autotune.trial import wire
from autotune.trial.spawn import Tell

T = TypeVar("T")


class Measures(Protocol):
    """A bench: children that measure (`Bench`), servers that do (`ServerBench`), or one that keeps
    what another did (`KeptBench`)."""

    @property
    def model(self) -> ModelSpec:
        """What is measured."""

    @property
    def opening_s(self) -> float:
        """Seconds until models and sessions stood that were asked for so far."""

    @property
    def compiled_s(self) -> float:
        """Seconds spent on compiling the model."""

    @property
    def placements(self) -> list[Placement]:
        """Who executes the model's nodes."""

    def now_s(self) -> float:
        """Seconds on a clock that shows all the time that measuring took."""

    def settle(self, name: str, kind: type[T], compute: Callable[[], T]) -> T:
        """Return what depends on the clock, so that a search that goes on decides alike."""

    def presume(self, search: int) -> None:
        """Answer what nobody asked yet of service times as they were measured in another search."""

    def report_to(self, tell: Tell) -> None:
        """As `Bench.report_to`."""

    def limit_loading(self, seconds: float) -> None:
        """As `Bench.limit_loading`."""

    def inspect(self, requests_folder: str | None = None) -> ModelInfo:
        """As `Bench.inspect`."""

    def limit_memory(self, available_bytes: int | None, footprint_bytes: int) -> None:
        """As `Bench.limit_memory`."""

    @property
    def starting_s(self) -> float:
        """Seconds until something serves, beside those of opening its sessions."""

    def is_warm(self, config: ServingConfig) -> bool:
        """As `Bench.is_warm`."""

    def service_times(
        self, shape: SessionShape, request: wire.ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes | Failed:
        """As `Bench.service_times`."""

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        """As `Bench.measure`."""

    def idle_cpu_share(self, shape: SessionShape, duration_s: float) -> float | Failed:
        """As `Bench.idle_cpu_share`."""
