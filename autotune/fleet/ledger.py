"""The fleet's part of the user's store: one search a machine type."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from autotune import model_file
from autotune.errors import StoreError, UsageError
from autotune.fleet.moved import History, moved
from autotune.fleet.nodes import Facts
from autotune.fleet.on_node import Kept
from autotune.lesson import Lesson
from autotune.probes.owner import is_gone, this_process
from autotune.stages.events import Observer, Said
from autotune.stages.memory import answered_lessons, keep_lessons, of_this_model, store_of
from autotune.stages.premises import Premises, asked_of
from autotune.stages.question import Question
from autotune.store.database import RecordRow, SearchRow, Store

MOST_LESSONS = 30
"""Earlier searches, the latest, that each node learns from."""

T = TypeVar("T")


class Past(NamedTuple):
    """A search of an earlier run, by its number in the store; files named as in a parcel."""

    number: int
    history: History


class Ledger:
    """Keeps what nodes measure. Where the store fails, a warning is given once, and it is let be.

    Use `close` when done.
    """

    def __init__(self, question: Question, observe: Observer) -> None:
        """Open the store.

        Raises:
            UsageError: it was named and cannot be used, or is a newer autotune's.
        """
        self._store = store_of(question.keeping, observe)
        self._question, self._observe = question, observe
        self._path = os.path.abspath(question.model.path)
        self._sha256 = model_file.sha256(Path(question.model.path))
        self._asked = asked_of(question)

    @property
    def model_sha256(self) -> str:
        """Of the model's file."""
        return self._sha256

    def past(self, facts: Facts, named_type: str | None) -> list[Past]:
        """Return earlier searches for the same that hold on such a machine, the latest first.

        Args:
            facts: what the machine says of itself.
            named_type: its type, where a person named it: such are kept apart, whatever the
                machines say of themselves. None: it is what the machine says.
        """
        if self._question.keeping.fresh:
            return []
        versions = {name: one for name, one in facts.versions.items() if name != "ray"}
        now = Premises(
            model_sha256=self._sha256, files={}, machine=facts.machine, versions=versions
        )

        def look_up(store: Store) -> list[Past]:
            rows = store.searches(_of_type(self._asked, named_type))
            known = of_this_model(rows, now, self._path)
            return [
                Past(number, (self._as_sent(row), [one for _, one in store.records(number)]))
                for number, row, changed in known
                if not changed and (row.answer is not None or _is_free(row.owner))
            ]

        return self._try(look_up) or []

    def lessons(self) -> dict[str, Lesson]:
        """Return what the latest searches teach that came to their end, by `sender_of`."""
        found = list((self._try(answered_lessons) or {}).items())[:MOST_LESSONS]
        return {sender_of(int(number)): one for number, one in found}

    def keep(self, number: int | None, kept: Kept, named_type: str | None) -> int | None:
        """Keep what a node kept; return the number of its search, None where nothing is kept.

        Args:
            number: as it was returned before, for the same search; None: it is a new one.
            kept: the news.
            named_type: as for `past`.
        """
        row = moved(kept.row, "model", os.path.dirname(self._path))
        row = row._replace(owner=this_process(), asked=_of_type(row.asked, named_type))

        def write(store: Store) -> int:
            known = store.begin(row) if number is None else number
            store.update(known, row)
            store.keep(known, kept.records)
            if kept.lesson is not None:
                keep_lessons(store, {str(known): kept.lesson})
            return known

        return self._try(write)

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()

    def _as_sent(self, row: SearchRow) -> SearchRow:
        return moved(row, os.path.dirname(row.model), "model")._replace(asked=self._asked)

    def _try(self, do: Callable[[Store], T]) -> T | None:
        if self._store is None:
            return None
        try:
            return do(self._store)
        except (StoreError, UsageError) as error:
            text = f"measurements cannot be kept from now on: {error}"
            self._observe(Said(text=text, warning=True))
            with suppress(StoreError):
                self._store.close()
            self._store = None
            return None


def _is_free(owner: str) -> bool:
    """Whether nobody searches for it: in this process, an earlier call that came to its end did."""
    return is_gone(owner) or owner == this_process()


def _of_type(asked: str, named_type: str | None) -> str:
    if named_type is None:
        return asked
    return json.dumps({**json.loads(asked), "machine_type": named_type}, sort_keys=True)


def sender_of(number: int) -> str:
    """Return what a search of the store is called on nodes, which count searches of their own."""
    return f"#{number}"


def extended(history: History | None, kept: Kept) -> History:
    """Return a history with what was kept since; that of another search is forgotten."""
    before: list[RecordRow] = []
    if history is not None and history[0].started_at == kept.row.started_at:
        before = history[1]
    return kept.row, [*before, *kept.records]
