"""`autotune.plan`: tuned files, a trace and prices -> the cheapest fleet that meets the SLO."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autotune.api import asked
from autotune.api.asked import PathLike
from autotune.api.result import Result
from autotune.cli.exit_codes import PLANNED
from autotune.embed import Tuned
from autotune.errors import UsageError
from autotune.frames import frame_of
from autotune.planning import autoscalers
from autotune.planning.arriving import Arriving, arriving_of, read_arriving
from autotune.planning.make import make_plan
from autotune.planning.prices import Prices, make_prices, read_prices
from autotune.planning.question import (
    STEP_S,
    Asked,
    GivenFile,
    check_step_s,
    given_files,
    make_question,
)
from autotune.planning.records import Answer, Plan
from autotune.present.document import Document
from autotune.present.fleet import fleet_page
from autotune.present.in_python import page_in_python, speaks_python
from autotune.tabular import Columns, Row, complete

if TYPE_CHECKING:
    import pandas as pd

File = PathLike | Tuned
Files = File | Iterable[File] | Mapping[str, File]
_NAMED = 'files={"NAME": file}'
POLICIES: Columns = {
    "kind": str,
    "chosen": bool,
    "meets_slo": bool,
    "cost": float,
    "cost_per_million": float,
    "to_peak": float,
    "to_oracle": float,
    "attainment": float,
    "p50_ms": float,
    "p95_ms": float,
    "p99_ms": float,
    "objective_ms": float,
    "lost_share": float,
    "spilled_share": float,
    "cold_share": float,
    "machine_hours": float,
    "starts": int,
    "cpu_s_per_request": float,
}
"""`objective_ms`: latency at the SLO's percentile; `machine_hours`: of all types together."""


class PlanResult(Result[Plan]):
    """What to run for a trace, what that costs, and how else it could be scaled."""

    @property
    def answer(self) -> Answer:
        """`"met"`, or `"not_met"` where no plan meets the SLO."""
        return self.record.answer

    @property
    def exit_code(self) -> int:
        """What `autotune plan` exits with: 0 the SLO is met, 1 it is not."""
        return PLANNED[self.answer]

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each way to scale."""
        rows: list[Row] = []
        for one in self.record.policies:
            row: Row = {name: getattr(one, name, None) for name in POLICIES}
            row |= {"chosen": one.kind == self.record.chosen}
            rows.append(row | {"machine_hours": sum(one.machine_hours)})
        return frame_of(complete(rows, POLICIES), POLICIES)

    @speaks_python
    def save(self, output: PathLike) -> Path:
        """Write the plan as JSON; return where.

        Raises:
            UsageError: the place cannot be written.
        """
        from autotune.reports.plan_writing import write_plan

        return write_plan(asked.file(output, "output"), self.record)

    @speaks_python
    def report(self, output: PathLike) -> Path:
        """Write one HTML page that needs no network; return where.

        Raises:
            UsageError: the place cannot be written.
        """
        from autotune.reports.plan_page import plan_page
        from autotune.reports.writing import write_report

        return write_report(asked.file(output, "output"), plan_page(self.record).encode())

    @speaks_python
    def svg(self, picture: str = "overview") -> str:
        """Return a picture as SVG: overview, load, machines, attainment, costs or function.

        Raises:
            UsageError: there is no picture of that name.
        """
        from autotune.reports.picture import svg
        from autotune.reports.plan_charts import choose_picture

        return svg(choose_picture(self.record, picture))

    @speaks_python
    def png(self, picture: str = "overview") -> bytes:
        """Return one of these pictures as PNG.

        Raises:
            UsageError: there is no picture of that name.
        """
        from autotune.reports.picture import png
        from autotune.reports.plan_charts import choose_picture

        return png(choose_picture(self.record, picture))

    @speaks_python
    def hpa(self) -> str:
        """Return a HorizontalPodAutoscaler of Kubernetes, as YAML, for each machine type.

        Raises:
            UsageError: no plan meets the SLO.
        """
        return autoscalers.hpa_yaml(self.record)

    @speaks_python
    def keda(self) -> str:
        """Return a ScaledObject of KEDA likewise.

        Raises:
            UsageError: no plan meets the SLO.
        """
        return autoscalers.keda_yaml(self.record)

    @speaks_python
    def ray(self) -> str:
        """Return deployments of Ray Serve with their `autoscaling_config` likewise.

        Raises:
            UsageError: no plan meets the SLO.
        """
        return autoscalers.ray_yaml(self.record)

    def __repr__(self) -> str:
        """The plan in one line."""
        return f"<autotune.PlanResult: {self.answer}: {self.record.summary}>"

    def _page(self, wide: bool) -> Document:
        return page_in_python(fleet_page(self.record))


@speaks_python
def plan(
    files: Files,
    *,
    trace: PathLike | npt.ArrayLike,
    prices: PathLike | Mapping[str, Any],
    slo_ms: float | None = None,
    percentile: float | None = None,
    step_s: float = STEP_S,
    seed: int = 0,
) -> PlanResult:
    """Find the cheapest machines that meet the SLO on a recorded trace, and how to scale them.

        planned = autotune.plan(
            {"c7g.large": "arm.autotune.json", "c7i.large": "intel.autotune.json"},
            trace="requests.csv",
            prices="prices.toml",
        )
        print(planned)
        planned.report("plan.html")

    Args:
        files: tuned files, or what `search` or `load` returned, by machine type of the price list;
            or a list of files that are called like their machine type; or one file. A file of
            `fleet_search` holds several, each by its type's name.
        trace: a CSV file of arrivals, or the arrivals as an array, in seconds.
        prices: a TOML file, or what it would hold as a dict.
        slo_ms: latency objective in milliseconds; None: that of the files.
        percentile: share of requests that must be within it, in percent; None: likewise.
        step_s: seconds between decisions on how many machines there are.
        seed: of what is simulated.

    Returns:
        The result; `answer` says whether the SLO is met, `record` holds everything.

    Raises:
        ConfigFileError: a file cannot be read.
        UsageError: trace or prices cannot be read, or the files cannot be planned with together.
    """
    given = list(_given(files))
    latency_ms = asked.or_none(asked.above_zero, slo_ms, "slo_ms")
    percent = asked.or_none(asked.number, percentile, "percentile")
    # As strict as for a search, whichever of the two is given.
    asked.slo(1.0 if latency_ms is None else latency_ms, 99.0 if percent is None else percent)
    wanted = Asked(
        latency_ms=latency_ms,
        percentile=percent,
        step_s=check_step_s(asked.above_zero(step_s, "step_s"), f"step_s={step_s!r}"),
        seed=asked.whole(seed, "seed"),
    )
    listed = _prices(prices)
    question = make_question(given, listed, wanted, _reader(trace), _NAMED)
    return PlanResult(make_plan(question))


def _given(files: object) -> Iterable[GivenFile]:
    if isinstance(files, Mapping):
        for name, one in files.items():
            if not isinstance(name, str):
                raise UsageError(f"files: {name!r} is not the name of a machine type")
            yield from _file(name, one)
    elif isinstance(files, str | os.PathLike | Tuned):
        yield from _file(None, files)
    elif isinstance(files, Iterable):
        for one in files:
            yield from _file(None, one)
    else:
        raise UsageError(f"files={files!r} is neither a file, nor several, nor a dict of them")


def _file(name: str | None, one: object) -> Iterable[GivenFile]:
    if not isinstance(one, str | os.PathLike | Tuned):
        raise UsageError(f"files: {one!r} is no tuned file")
    if not isinstance(one, Tuned):
        return given_files(name, asked.file(one, "files"))
    tuned, called = asked.tuned_file(one)
    return [GivenFile(name, called, tuned)]


def _prices(given: object) -> Prices:
    if isinstance(given, Mapping):
        return make_prices(given, "prices")
    return read_prices(asked.file(given, "prices"), "--prices")


def _reader(trace: object) -> Callable[[], Arriving]:
    if isinstance(trace, str | os.PathLike):
        path = asked.file(trace, "trace")
        return lambda: read_arriving(path, "--trace")
    try:
        times_s = np.asarray(trace, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError("trace is neither a CSV file nor arrivals in seconds") from None
    return lambda: arriving_of(times_s, "trace")
