"""Benches that keep what they measure, as `autotune.stages.kept_bench` does for one model."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
from msgspec import structs

from autotune.errors import ConfigFileError
from autotune.outcome import Measured, ServiceTimes
from autotune.records import Failed
from autotune.spec import SessionShape
from autotune.stages.events import Observer
from autotune.stages.kept_bench import KeptBench, Known, Recollection, Spent
from autotune.stages.memory import Memory, Sought, store_of
from autotune.stages.premises import Premises, as_json, premises_of, requests_of, traffic_of
from autotune.together import file
from autotune.together.benches import Benches, Seated
from autotune.together.question import Model, TogetherQuestion
from autotune.together.records import TogetherFile
from autotune.trial import wire
from autotune.trial.measures import Measures

T = TypeVar("T")
COMMAND = "search together"
"""As these searches are called in the store."""


class MeasuresAll(Protocol):
    """What a search asks of whoever measures several models."""

    def now_s(self) -> float:
        """Seconds on a clock that shows all the time that measuring took."""

    def settle(self, name: str, kind: type[T], compute: Callable[[], T]) -> T:
        """Return what depends on the clock, so that a search that goes on decides alike."""

    def one(self, model: int) -> Measures:
        """Return what measures one model, the others at rest."""

    def beside(
        self, models: Sequence[int], shape: SessionShape, request: wire.ClosedLoop, timeout_s: float
    ) -> list[ServiceTimes | Failed]:
        """Sample service times of several models in closed loops at the same time."""

    def measure(self, seats: Sequence[Seated]) -> list[Measured] | Failed:
        """As `Benches.measure`."""


_SEVERAL_TIMES = msgspec.msgpack.Decoder(
    Known[list[ServiceTimes | Failed]], dec_hook=wire.array_of_bytes
)
_WINDOW = msgspec.msgpack.Decoder(Known[list[Measured] | Failed], dec_hook=wire.array_of_bytes)


class KeptBenches:
    """Benches behind others, which it asks only for what is not known. As `MeasuresAll` has it."""

    def __init__(self, benches: Benches, memory: Memory, models: Sequence[Model]) -> None:
        """Keep in `memory` what the benches measure."""
        self._benches = benches
        self._kept = Recollection(memory, lambda: Spent(benches.now_s()))
        self._ones = [
            KeptBench(benches.one(number), memory, f"{number} {model.name}: ")
            for number, model in enumerate(models)
        ]

    def now_s(self) -> float:
        """Return the seconds on the clock of the search, which stands still between its runs."""
        recalled_s = self._kept.recalled.seconds + sum(one.recalled_s for one in self._ones)
        return recalled_s + self._benches.now_s()

    def settle(self, name: str, kind: type[T], compute: Callable[[], T]) -> T:
        """As `Recollection.settle`."""
        return self._kept.settle(name, kind, compute)

    def one(self, model: int) -> KeptBench:
        """Return what measures one model."""
        return self._ones[model]

    def beside(
        self, models: Sequence[int], shape: SessionShape, request: wire.ClosedLoop, timeout_s: float
    ) -> list[ServiceTimes | Failed]:
        """As `Benches.beside`."""

        def take() -> list[ServiceTimes | Failed]:
            self._look_again()
            return self._benches.beside(models, shape, request, timeout_s)

        return self._kept.once("beside", (models, shape, request), _SEVERAL_TIMES, take)

    def measure(self, seats: Sequence[Seated]) -> list[Measured] | Failed:
        """As `Benches.measure`."""

        def take() -> list[Measured] | Failed:
            self._look_again()
            return self._benches.measure(seats)

        asked = [
            (one.trial, None if one.cpus is None else sorted(one.cpus), one.follows, one.feeds)
            for one in seats
        ]
        return self._kept.once("measure together", asked, _WINDOW, take)

    def _look_again(self) -> None:
        for one in self._ones:
            one.look_again()


@contextmanager
def remembering(
    question: TogetherQuestion, observe: Observer
) -> Iterator[tuple[Memory, TogetherFile | None]]:
    """Open the store for one search; yield also what it found before, None: nothing yet.

    Raises:
        UsageError: the store was named and cannot be used, or is a newer autotune's.
    """
    with closing(Memory(store_of(question.keeping, observe), observe)) as memory:
        sought = Sought(
            asked=asked_of(question),
            path=os.pathsep.join(os.path.abspath(one.spec.path) for one in question.models),
            premises=premises_of_all(question.models),
            fresh=question.keeping.fresh,
            read=_readable,
            command=COMMAND,
        )
        yield memory, memory.find(sought)


def asked_of(question: TogetherQuestion) -> str:
    """Return as JSON what a search is asked; where the models lie is not in it."""
    services = [
        {
            "name": one.name,
            "steps": [[step.name, step.per_request, requests_of(step.model)] for step in one.steps],
            "slo": one.slo,
            "traffic": traffic_of(one.traffic),
        }
        for one in question.services
    ]
    return as_json({"services": services, "budget_s": question.budget_s, "seed": question.seed})


def premises_of_all(models: Sequence[Model]) -> Premises:
    """Return what measurements of several models hold for; the hash is that of all hashes."""
    every = [premises_of(one.spec, on_gpu=False) for one in models]
    hashes = json.dumps([one.model_sha256 for one in every]).encode()
    return structs.replace(
        every[0],
        model_sha256=hashlib.sha256(hashes).hexdigest(),
        versions={name: text for one in every for name, text in one.versions.items()},
    )


def _readable(text: str) -> TogetherFile | None:
    with suppress(ConfigFileError):
        return file.parse(text.encode(), Path("store"))
    return None
