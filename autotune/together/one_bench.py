"""The bench of one of several models, asked from any thread."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from autotune.outcome import ModelInfo, ServiceTimes, TrialOutcome
from autotune.records import Failed, Placement
from autotune.spec import ModelSpec, ServingConfig, SessionShape, TrialSpec
from autotune.stats.judge import Decides
from autotune.trial.bench import Bench
from autotune.trial.spawn import Tell
from autotune.trial.wire import ClosedLoop

if TYPE_CHECKING:
    from autotune.together.benches import Benches

T = TypeVar("T")


class OneBench:
    """As `Bench`, but all is done by the thread that its children end with."""

    def __init__(self, benches: "Benches", number: int) -> None:
        """Ask the bench of this model."""
        self._benches, self._number = benches, number

    def _do(self, ask: Callable[[Bench], T]) -> T:
        return self._benches.at_once({self._number: ask})[self._number]

    @property
    def model(self) -> ModelSpec:
        """As `Bench.model`; likewise:"""
        return self._do(lambda bench: bench.model)

    @property
    def opening_s(self) -> float:
        """Seconds until models and sessions stood that were asked for so far."""
        return self._do(lambda bench: bench.opening_s)

    @property
    def compiled_s(self) -> float:
        """Seconds spent on compiling the model."""
        return self._do(lambda bench: bench.compiled_s)

    @property
    def placements(self) -> list[Placement]:
        """Who executes the model's nodes."""
        return self._do(lambda bench: bench.placements)

    @property
    def starting_s(self) -> float:
        """Seconds until something serves, beside those of opening its sessions."""
        return self._do(lambda bench: bench.starting_s)

    def now_s(self) -> float:
        """Return the seconds on the clock of all benches."""
        return self._benches.now_s()

    def settle(self, name: str, kind: type[T], compute: Callable[[], T]) -> T:
        """As `Bench.settle`."""
        return compute()

    def presume(self, search: int) -> None:
        """As `Bench.presume`."""

    def report_to(self, tell: Tell) -> None:
        """As `Bench.report_to`."""
        self._do(lambda bench: bench.report_to(tell))

    def limit_loading(self, seconds: float) -> None:
        """As `Bench.limit_loading`."""
        self._do(lambda bench: bench.limit_loading(seconds))

    def inspect(self, requests_folder: str | None = None) -> ModelInfo:
        """As `Bench.inspect`."""
        return self._do(lambda bench: bench.inspect(requests_folder))

    def limit_memory(self, available_bytes: int | None, footprint_bytes: int) -> None:
        """As `Bench.limit_memory`."""
        self._do(lambda bench: bench.limit_memory(available_bytes, footprint_bytes))

    def is_warm(self, config: ServingConfig) -> bool:
        """As `Bench.is_warm`."""
        return self._do(lambda bench: bench.is_warm(config))

    def service_times(
        self, shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes | Failed:
        """As `Bench.service_times`."""
        return self._do(lambda bench: bench.service_times(shape, request, timeout_s, keep))

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        """As `Bench.measure`."""
        return self._do(lambda bench: bench.measure(trial, judge))

    def idle_cpu_share(self, shape: SessionShape, duration_s: float) -> float | Failed:
        """As `Bench.idle_cpu_share`."""
        return self._do(lambda bench: bench.idle_cpu_share(shape, duration_s))
