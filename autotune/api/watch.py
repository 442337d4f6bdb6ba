"""`autotune.watch`: does the deployed policy still fit what is observed?"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy.typing as npt

from autotune.api import asked
from autotune.api.asked import PathLike
from autotune.api.result import Result
from autotune.cli.exit_codes import WATCHED
from autotune.config_file import TunedFile
from autotune.drift.judge import Watched, judge
from autotune.drift.records import DriftAnswer, DriftReport
from autotune.embed import Tuned
from autotune.errors import UsageError
from autotune.observed import Observed, observed_of, read_observed
from autotune.present.document import Document
from autotune.present.in_python import page_in_python, speaks_python
from autotune.present.watched import watched_page

if TYPE_CHECKING:
    import pandas as pd


class WatchResult(Result[DriftReport]):
    """Whether a deployed policy still fits, and what to measure again if not."""

    def __init__(self, record: DriftReport, tuned: TunedFile) -> None:
        """Wrap a report about a file."""
        super().__init__(record)
        self._tuned = tuned

    @property
    def answer(self) -> DriftAnswer:
        """`"fits"`, `"slo_missed"`, `"drifted"` or `"too_little"`."""
        return self.record.answer

    @property
    def fits(self) -> bool:
        """Whether nothing is proven to have changed, and enough was seen to tell."""
        return self.answer == "fits"

    @property
    def exit_code(self) -> int:
        """What `autotune watch` exits with: 0 fits, 1 SLO missed, 3 drifted, 4 too little."""
        return WATCHED[self.answer]

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each load of the policy."""
        from autotune.api.frames import drift_frame

        return drift_frame(self.record)

    def __repr__(self) -> str:
        """The answer in one line."""
        return f"<autotune.WatchResult: {self.answer}: {self.record.reasons[0]}>"

    def _page(self, wide: bool) -> Document:
        return page_in_python(watched_page(self.record, self._tuned))


@speaks_python
def watch(
    file: PathLike | Tuned,
    *,
    observed: PathLike | Observed | tuple[npt.ArrayLike, npt.ArrayLike],
    false_alarms: float = 0.01,
    tolerance: float = 0.10,
) -> WatchResult:
    """Hold what a service observed against the tuned file: does the policy still fit?

        with tuned.open("model.onnx") as engine:
            ...
            print(autotune.watch(tuned, observed=engine.observed()))

    Args:
        file: a tuned file, or what `search` or `load` returned.
        observed: a CSV file with the columns `arrived_s` and `latency_ms`; or both as arrays, in
            order of arrival, in seconds and milliseconds, infinite where there was no answer; or
            what an embedded engine's `observed()` returned.
        false_alarms: chance of any false alarm in the whole record, at most.
        tolerance: by what share latencies and loads may be above what the file promises.

    Returns:
        The result; `fits` and `answer` are the verdict, `record` holds everything.

    Raises:
        ConfigFileError: the file cannot be read.
        UsageError: the requests cannot be read, or are too few, out of order or out of range.
    """
    tuned, name = asked.tuned_file(file)
    found, source = _observed(observed)
    report = judge(
        Watched(
            tuned=tuned,
            file=name if os.path.exists(name) else "model.autotune.json",
            observed=found,
            source=source,
            false_alarms=asked.share(false_alarms, "false_alarms"),
            tolerance=asked.share(tolerance, "tolerance"),
        )
    )
    return WatchResult(report, tuned)


def _observed(given: object) -> tuple[Observed, str]:
    """Return the requests, and what to call where they come from."""
    if isinstance(given, str | os.PathLike):
        path = asked.path(given, "observed")
        return read_observed(Path(path), "--observed"), path
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise UsageError("observed must be a CSV file, or arrivals in s and latencies in ms")
    try:
        return observed_of(given[0], given[1], "observed"), "observed.csv"
    except (TypeError, ValueError):
        raise UsageError("observed: arrivals and latencies must be numbers") from None
