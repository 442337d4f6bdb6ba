"""Every error a person can cause, as one tree.

    AutotuneError
    |- UsageError        a value that was given cannot be used
    |- ModelError        the model cannot be loaded or run
    |- ConfigFileError   a tuned file cannot be read, or was made by another version
    |- StaleError        a tuned file was made for another model, machine or runtime
    |- MeasureError      nothing could be measured at all
    |- StoreError        measurements cannot be kept, or not be read again
    `- ServerError       a server cannot be started, or does not answer

A message is one line: what is wrong, where, what to do. The command line prints it and exits
with 2. A configuration that fails while it is measured is no error but an outcome
(`autotune.outcome.Failed`).
"""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

MOST_NAMES = 2000
"""Of a folder, that are looked through for a name that was meant."""
CLOSE = 0.6
CLOSE_NAME = 0.75
"""Names of files resemble each other by their endings, so they must do so more than words."""


class AutotuneError(Exception):
    """Base of all errors that are answered with one line and exit code 2."""


class UsageError(AutotuneError):
    """A value given by the caller cannot be used."""


class ModelError(AutotuneError):
    """The model file cannot be found, loaded, or run on its sample input."""


class ConfigFileError(AutotuneError):
    """A tuned file cannot be read."""


class StaleError(AutotuneError):
    """A tuned file was made for another model, machine or runtime, and the caller minds."""


class MeasureError(AutotuneError):
    """No configuration of the model could be measured."""


class StoreError(AutotuneError):
    """The store cannot be opened, read or written."""


class ServerError(AutotuneError):
    """A server cannot be started, ended by itself, or does not answer."""


def did_you_mean(word: str, known: Iterable[str], closeness: float = CLOSE) -> str:
    """Return the end of a complaint that names the known word closest to `word`, if any is.

    Closeness is the ratio of Ratcliff and Obershelp, as `difflib` computes it.
    """
    by_lower = {one.lower(): one for one in known}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=closeness)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def did_you_mean_file(path: Path, endings: tuple[str, ...]) -> str:
    """Return likewise the file beside a missing one whose name is closest, of some endings."""
    try:
        with os.scandir(path.parent) as entries:
            some = islice(entries, MOST_NAMES)
            names = [entry.name for entry in some if entry.name.endswith(endings)]
    except OSError:
        return ""
    whole = [name for name in names if name.partition(".")[0] == path.name]
    close = whole or get_close_matches(path.name, names, n=1, cutoff=CLOSE_NAME)
    return f"; did you mean {str(path.with_name(close[0]))!r}?" if close else ""
