"""Reading a store of somebody else's: nothing of it is changed, not even brought up to date."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from autotune.errors import StoreError
from autotune.store.database import MOST_ANSWERED, UNREADABLE
from autotune.store.schema import APPLICATION_ID, VERSION

_MAGIC = b"SQLite format 3\0"
_ANSWERS = "SELECT answer FROM searches WHERE typeof(answer) = 'text' ORDER BY id DESC LIMIT ?"


def is_store(path: Path) -> bool:
    """Whether a file is some SQLite database.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from None


def answers_in(path: Path) -> list[str]:
    """Return the tuned files that a store holds as answers, as texts, the latest first.

    Raises:
        StoreError: it is another program's database, a newer autotune's, or broken.
    """
    try:
        connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
        with closing(connection):
            known = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if known != APPLICATION_ID:
                raise StoreError(f"{path}: is another program's database")
            if version > VERSION:
                raise StoreError(
                    f"{path}: has version {version}, and this autotune reads up to {VERSION}"
                )
            return [str(row[0]) for row in connection.execute(_ANSWERS, (MOST_ANSWERED,))]
    except UNREADABLE as error:
        raise StoreError(f"{path}: {error}") from None
