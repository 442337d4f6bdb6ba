"""Tuned files and comparisons as pandas data frames; columns as in `autotune.rows`.

pandas is imported when a frame is asked for. What is not known is NaN: whole numbers of which some
are not known are floats then, and truths are of pandas' `boolean` type.
"""

import os
import warnings
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from autotune import rows
from autotune.catalogue import catalogue
from autotune.comparison.records import Comparison
from autotune.config_file import TunedFile
from autotune.tabular import Columns, Row

if TYPE_CHECKING:
    import pandas as pd


def policy_frame(tuned: TunedFile) -> "pd.DataFrame":
    """Return two rows a load, `chosen` and `default`; the latter only where it was measured."""
    return frame_of(rows.policy_rows(tuned), rows.POLICY)


def trials_frame(tuned: TunedFile) -> "pd.DataFrame":
    """Return one row a measurement, in order."""
    return frame_of(rows.trial_rows(tuned), rows.TRIALS)


def front_frame(tuned: TunedFile) -> "pd.DataFrame":
    """Return one row a configuration that no other beats in load, cores and CPU time at once."""
    return frame_of(rows.front_rows(tuned), rows.FRONT)


def trade_offs_frame(tuned: TunedFile) -> "pd.DataFrame":
    """Return one row a load and configuration that nothing beats in latency, energy and cores."""
    return frame_of(rows.trade_off_rows(tuned), rows.TRADE_OFFS)


def files_frame(
    paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str] = ".",
) -> "pd.DataFrame":
    """Return one row a tuned file among files and beneath folders, the newest search first.

    Raises:
        UsageError: there is no such file or folder.

    Warns:
        UserWarning: what only looks like a tuned file, or cannot be read; it is left out.
    """
    places = [paths] if isinstance(paths, str | os.PathLike) else paths
    found = catalogue([Path(place) for place in places])
    for problem in found.problems:
        warnings.warn(problem, stacklevel=2)
    return frame_of([rows.file_row(path, tuned) for path, tuned in found.files], rows.FILES)


def comparison_frame(comparison: Comparison) -> "pd.DataFrame":
    """Return one row a load and quantity; a load that only one file measured has one row."""
    return frame_of(rows.comparison_rows(comparison), rows.COMPARISON)


def frame_of(found: list[Row], columns: Columns) -> "pd.DataFrame":
    """Return complete rows as a frame, each column of its type."""
    import pandas as pd

    frame = pd.DataFrame(found, columns=list(columns))
    for name, kind in columns.items():
        known = not frame[name].isna().any()
        if kind is bool:
            frame[name] = frame[name].astype("bool" if known else "boolean")
        elif kind is datetime:
            frame[name] = pd.to_datetime(frame[name], utc=True, errors="coerce", format="ISO8601")
        elif kind is not str:
            frame[name] = frame[name].astype("int64" if known and kind is int else "float64")
    return frame
