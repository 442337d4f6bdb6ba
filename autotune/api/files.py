"""What is done with tuned files alone: `compare`, `report` and `schema`."""

from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from autotune import config_file, fleet_file
from autotune.api import asked
from autotune.api.asked import PathLike
from autotune.api.result import Result
from autotune.comparison.files import compare_files
from autotune.comparison.records import Comparison
from autotune.config_file import TunedFile
from autotune.embed import Tuned
from autotune.present.compared import comparison_page
from autotune.present.document import Document
from autotune.present.in_python import page_in_python, speaks_python

if TYPE_CHECKING:
    import pandas as pd

_FRAME_PX = 720


class CompareResult(Result[Comparison]):
    """What changed from one tuned file to another, and whether it is more than noise."""

    def __init__(self, record: Comparison, names: tuple[str, str]) -> None:
        """Wrap a comparison of files of these names."""
        super().__init__(record)
        self.names = names
        """What the files are called."""

    @property
    def differs(self) -> bool:
        """Whether an answer differs by more than noise at any load."""
        every = [one for load in self.record.loads for one in load.differences]
        return any(one.verdict == "differs" for one in every)

    @property
    def exit_code(self) -> int:
        """0: `autotune compare` has no opinion on differences."""
        return 0

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each load and quantity; a load of one file alone has one row."""
        from autotune.frames import comparison_frame

        return comparison_frame(self.record)

    def __repr__(self) -> str:
        """The comparison in one line."""
        return f"<autotune.CompareResult: {self.record.summary}>"

    def _page(self, wide: bool) -> Document:
        return page_in_python(comparison_page(self.record, self.names))


@speaks_python
def compare(a: PathLike | Tuned, b: PathLike | Tuned) -> CompareResult:
    """Compare two tuned files: what changed, and whether it is more than noise.

        print(autotune.compare("before.autotune.json", "after.autotune.json"))

    Args:
        a: a tuned file, or what `search` or `load` returned.
        b: another one. Changes are b over a.

    Raises:
        ConfigFileError: a file cannot be read.
        UsageError: requests or their arrivals are not the same, so that no number can be compared.
    """
    (first, name), (second, other) = asked.tuned_file(a), asked.tuned_file(b)
    return CompareResult(compare_files(first, second), (name, other))


class Report:
    """A tuned file as something to look at. A notebook shows the page, `print` gives Markdown."""

    def __init__(self, file: TunedFile) -> None:
        """Hold the file; pages and pictures are made when they are asked for."""
        self._file = file

    @cached_property
    def html(self) -> str:
        """One page that needs no network: pictures, facts and every trial."""
        from autotune.reports.page import page

        return page(self._file)

    @property
    def markdown(self) -> str:
        """A summary for a pull request."""
        from autotune.reports.markdown import markdown

        return markdown(self._file)

    @property
    def pictures(self) -> list[str]:
        """The names of the pictures that the file has data for."""
        from autotune.reports.charts import charts

        return [chart.name for chart in charts(self._file)]

    @speaks_python
    def svg(self, picture: str = "latency") -> str:
        """Return one picture as SVG.

        Raises:
            UsageError: there is no picture of that name.
        """
        from autotune.reports.picture import choose, svg

        return svg(choose(self._file, picture))

    @speaks_python
    def png(self, picture: str = "latency") -> bytes:
        """Return one picture as PNG.

        Raises:
            UsageError: there is no picture of that name.
        """
        from autotune.reports.picture import choose, png

        return png(choose(self._file, picture))

    @speaks_python
    def save(self, output: PathLike) -> Path:
        """Write the page; return where.

        Raises:
            UsageError: the place cannot be written.
        """
        from autotune.reports.writing import write_report

        return write_report(Path(asked.path(output, "output")), self.html.encode())

    def __str__(self) -> str:
        """The summary in Markdown."""
        return self.markdown

    def __repr__(self) -> str:
        """The report in one line."""
        return f"<autotune.Report: {self._file.model.name}, {', '.join(self.pictures)}>"

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that its style and script are its own."""
        return (
            f'<iframe srcdoc="{escape(self.html)}" sandbox="allow-scripts" '
            f'style="width:100%;height:{_FRAME_PX}px;border:0"></iframe>'
        )


@speaks_python
def report(file: PathLike | Tuned, *, output: PathLike | None = None) -> Report:
    """Turn a tuned file into one HTML page that needs no network, pictures, or Markdown.

        autotune.report("model.autotune.json", output="report.html")

    Args:
        file: a tuned file, or what `search` or `load` returned.
        output: the HTML page to write; None: nothing is written.

    Raises:
        ConfigFileError: the file cannot be read.
        UsageError: the page cannot be written.
    """
    made = Report(asked.tuned_file(file)[0])
    if output is not None:
        made.save(output)
    return made


def schema(fleet: bool = False) -> dict[str, Any]:
    """Return the JSON Schema of the tuned file, as a dict.

    Args:
        fleet: of a fleet's file instead.
    """
    path = fleet_file.SCHEMA_PATH if fleet else config_file.SCHEMA_PATH
    found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return found
