"""Two synthetic models on two cores, which slow each other down where they share them."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar, cast

from synthetic import CORES, SyntheticBench

from autotune.arrivals import Traffic
from autotune.outcome import Measured, ServiceTimes, TrialOutcome
from autotune.records import Failed
from autotune.spec import ModelSpec, ServingConfig, SessionShape, Slo
from autotune.together.benches import Benches, Seated
from autotune.together.question import Service, Step, TogetherQuestion
from autotune.trial.bench import Bench
from autotune.trial.wire import ClosedLoop

T = TypeVar("T")
MODELS = (Path(__file__), Path(__file__).with_name("synthetic.py"))
APART, CROWDED = 1.1, 2.0
"""By how much executions take longer beside another's."""


class SlowedBench(SyntheticBench):
    """A synthetic bench whose executions take `slower` times as long."""

    def __init__(self, fails: Callable[[ServingConfig], bool]) -> None:
        super().__init__(fails)
        self.slower = 1.0

    def service_s(self, threads: int, busy: int) -> float:
        return self.slower * super().service_s(threads, busy)


class JointWorld(Benches):
    """Benches without processes."""

    def __init__(
        self, count: int = 2, fails: Callable[[ServingConfig], bool] = lambda config: False
    ) -> None:
        self.benches = [SlowedBench(fails) for _ in range(count)]
        self.seated: list[Sequence[Seated]] = []
        self.clock_s = 0.0
        self._stack = ExitStack()

    def now_s(self) -> float:
        return self.clock_s

    def at_once(self, calls: dict[int, Callable[[Bench], T]]) -> dict[int, T]:
        found = {}
        for model, do in calls.items():
            bench = self.benches[model]

            def beside(bench: SlowedBench = bench, do: Callable[[Bench], T] = do) -> T:
                plain = SyntheticBench.service_times

                def times(
                    shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
                ) -> ServiceTimes | Failed:
                    bench.slower = CROWDED if shape.replicas == CORES else APART
                    return plain(bench, shape, request, timeout_s, keep)

                if len(calls) > 1:
                    bench.service_times = times  # type: ignore[method-assign]
                try:
                    return do(bench)
                finally:
                    bench.__dict__.pop("service_times", None)
                    bench.slower = 1.0

            found[model] = beside()
        return found

    def measure(self, seats: Sequence[Seated]) -> list[Measured] | Failed:
        self.seated.append(seats)
        self.clock_s += max(one.trial.arrivals_s[-1] for one in seats)
        outcomes: list[TrialOutcome] = []
        for number, (bench, seat) in enumerate(zip(self.benches, seats, strict=True)):
            others = [one for place, one in enumerate(seats) if place != number]
            bench.slower = slower_beside(seat, others)
            outcomes.append(bench.measure(seat.trial))
            bench.slower = 1.0
        failed = [one for one in outcomes if isinstance(one, Failed)]
        return failed[0] if failed else cast("list[Measured]", outcomes)


def slower_beside(seat: Seated, others: list[Seated]) -> float:
    """What is true of this world: spinning threads of others hurt most."""
    if seat.cpus is not None:
        return APART
    slower = 1.0
    for other in others:
        config = other.trial.config
        threads = config.replicas * (config.intra_op_threads or CORES)
        busy = min(1.0, len(other.trial.arrivals_s) / max(1e-9, other.trial.arrivals_s[-1]) * 0.01)
        spin = 2.0 if config.spinning and config.intra_op_threads != 1 else 1.0
        slower += busy * spin * min(threads, CORES) / CORES * CROWDED
    return slower


def asked(
    load_rps: float = 30.0,
    slo_ms: float = 50.0,
    budget_s: float = 60.0,
    models: tuple[Path, ...] = MODELS,
    **more: Any,
) -> TogetherQuestion:
    services = tuple(
        Service(
            name=name,
            steps=(Step(name=name, model=ModelSpec(path=str(path), shapes={name: [1]})),),
            slo=Slo(latency_ms=slo_ms),
            traffic=Traffic(load_rps=load_rps),
        )
        for name, path in zip(("a", "b"), models, strict=True)
    )
    given = {"services": services, "budget_s": budget_s, "seed": 0, "output": None, **more}
    return TogetherQuestion(**given)
