"""What runs on a node: it says what it is, or searches, and tells what it keeps as it keeps it."""

import os
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import msgspec
from msgspec import structs

from autotune.config_file import TunedFile
from autotune.errors import AutotuneError
from autotune.fleet.moved import History, moved
from autotune.fleet.nodes import Facts
from autotune.fleet.parcel import Parcel, unpack
from autotune.lesson import Lesson
from autotune.probes.machine import this_machine
from autotune.probes.owner import place
from autotune.probes.scratch import scratch, sweep
from autotune.stages.events import Doing, Event, Looked, Observer, Said, Stored
from autotune.stages.memory import as_lesson, keep_lessons
from autotune.stages.premises import asked_of, versions_of
from autotune.stages.question import Keeping, Question
from autotune.store.database import RecordRow, SearchRow, Store
from autotune.trial.wire import Opening

Searches = Callable[[Question, Observer], TunedFile]
"""As `autotune.tune.search`."""


class Job(NamedTuple):
    """A search for a node to make."""

    parcel: Parcel
    history: History | None
    """What an earlier run of it measured, files named as in the parcel; None: nothing."""
    lessons: dict[str, Lesson]
    """What is known of other searches when this one begins, by which it is."""
    allow_shared: bool
    """Measure while another autotune does on this machine."""
    search: Searches


class Kept(NamedTuple):
    """What was kept since the last time."""

    row: SearchRow
    """Files named as in the parcel."""
    records: list[RecordRow]
    lesson: Lesson | None = None
    """What the search has to teach by now; None: nothing new."""


class Found(NamedTuple):
    """The search came to its end."""

    tuned: TunedFile


class Refused(NamedTuple):
    """The search cannot be made here."""

    error: AutotuneError


class Broken(NamedTuple):
    """A fault of autotune itself."""

    trace: str


Message = Kept | Found | Refused | Broken | Event
Hear = Callable[[], Mapping[str, Lesson]]
"""Returns what other searches have taught since it was last called, by which they are.

Raises:
    ConnectionError: it will return nothing any more.
"""


def facts(named_onnx: bool) -> bytes:
    """Return as JSON what this node says of itself (`Facts`): any version of autotune reads that.

    Args:
        named_onnx: whether the model's name says that it is ONNX Runtime's.
    """
    return msgspec.json.encode(Facts(machine=this_machine(), versions=versions_here(named_onnx)))


def versions_here(named_onnx: bool) -> dict[str, str]:
    """Return the versions of all that takes part, by package."""
    found = versions_of(named_onnx)
    with suppress(PackageNotFoundError):
        found["ray"] = version("ray")
    return found


def run(job: Job, hear: Hear = dict) -> Iterator[Message]:
    """Search, and yield what is kept and what happens, until the answer, or why there is none.

    Args:
        job: what is searched for.
        hear: is asked between measurements.
    """
    # Ray sets it for workers; what is measured here is the runtime's own choice.
    os.environ.pop("OMP_NUM_THREADS", None)
    messages: SimpleQueue[Message] = SimpleQueue()
    thread = threading.Thread(target=_work, args=(job, hear, messages.put), daemon=True)
    thread.start()
    while True:
        message = messages.get()
        yield message
        if isinstance(message, Found | Refused | Broken):
            thread.join()
            return


def _work(job: Job, hear: Hear, tell: Callable[[Message], None]) -> None:
    ended: Message
    try:
        sweep()
        with scratch() as folder:
            try:
                ended = Found(_searched(job, Path(folder), hear, tell))
            except AutotuneError as error:
                ended = Refused(type(error)(str(error).replace(f"{folder}/", "")))
    except BaseException:
        ended = Broken(traceback.format_exc())
    tell(ended)


def _searched(job: Job, folder: Path, hear: Hear, tell: Callable[[Message], None]) -> TunedFile:
    question = unpack(job.parcel, folder)
    store = folder / "store.sqlite"
    keeping = Keeping(store=store, allow_shared=job.allow_shared)
    question = structs.replace(question, keeping=keeping)
    model = os.path.dirname(question.model.path)
    with Store(store) as opened:
        last = _fill(opened, job, model)
        shipping = _Shipping(opened, question, last, tell)
        listening = _Listening(opened, hear, tell)

        def observe(event: Event) -> None:
            # Nothing is sent or fetched while a window runs: that would be work beside it.
            if isinstance(event, Stored):
                shipping.ship()
                listening.fetch()
            elif not isinstance(event, Looked | Doing | Opening):
                tell(event)

        try:
            tuned = job.search(question, observe)
        finally:
            shipping.ship()
    return _as_named(tuned, folder, job.parcel)


def _fill(store: Store, job: Job, folder: str) -> int:
    """Put into a new store what is known; return the number of its last record."""
    keep_lessons(store, job.lessons)
    if job.history is None:
        return 0
    row, records = job.history
    gone = f"{place()}-0-gone"  # nobody who could still measure for it
    number = store.begin(moved(row, "model", folder)._replace(owner=gone))
    store.keep(number, records)
    known = store.records(number)
    return known[-1][0] if known else 0


class _Shipping:
    """Tells what a store has kept since the last time."""

    def __init__(
        self, store: Store, question: Question, last: int, tell: Callable[[Message], None]
    ) -> None:
        self._store, self._last, self._tell = store, last, tell
        self._asked, self._folder = asked_of(question), os.path.dirname(question.model.path)
        self._row: SearchRow | None = None
        self._taught = 0

    def ship(self) -> None:
        found = self._store.searches(self._asked)
        if not found:
            return
        number, row = found[0]
        new = self._store.records(number, self._last)
        lesson = self._lesson(str(number))
        if not new and row == self._row and lesson is None:
            return
        self._row, self._last = row, new[-1][0] if new else self._last
        moved_row = moved(row, self._folder, "model")
        self._tell(Kept(moved_row, [record for _, record in new], lesson))

    def _lesson(self, sender: str) -> Lesson | None:
        taught = self._store.lessons(self._taught)
        self._taught = taught[-1][0] if taught else self._taught
        return next((as_lesson(text) for _, who, text in taught if who == sender), None)


class _Listening:
    """Puts into a store what other searches teach, where the one that it is of hears it."""

    def __init__(self, store: Store, hear: Hear, tell: Callable[[Message], None]) -> None:
        self._store, self._hear, self._tell = store, hear, tell

    def fetch(self) -> None:
        try:
            keep_lessons(self._store, self._hear())
        except ConnectionError as error:
            self._hear, text = dict, "nothing more is learnt from other machine types"
            self._tell(Said(text=f"{text}: {error}"))


def _as_named(tuned: TunedFile, folder: Path, parcel: Parcel) -> TunedFile:
    """Return the answer without the places where files lay for the search alone."""
    source = tuned.model.request_source
    for name in parcel.files:
        source = source.replace(str(folder / name), Path(name).name.partition("-")[2])
    return structs.replace(tuned, model=structs.replace(tuned.model, request_source=source))
