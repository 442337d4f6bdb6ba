"""A stored search whose files lie elsewhere: what it holds for, with other paths."""

import os

import msgspec
from msgspec import structs

from autotune.stages.premises import Premises
from autotune.store.database import RecordRow, SearchRow

History = tuple[SearchRow, list[RecordRow]]
"""One search as it stands in a store, and all that it measured."""


def moved(row: SearchRow, before: str, now: str) -> SearchRow:
    """Return a search with its model, and files below the model's folder, in another folder.

    Args:
        row: the search.
        before: the folder of its model.
        now: where the same files lie.
    """
    premises = msgspec.json.decode(row.premises, type=Premises)
    files = {_moved(name, before, now): sha for name, sha in premises.files.items()}
    return row._replace(
        model=_moved(row.model, before, now),
        premises=msgspec.json.encode(structs.replace(premises, files=files)).decode(),
    )


def _moved(path: str, before: str, now: str) -> str:
    return os.path.join(now, os.path.relpath(path, before)) if path else path
