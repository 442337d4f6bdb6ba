"""A bench that keeps what it measures, and gives again what was measured before.

A search is a function of what its bench answers and of the clock. Given both again, it takes the
same steps, so that one that was killed goes on where it stopped: what is asked the n-th time gets
the n-th answer, and the clock goes on by what that took. Whatever was never asked is measured.
"""

import hashlib
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import msgspec

from autotune.outcome import ModelInfo, ServiceTimes, TrialOutcome
from autotune.records import Failed, Placement
from autotune.spec import ModelSpec, Record, ServingConfig, SessionShape, TrialSpec
from autotune.stages.memory import Memory
from autotune.stats.judge import Decides
from autotune.store.database import RecordRow
from autotune.trial import wire
from autotune.trial.measures import Measures
from autotune.trial.spawn import Tell

T = TypeVar("T")


class Known(Record, Generic[T], frozen=True, eq=False):
    """What came of a question, and what that took."""

    outcome: T
    seconds: float
    opening_s: float
    compiled_s: float
    placements: list[Placement]


_INFO = msgspec.msgpack.Decoder(Known[ModelInfo])
_TIMES = msgspec.msgpack.Decoder(Known[ServiceTimes | Failed], dec_hook=wire.array_of_bytes)
_OUTCOME = msgspec.msgpack.Decoder(Known[TrialOutcome], dec_hook=wire.array_of_bytes)
_SHARE = msgspec.msgpack.Decoder(Known[float | Failed])


class Spent(NamedTuple):
    """What was spent so far by whoever measures."""

    seconds: float
    """On a clock that shows all the time that measuring took."""
    opening_s: float = 0.0
    compiled_s: float = 0.0
    placements: Sequence[Placement] = ()


class Recollection:
    """Answers what was asked before, by its content and its turn; keeps what is measured anew."""

    def __init__(self, memory: Memory, spent: Callable[[], Spent], of: str = "") -> None:
        """Keep in `memory`; `of` tells apart what is asked of several that measure."""
        self._memory, self._spent, self._of = memory, spent, of
        self._turns: Counter[bytes] = Counter()
        self.recalled = Known(
            outcome=None, seconds=0.0, opening_s=0.0, compiled_s=0.0, placements=[]
        )
        """What earlier runs spent on all that was answered."""
        self._scope = ""
        """The decision that is being made; empty: none is."""
        self.presumed: int | None = None
        """Another search, whose service times answer what nobody asked yet."""

    def settle(self, name: str, kind: type[T], compute: Callable[[], T]) -> T:
        """Decide as it was decided before, or now, once and for all."""

        def within() -> T:
            # What is asked on the way is counted apart, for it is not asked again with the rest.
            self._scope = name
            try:
                return compute()
            finally:
                self._scope = ""

        return self.once("decision", name, _decoder_of(kind), within)

    def once(
        self,
        kind: str,
        asked: object,
        decoder: "msgspec.msgpack.Decoder[Known[T]]",
        take: Callable[[], T],
    ) -> T:
        """Return what came of a question when it was asked in this turn; else ask, and keep it."""
        question = wire.encode_any((f"{self._of}{self._scope}", kind, asked))
        digest = hashlib.sha256(question).digest()
        turn, self._turns[digest] = self._turns[digest], self._turns[digest] + 1
        before = self._memory.recall(digest, turn)
        if before is not None and (known := _read(decoder, before)) is not None:
            self._credit(known)
            return known.outcome
        if self.presumed is not None and kind == "service_times":
            before = self._memory.recall(digest, turn, self.presumed)
            if before is not None and (known := _read(decoder, before)) is not None:
                return known.outcome  # as if at once, and nothing that this search measured
        start, recalled = self._spent(), self.recalled
        outcome = take()
        end, within = self._spent(), self.recalled
        known = Known(
            outcome=outcome,
            seconds=end.seconds - start.seconds + within.seconds - recalled.seconds,
            opening_s=end.opening_s - start.opening_s + within.opening_s - recalled.opening_s,
            compiled_s=end.compiled_s - start.compiled_s + within.compiled_s - recalled.compiled_s,
            placements=list(end.placements),
        )
        self._memory.keep(RecordRow(kind, digest, turn, question, _written(known)))
        return outcome

    def _credit(self, known: Known[T]) -> None:
        before = self.recalled
        self.recalled = Known(
            outcome=None,
            seconds=before.seconds + known.seconds,
            opening_s=before.opening_s + known.opening_s,
            compiled_s=before.compiled_s + known.compiled_s,
            placements=known.placements or before.placements,
        )


class KeptBench:
    """A bench in front of another, which it asks only for what is not known."""

    def __init__(self, bench: Measures, memory: Memory, of: str = "") -> None:
        """Keep in `memory` what `bench` measures; `of` tells several benches apart."""
        self._bench, self._memory = bench, memory
        self._kept = Recollection(memory, self._spent, of)
        self._looked = False

    def _spent(self) -> Spent:
        bench = self._bench
        return Spent(bench.now_s(), bench.opening_s, bench.compiled_s, bench.placements)

    @property
    def recalled_s(self) -> float:
        """Seconds that earlier runs took for what was answered."""
        return self._kept.recalled.seconds

    @property
    def model(self) -> ModelSpec:
        """What is measured."""
        return self._bench.model

    @property
    def opening_s(self) -> float:
        """Seconds until models and sessions stood, those of earlier runs included; likewise:"""
        return self._kept.recalled.opening_s + self._bench.opening_s

    @property
    def compiled_s(self) -> float:
        """Seconds spent on compiling the model."""
        return self._kept.recalled.compiled_s + self._bench.compiled_s

    @property
    def placements(self) -> list[Placement]:
        """Who executes the model's nodes."""
        both = [*self._kept.recalled.placements, *self._bench.placements]
        return list({one.provider: one for one in both}.values())

    def now_s(self) -> float:
        """Return the seconds on the clock of the search, which stands still between its runs."""
        return self._kept.recalled.seconds + self._bench.now_s()

    def presume(self, search: int) -> None:
        """Answer what nobody asked yet of service times as they were measured in another search."""
        self._kept.presumed = search

    def settle(self, name: str, kind: type[T], compute: Callable[[], T]) -> T:
        """As `Recollection.settle`."""
        return self._kept.settle(name, kind, compute)

    def report_to(self, tell: Tell) -> None:
        """As `Bench.report_to`."""
        self._bench.report_to(tell)

    def limit_loading(self, seconds: float) -> None:
        """As `Bench.limit_loading`."""
        self._bench.limit_loading(seconds)

    def inspect(self, requests_folder: str | None = None) -> ModelInfo:
        """As `Bench.inspect`; what leaves requests behind is never a memory."""
        if requests_folder is not None:
            return self._bench.inspect(requests_folder)
        info = self._kept.once("inspect", None, _INFO, self._look)
        self._memory.keep_files(info.files)
        return info

    def limit_memory(self, available_bytes: int | None, footprint_bytes: int) -> None:
        """As `Bench.limit_memory`."""
        self._bench.limit_memory(available_bytes, footprint_bytes)

    @property
    def starting_s(self) -> float:
        """Seconds until something serves, beside those of opening its sessions."""
        return self._bench.starting_s

    def is_warm(self, config: ServingConfig) -> bool:
        """As `Bench.is_warm`."""
        return self._bench.is_warm(config)

    def service_times(
        self, shape: SessionShape, request: wire.ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes | Failed:
        """As `Bench.service_times`."""

        def take() -> ServiceTimes | Failed:
            self.look_again()
            return self._bench.service_times(shape, request, timeout_s, keep)

        return self._kept.once("service_times", (shape, request), _TIMES, take)

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        """As `Bench.measure`."""

        def take() -> TrialOutcome:
            self.look_again()
            return self._bench.measure(trial, judge)

        return self._kept.once("measure", trial, _OUTCOME, take)

    def idle_cpu_share(self, shape: SessionShape, duration_s: float) -> float | Failed:
        """As `Bench.idle_cpu_share`."""

        def take() -> float | Failed:
            self.look_again()
            return self._bench.idle_cpu_share(shape, duration_s)

        return self._kept.once("idle", (shape, duration_s), _SHARE, take)

    def _look(self) -> ModelInfo:
        self._looked = True
        return self._bench.inspect()

    def look_again(self) -> None:
        """Have the bench load the model, where only an earlier run did: outputs are checked."""
        if not self._looked:
            self._look()


def _written(known: Known[T]) -> bytes:
    # Closed loops of a quick model run to megabytes, two thirds of which say nothing.
    return zlib.compress(wire.encode_any(known), level=1)


def _read(decoder: "msgspec.msgpack.Decoder[Known[T]]", outcome: bytes) -> Known[T] | None:
    """None: it cannot be read, so it is measured again."""
    try:
        return decoder.decode(zlib.decompress(outcome))
    except (zlib.error, msgspec.MsgspecError):
        return None


def _decoder_of(kind: type[T]) -> "msgspec.msgpack.Decoder[Known[T]]":
    return msgspec.msgpack.Decoder(Known[kind])  # type: ignore[valid-type]  # known at run time
