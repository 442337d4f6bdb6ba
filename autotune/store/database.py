"""The file: opened, migrated, refused or set aside; rows in and out."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from autotune.errors import StoreError, UsageError
from autotune.store.schema import APPLICATION_ID, MIGRATIONS, VERSION

BUSY_S = 30.0
"""So long one process waits for another that writes."""
MOST_ANSWERED = 300
"""Searches that are read at once: more would take seconds."""
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""The second: Python reads the words of SQLite's complaint, in which spoilt names stand."""
_COMPANIONS = ("", "-wal", "-shm")
"""Files that SQLite keeps for one database in WAL mode."""


class SearchRow(NamedTuple):
    """One search, measurement or check as it stands in the store."""

    started_at: str
    """UTC, ISO 8601."""
    owner: str
    """The process that measures for it, or did last."""
    asked: str
    """JSON: what was asked, without where the model lies."""
    model: str
    """Path of the model."""
    premises: str
    """JSON: what its measurements hold for."""
    answer: str | None = None
    """The tuned file; None: it did not come to its end, or was no search."""
    command: str = "search"
    """`search`, `search together`, `measure` or `check`."""


class RecordRow(NamedTuple):
    """One thing that was measured, or decided by the clock."""

    kind: str
    digest: bytes
    """SHA-256 of kind and `asked`."""
    turn: int
    """How often the same was asked before in this search."""
    asked: bytes
    outcome: bytes


def default_path() -> Path:
    """Return where the store is if nobody says otherwise: XDG Base Directory Specification 0.8."""
    data = os.environ.get("XDG_DATA_HOME", "")
    root = Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share"
    return root / "autotune" / "store.sqlite"


class Store:
    """An open store. For one thread; any number of processes may have the same file open."""

    def __init__(self, path: Path) -> None:
        """Open the file; make it, bring it up to date, or set a broken one aside.

        `set_aside` then names where the broken one lies.

        Raises:
            UsageError: a newer autotune made it, or it is something else.
            StoreError: it cannot be opened, or not be written.
        """
        self.path = path
        self.set_aside: Path | None = None
        try:
            self._connection = self._opened()
        except UNREADABLE as error:
            if _is_of_the_system(error):
                raise _unusable(path, error) from None
            self.set_aside = _set_aside(path)
            try:
                self._connection = self._opened()
            except UNREADABLE as another:
                raise _unusable(path, another) from None

    def searches(self, asked: str, command: str = "search") -> list[tuple[int, SearchRow]]:
        """Return all searches for the same, latest first, with their numbers."""
        with self._refusals():
            rows = self._connection.execute(
                "SELECT id, started_at, owner, asked, model, premises, "
                "CASE typeof(answer) WHEN 'text' THEN answer END, command "
                "FROM searches WHERE asked = ? AND command = ? ORDER BY id DESC",
                (asked, command),
            ).fetchall()
        return [(row[0], SearchRow(*row[1:])) for row in rows]

    def answered(self) -> list[tuple[int, SearchRow]]:
        """Return the searches that came to their end, with their numbers, latest first.

        Of many, the latest.
        """
        with self._refusals():
            rows = self._connection.execute(
                "SELECT id, started_at, owner, asked, model, premises, answer, command "
                "FROM searches "
                # Of a store with spoilt bytes, it may be anything.
                "WHERE typeof(answer) = 'text' AND command = 'search' ORDER BY id DESC LIMIT ?",
                (MOST_ANSWERED,),
            ).fetchall()
        return [(row[0], SearchRow(*row[1:])) for row in rows]

    def teach(self, sender: str, lesson: str) -> None:
        """Keep what a search has to teach by now, in place of what it had before.

        Args:
            sender: the search; of this store, its number.
            lesson: JSON.
        """
        with self._refusals(), self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO lessons (sender, lesson) VALUES (?, ?)", (sender, lesson)
            )

    def lessons(self, after: int = 0) -> list[tuple[int, str, str]]:
        """Return what was taught since the lesson of a number: numbers, senders and lessons.

        In order; of many, the latest.
        """
        with self._refusals():
            rows = self._connection.execute(
                "SELECT id, sender, lesson FROM lessons WHERE id > ? "
                "AND typeof(sender) = 'text' AND typeof(lesson) = 'text' ORDER BY id DESC LIMIT ?",
                (after, MOST_ANSWERED),
            ).fetchall()
        return rows[::-1]

    def begin(self, row: SearchRow) -> int:
        """Keep a new search; return its number."""
        with self._refusals(), self._connection:
            cursor = self._connection.execute(
                "INSERT INTO searches "
                "(started_at, owner, asked, model, premises, answer, command) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def update(self, search: int, row: SearchRow) -> None:
        """Change who owns a search, what it holds for, and its answer."""
        with self._refusals(), self._connection:
            self._connection.execute(
                "UPDATE searches SET owner = ?, premises = ?, answer = ? WHERE id = ?",
                (row.owner, row.premises, row.answer, search),
            )

    def keep(self, search: int, rows: list[RecordRow]) -> None:
        """Keep what was measured, all or nothing; what stands already stays as it is."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._refusals(), self._connection:
            self._connection.executemany(
                "INSERT OR IGNORE INTO records "
                "(search, kind, digest, turn, asked, outcome, ended_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(search, *row, now) for row in rows],
            )

    def outcome(self, search: int, digest: bytes, turn: int) -> bytes | None:
        """Return what came of a question in its turn; None: it was not asked that often."""
        with self._refusals():
            row = self._connection.execute(
                "SELECT outcome FROM records WHERE search = ? AND digest = ? AND turn = ?",
                (search, digest, turn),
            ).fetchone()
        return None if row is None else bytes(row[0])

    def records(self, search: int, after: int = 0) -> list[tuple[int, RecordRow]]:
        """Return what a search kept since its record of a number, with theirs, in order."""
        with self._refusals():
            rows = self._connection.execute(
                "SELECT id, kind, digest, turn, asked, outcome FROM records "
                "WHERE search = ? AND id > ? ORDER BY id",
                (search, after),
            ).fetchall()
        return [(row[0], RecordRow(*row[1:])) for row in rows]

    def has(self, search: int, row: SearchRow) -> bool:
        """Whether the search of this number is that one."""
        with self._refusals():
            query = "SELECT count(*) FROM searches WHERE id = ? AND asked = ? AND started_at = ?"
            found = self._connection.execute(query, (search, row.asked, row.started_at))
            return bool(found.fetchone()[0])

    def count(self, search: int) -> int:
        """Return how many records a search has."""
        with self._refusals():
            query = "SELECT count(*) FROM records WHERE search = ?"
            return int(self._connection.execute(query, (search,)).fetchone()[0])

    def is_in_place(self) -> bool:
        """Whether the file that is open is still the one of its name."""
        with contextlib.suppress(OSError):
            return os.path.samestat(os.stat(self.path), self._status)
        return False

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> "Store":
        """Return the store."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def _opened(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            folder = self.path.parent
            raise StoreError(f"{folder}: cannot be made a folder: {error.strerror}") from None
        try:
            with contextlib.suppress(FileExistsError):
                # Samples and paths are nobody else's business.
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            self._status = os.stat(self.path)
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}") from None
        connection = sqlite3.connect(self.path, timeout=BUSY_S)
        try:
            _migrate(connection, self.path)
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if found != "ok":
                raise sqlite3.DatabaseError(found)
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except UNREADABLE as error:
            raise _unusable(self.path, error) from None


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a file up to date, all steps or none."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if _version(connection, path) < VERSION:
        _take_steps(connection, path)
    connection.isolation_level = "DEFERRED"


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of a file; 0: it is empty."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    known = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if not known and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise UsageError(
            f"--store {path}: is another program's database; it is left alone: choose another name"
        )
    if version > VERSION:
        raise UsageError(
            f"--store {path}: has version {version}, and this autotune reads up to {VERSION}: "
            "upgrade autotune, or choose another store"
        )
    return version


def _take_steps(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection, path)  # another process may have been faster
        for step in MIGRATIONS[version:]:
            for statement in step.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _is_of_the_system(error: Exception) -> bool:
    """Whether the disk, or another process, is at fault and not what the file holds."""
    return isinstance(error, sqlite3.OperationalError)


def _set_aside(path: Path) -> Path:
    """Rename a broken file and its companions; return where it lies now."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    aside = path.with_name(f"{path.name}.broken-{moment}-{os.getpid()}")
    for companion in _COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{path}{companion}", f"{aside}{companion}")
    return aside


def _unusable(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path}: {error}")
