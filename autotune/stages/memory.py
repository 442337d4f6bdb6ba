"""One search in the store: what an earlier run of it measured, and all that this one does.

The same question on the same model, machine and versions goes on where it stopped, or is answered
at once if it was answered before. What is measured is kept before anybody is told of it.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec
from msgspec import structs

from autotune import config_file
from autotune.config_file import TunedFile
from autotune.errors import ConfigFileError, StoreError, UsageError
from autotune.lesson import Lesson
from autotune.probes.owner import is_gone, this_process
from autotune.spec import ModelSpec
from autotune.stages.events import Observer, Said, Stored
from autotune.stages.premises import Premises, asked_of, differences, premises_of
from autotune.stages.question import Keeping, Question
from autotune.store.database import RecordRow, SearchRow, Store, default_path

T = TypeVar("T")


class Sought(NamedTuple, Generic[T]):
    """A question, as the store knows it."""

    asked: str
    """JSON."""
    path: str
    """Of the model."""
    premises: Premises
    """As they are now."""
    fresh: bool
    """Whether to start over."""
    read: Callable[[str], T | None]
    """Reads an answer; None: it is of a version that is not known any more."""
    command: str = "search"


class Version(NamedTuple):
    """A search that was asked the same of another model, on this machine."""

    search: int
    tuned: TunedFile


class Memory:
    """Keeps what is measured for one search, and tells what was. Without a store it forgets all.

    Where the store fails, what could not be kept waits, is tried again with all that follows, and
    a warning is given once.
    """

    def __init__(self, store: Store | None, observe: Observer) -> None:
        """Know nothing yet."""
        self.answer: TunedFile | None = None
        """What the same search found before; None: it did not come to its end."""
        self.started_at = _now()
        """When the search began, be it in an earlier run: UTC, ISO 8601."""
        self._store, self._observe = store, observe
        self._premises: Premises | None = None
        self._search, self._row = 0, SearchRow("", "", "", "", "")
        self._own: list[RecordRow] = []
        self._taught: Lesson | None = None
        self._heard = 0
        self._failed = False

    @property
    def model_sha256(self) -> str:
        """Of the model's file, as it was looked up; read once, for it may be large."""
        return "" if self._premises is None else self._premises.model_sha256

    def look_up(self, question: Question) -> None:
        """As `find`, of one model; `answer` is then what was found."""
        self.answer = self.find(
            Sought(
                asked=asked_of(question),
                path=os.path.abspath(question.model.path),
                premises=premises_of(question.model, question.on_gpu),
                fresh=question.keeping.fresh,
                read=lambda text: next(iter(readable([text])), None),
            )
        )

    def find(self, sought: Sought[T]) -> T | None:
        """Find out what is known of a question, say so, and keep from now on what is measured.

        Return the answer; None: it is to be measured, what is not known yet.
        """
        asked, command, now, path = sought.asked, sought.command, sought.premises, sought.path
        self._premises = now
        known = [] if sought.fresh else self._known(asked, command, now, path)
        for search, row, changed in known:
            if changed or (row.answer is None and not is_gone(row.owner)):
                continue
            if row.answer is not None and (found := sought.read(row.answer)) is not None:
                text = f"answered from the store: measured on {row.started_at}, and nothing has "
                self._say(f"{text}changed that matters; --fresh measures anew")
                return found
            self._search, self._row = search, row._replace(owner=this_process(), answer=None)
            self._premises = msgspec.json.decode(row.premises, type=Premises)  # with all files
            self.started_at = row.started_at
            self._write(lambda store: store.update(self._search, self._row))
            text = f"going on with the search of {row.started_at}, with all that it measured"
            self._say(f"{text}; --fresh starts over")
            return None
        if known and known[0][2]:
            _, row, changed = known[0]
            self._say(f"measuring anew: since {row.started_at}, {'; '.join(changed)}")
        self.begin(command, asked, path, now)
        return None

    def lessons(self) -> dict[str, Lesson]:
        """Return what all other searches have to teach, those first that came to their end.

        By sender.
        """
        answered = self._read(answered_lessons) or {}
        return answered | self.hear() | answered

    def hear(self) -> dict[str, Lesson]:
        """Return what others have taught since the last time, by sender."""
        rows = self._read(lambda store: store.lessons(self._heard)) or []
        if rows:
            self._heard = rows[-1][0]
        return {
            sender: lesson
            for _, sender, text in rows
            if sender != str(self._search) and (lesson := as_lesson(text)) is not None
        }

    def teach(self, lesson: Lesson) -> None:
        """Let others learn what this search has to teach by now."""
        self._taught = lesson
        self._write(lambda store: keep_lessons(store, {str(self._search): lesson}))
        self._observe(Stored())

    def versions(self) -> list["Version"]:
        """Return what was found when the same was asked here of other models, the latest first."""
        if self._premises is None:
            return []
        rows = self._read(lambda store: store.searches(self._row.asked)) or []
        return _of_other_models(rows, self._premises)

    def search_of(self, question: Question) -> int | None:
        """Return the search that answered a question, here and as things are; None: none did."""
        if self._premises is None:
            return None
        known = self._known(asked_of(question), "search", self._premises, self._row.model)
        answered = (n for n, row, changed in known if row.answer is not None and not changed)
        return next(answered, None)

    def begin(self, command: str, asked: str, path: str, now: Premises) -> None:
        """Keep from now on what is measured, for something that was not asked before."""
        self._premises, premises = now, msgspec.json.encode(now).decode()
        self._row = SearchRow(
            self.started_at, this_process(), asked, path, premises, command=command
        )
        self._write(self._begin)

    def _begin(self, store: Store) -> None:
        self._search = store.begin(self._row)

    def recall(self, digest: bytes, turn: int, search: int | None = None) -> bytes | None:
        """Return what came of a question when it was asked in this turn before; None: it was not.

        Args:
            digest: of the question.
            turn: how often it was asked before.
            search: in which; None: this one.
        """
        asked_in = self._search if search is None else search
        if not asked_in:
            return None
        return self._read(lambda store: store.outcome(asked_in, digest, turn))

    def keep(self, row: RecordRow) -> None:
        """Keep what was measured."""
        self._own.append(row)
        self._write(lambda store: store.keep(self._search, self._own[-1:]))
        self._observe(Stored())

    def keep_files(self, files: Sequence[str]) -> None:
        """Keep which other files the model consists of, as they are now."""
        if self._store is not None and self._premises is not None and files:
            self._premises = self._premises.with_files({*self._premises.files, *files})
            premises = msgspec.json.encode(self._premises).decode()
            self._row = self._row._replace(premises=premises)
            self._write(lambda store: store.update(self._search, self._row))

    def keep_answer(self, tuned: TunedFile) -> None:
        """Keep what was found; an interrupted search goes on another time."""
        if tuned.status != "interrupted":
            self.keep_text(config_file.to_json(tuned))
            if tuned.lesson is not None:
                self.teach(tuned.lesson)

    def keep_text(self, answer: str) -> None:
        """Likewise, of whatever was searched for."""
        self._row = self._row._replace(answer=answer)
        self._write(lambda store: store.update(self._search, self._row))

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()

    def _known(
        self, asked: str, command: str, now: Premises, path: str
    ) -> list[tuple[int, SearchRow, list[str]]]:
        """Return the searches for the same and what changed since each, the latest first."""
        rows = self._read(lambda store: store.searches(asked, command)) or []
        return of_this_model(rows, now, path)

    def _read(self, ask: Callable[[Store], T]) -> T | None:
        """Return what the store knows; one that cannot be read any more knows nothing: None."""
        if self._store is None:
            return None
        try:
            return ask(self._store)
        except StoreError as error:
            self._warn(error)
            return None

    def _write(self, write: Callable[[Store], None]) -> None:
        if self._store is None:
            return
        try:
            if self._failed or not self._store.is_in_place():
                self._start_over()
            else:
                write(self._store)
        except StoreError:
            try:
                self._start_over()
            except (StoreError, UsageError) as error:
                self._warn(error)

    def _start_over(self) -> None:
        """Open the store again, and keep all that this run measured and its row."""
        assert self._store is not None
        self._store.close()
        self._store = open_store(self._store.path, self._observe)
        if not self._store.has(self._search, self._row):
            self._search = self._store.begin(self._row)
        self._store.keep(self._search, self._own)
        self._store.update(self._search, self._row)
        if self._taught is not None:
            keep_lessons(self._store, {str(self._search): self._taught})
        if self._failed:
            self._failed = False
            self._say("the store can be written again; nothing that was measured is missing in it")

    def _warn(self, error: Exception) -> None:
        if not self._failed:
            self._failed = True
            text = f"measurements cannot be kept for the time being: {error}"
            self._observe(Said(text=text, warning=True))

    def _say(self, text: str) -> None:
        self._observe(Said(text=text))


@contextmanager
def remembering(question: Question, observe: Observer) -> Iterator[Memory]:
    """Open the store for one search.

    Raises:
        UsageError: it was named and cannot be used, or is a newer autotune's.
    """
    with closing(Memory(store_of(question.keeping, observe), observe)) as memory:
        memory.look_up(question)
        yield memory


@contextmanager
def recording(
    command: str, asked: str, model: ModelSpec, keeping: Keeping, observe: Observer
) -> Iterator[Memory]:
    """Open the store for a measurement or a check, which are always made anew.

    Raises:
        UsageError: it was named and cannot be used, or is a newer autotune's.
    """
    with closing(Memory(store_of(keeping, observe), observe)) as memory:
        memory.begin(command, asked, os.path.abspath(model.path), premises_of(model, True))
        yield memory


def open_store(path: Path, observe: Observer) -> Store:
    """Open a store, and say so where a broken one was set aside.

    Raises:
        UsageError: a newer autotune made it, or it is something else.
        StoreError: it cannot be opened.
    """
    store = Store(path)
    if store.set_aside is not None:
        text = f"{path} was broken: it is set aside as {store.set_aside.name}, and a new one begun"
        observe(Said(text=text, warning=True))
    return store


def store_of(keeping: Keeping, observe: Observer) -> Store | None:
    """Open the store that is named, or that of this user; None: that one cannot be used.

    Raises:
        UsageError: it was named and cannot be used, or is a newer autotune's.
    """
    path = keeping.store or default_path()
    try:
        return open_store(path, observe)
    except StoreError as error:
        if keeping.store is not None:
            raise UsageError(f"--store {error}") from None
        text = f"measurements are not kept, so a search that dies starts over: {error}: name "
        observe(Said(text=f"{text}another place with --store", warning=True))
        return None


def of_this_model(
    rows: list[tuple[int, SearchRow]], now: Premises, path: str
) -> list[tuple[int, SearchRow, list[str]]]:
    """Return the searches of this model, wherever it lay, and what changed since each."""
    return [
        (search, row, differences(before, now.with_files(before.files)))
        for search, row, before in _with_premises(rows)
        if path == row.model or before.model_sha256 == now.model_sha256
    ]


def _of_other_models(rows: list[tuple[int, SearchRow]], now: Premises) -> list[Version]:
    found = []
    for search, row, before in _with_premises(rows):
        alike = structs.replace(before, model_sha256=now.model_sha256, files=now.files)
        if before.model_sha256 != now.model_sha256 and not differences(alike, now):
            found += [Version(search, tuned) for tuned in readable([row.answer or ""])]
    return found


def _with_premises(
    rows: list[tuple[int, SearchRow]],
) -> Iterator[tuple[int, SearchRow, Premises]]:
    """Yield searches with what they hold for; none of an autotune that asked for others."""
    for search, row in rows:
        with suppress(msgspec.ValidationError):
            yield search, row, msgspec.json.decode(row.premises, type=Premises)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def readable(texts: Iterable[str]) -> list[TunedFile]:
    """Return the tuned files of a store, but for those of a version that is not known any more."""
    found = []
    for text in texts:
        with suppress(ConfigFileError):
            found.append(config_file.parse(text.encode(), Path("store")))
    return found


def answered_lessons(store: Store) -> dict[str, Lesson]:
    """Return what the searches of a store teach that came to their end, the latest first.

    By their numbers.
    """
    found = {}
    for number, row in store.answered():
        for tuned in readable([row.answer or ""]):
            if tuned.lesson is not None:
                found[str(number)] = tuned.lesson
    return found


def keep_lessons(store: Store, lessons: Mapping[str, Lesson]) -> None:
    """Keep what searches teach by now, by who they are, in place of what they taught before."""
    for sender, lesson in lessons.items():
        store.teach(sender, msgspec.json.encode(lesson).decode())


def as_lesson(text: str) -> Lesson | None:
    """Return a lesson of a store; None: it is of a version that is not known any more."""
    with suppress(msgspec.MsgspecError):
        return msgspec.json.decode(text, type=Lesson)
    return None
