"""What has been measured here: the tuned files beneath folders."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from autotune import config_file
from autotune.config_file import TunedFile
from autotune.errors import ConfigFileError, UsageError

SUFFIX = ".autotune.json"
_PASSED_BY = frozenset({"node_modules", "site-packages", "__pycache__"})
_VIRTUAL_ENVIRONMENT = "pyvenv.cfg"


class Catalogue(NamedTuple):
    """Tuned files, and what only looked like some."""

    files: list[tuple[Path, TunedFile]]
    """The newest search first."""
    problems: list[str]
    """A line for each file that cannot be read or is no tuned file, and each folder likewise."""


def catalogue(places: Iterable[Path]) -> Catalogue:
    """Return the tuned files among `places` and beneath those that are folders.

    A file that is named is taken as it is; beneath folders, whatever ends with `.autotune.json`.
    Hidden folders, virtual environments and installed packages are passed by; links to folders are
    not followed, so none is walked for ever. A file that can be reached twice counts once.

    Raises:
        UsageError: there is no such file or folder.
    """
    files: list[tuple[Path, TunedFile]] = []
    problems: list[str] = []
    seen: set[str] = set()
    for path in _candidates(places, problems):
        if (real := os.path.realpath(path)) in seen:
            continue
        seen.add(real)
        try:
            files.append((path, config_file.read(path)))
        except ConfigFileError as error:
            problems.append(str(error))
    files.sort(key=lambda one: str(one[0]))
    files.sort(key=lambda one: one[1].search.started_at, reverse=True)
    return Catalogue(files, problems)


def _candidates(places: Iterable[Path], problems: list[str]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from _beneath(place, problems)
        elif place.exists():
            yield place
        else:
            raise UsageError(f"{place}: no such file or folder")


def _beneath(folder: Path, problems: list[str]) -> Iterator[Path]:
    def note(error: OSError) -> None:
        problems.append(f"{error.filename}: cannot be read: {error.strerror}")

    for parent, folders, names in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if _is_worth(Path(parent, name)))
        yield from (Path(parent, name) for name in sorted(names) if name.endswith(SUFFIX))


def _is_worth(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in _PASSED_BY
    return not hidden and not (folder / _VIRTUAL_ENVIRONMENT).exists()
