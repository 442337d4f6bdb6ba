"""`autotune.ls`: the tuned files beneath folders."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from autotune import rows
from autotune.api import asked
from autotune.api.asked import PathLike
from autotune.catalogue import Catalogue, catalogue
from autotune.embed import Tuned
from autotune.present.catalogued import catalogue_page
from autotune.present.document import Document, Line
from autotune.present.in_python import speaks_python
from autotune.present.shown import Shown
from autotune.tabular import to_json

if TYPE_CHECKING:
    import pandas as pd


class Files(Shown):
    """Tuned files, the newest search first: iterate over them, or index them."""

    def __init__(self, record: Catalogue) -> None:
        """Wrap what was found."""
        self.record = record
        """Paths with their records, and what only looked like tuned files."""

    @property
    def problems(self) -> list[str]:
        """A line for each file that cannot be read or is no tuned file."""
        return self.record.problems

    @property
    def paths(self) -> list[Path]:
        """Where they lie."""
        return [path for path, _ in self.record.files]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.record.files)

    def __getitem__(self, place: int) -> Tuned:
        """Return one of them; 0 is the newest."""
        path, tuned = self.record.files[place]
        return Tuned(tuned, path=path)

    def __iter__(self) -> Iterator[Tuned]:
        """Yield them, the newest first."""
        return map(self.__getitem__, range(len(self)))

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each file: model, SLO, what it recommends up to which load, machine."""
        from autotune.frames import frame_of

        found = [rows.file_row(path, tuned) for path, tuned in self.record.files]
        return frame_of(found, rows.FILES)

    def trials(self) -> "pd.DataFrame":
        """Return every measurement of every file, a row each."""
        from autotune.frames import frame_of

        return frame_of(rows.all_trial_rows(self.record.files), rows.ALL_TRIALS)

    def to_json(self) -> str:
        """Return what `autotune ls --json` prints."""
        return to_json([rows.file_row(path, tuned) for path, tuned in self.record.files])

    def __repr__(self) -> str:
        """The files in one line."""
        return f"<autotune.Files: {', '.join(map(str, self.paths)) or 'none'}>"

    def _page(self, wide: bool) -> Document:
        problems = [Line(f"warning: {text}", "doubt") for text in self.problems]
        if not self.record.files:
            return [*problems, Line("No tuned file; autotune.search(...).save(...) writes one.")]
        return [*problems, *catalogue_page(self.record)]


@speaks_python
def ls(folders: PathLike | Iterable[PathLike] = ".") -> Files:
    """List the tuned files in and below folders, the newest search first.

        for tuned in autotune.ls("experiments"):
            print(repr(tuned))

    Beneath folders it is files whose names end with `.autotune.json`; hidden folders, virtual
    environments and installed packages are passed by.

    Args:
        folders: a folder or a tuned file, or several.

    Raises:
        UsageError: there is no such file or folder.
    """
    several = [folders] if isinstance(folders, str | os.PathLike) else folders
    return Files(catalogue([Path(asked.path(one, "folders")) for one in several]))
