"""`autotune.search_together`: arguments -> TogetherQuestion -> one answer for several models."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from autotune import config_file
from autotune.api import asked, start
from autotune.api.asked import PathLike, Progress
from autotune.api.result import Result
from autotune.cli.exit_codes import SEARCHED
from autotune.embed import Tuned
from autotune.errors import UsageError
from autotune.frames import frame_of
from autotune.patterns import parse_arrivals
from autotune.present.document import Document
from autotune.present.in_python import page_in_python, speaks_python
from autotune.present.together import together_page
from autotune.tabular import Columns, Row, complete
from autotune.together import file
from autotune.together.asked import make_services, model_name, read_services
from autotune.together.make import search_together as search_all
from autotune.together.question import TogetherQuestion
from autotune.together.records import TogetherFile

if TYPE_CHECKING:
    import pandas as pd

    from autotune.together.question import Service

WAYS: Columns = {
    "way": str,
    "service": str,
    "recommended": bool,
    "requests": int,
    "p50_ms": float,
    "objective_ms": float,
    "slo_attainment": float,
    "meets_slo": bool,
    "cores_used": float,
}
"""`objective_ms`: latency at the SLO's percentile; `cores_used`: by all models of the way."""


class TogetherResult(Result[TogetherFile]):
    """How to run several models on one machine, and what each way to do so was measured to do."""

    @property
    def exit_code(self) -> int:
        """What `autotune search` exits with: 0 complete, 1 an SLO is not met, 130 interrupted."""
        return SEARCHED[self.record.status]

    @property
    def models(self) -> dict[str, Tuned]:
        """The answer for each model, to be exported or opened as that of any search."""
        return {name: Tuned(member, "ignore") for name, member in self.record.members.items()}

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each service and way that was measured."""
        rows: list[Row] = [
            {
                "way": one.way,
                "service": each.service,
                "recommended": one.way == self.record.recommended_way,
                "requests": each.measured.requests,
                "p50_ms": each.measured.p50.value_ms,
                "objective_ms": each.measured.objective.value_ms,
                "slo_attainment": each.measured.slo_attainment,
                "meets_slo": each.measured.meets_slo,
                "cores_used": one.cores_used,
            }
            for one in self.record.contenders
            for each in one.served
        ]
        return frame_of(complete(rows, WAYS), WAYS)

    def to_json(self) -> str:
        """Return the text of the file."""
        return config_file.to_json(self.record)

    @speaks_python
    def save(self, output: PathLike) -> Path:
        """Write the file, whole or not at all; return where.

        Raises:
            UsageError: the place cannot be written, or holds something else than such a file.
        """
        path = asked.file(output, "output")
        file.check_writable(path)
        file.write(path, self.record)
        return path

    @speaks_python
    def report(self, output: PathLike) -> Path:
        """Write one HTML page that needs no network; return where.

        Raises:
            UsageError: the place cannot be written.
        """
        from autotune.reports import together_page as report
        from autotune.reports.writing import write_report

        page = report.together_page(self.record)
        return write_report(asked.file(output, "output"), page.encode())

    def _page(self, wide: bool) -> Document:
        return page_in_python(together_page(self.record))


@speaks_python
def search_together(
    models: PathLike | list[PathLike],
    *,
    slo_ms: float | Mapping[str, float] | None = None,
    loads_rps: float | Mapping[str, float] | None = None,
    percentile: float = 99.0,
    arrivals: str | None = None,
    budget_s: float | None = None,
    seed: int = 0,
    store: PathLike | None = None,
    fresh: bool = False,
    allow_shared: bool = False,
    output: PathLike | None = None,
    progress: Progress = False,
) -> TogetherResult:
    """Find how to run several models on one machine so that each keeps its SLO beside the others.

        found = autotune.search_together(
            ["a.onnx", "b.onnx"], slo_ms={"a": 20, "b": 100}, loads_rps={"a": 50, "b": 10}
        )
        found.models["a"].open("a.onnx")

    Args:
        models: the models, as `search` takes them, or one TOML file of services, which also says
            what requests are, and which models are a chain.
        slo_ms: the latency objective of each in milliseconds, by the name of its file without
            suffix; or one for all.
        loads_rps: requests/s of each, likewise.
        percentile: the share of requests, in %, that must be within it.
        arrivals: how requests arrive, as `search` takes it.
        budget_s: seconds for everything; None: 80 for each model.
        seed: of arrivals and generated inputs.
        store: the file where measurements are kept, as `search` takes it.
        fresh: start over, whatever the store has of this search.
        allow_shared: measure while another autotune on this machine does, instead of waiting.
        output: the file to write; None: nothing is written, see `TogetherResult.save`.
        progress: as `search` takes it.

    Returns:
        The result: it prints, shows in a notebook, and has the answer of each model.

    Raises:
        UsageError: an argument cannot be used, or does not fit a model.
        ModelError: there is no such model, or it cannot be run.
        MeasureError: nothing could be measured.
        KeyboardInterrupt: interrupted before there was any answer.
    """
    named = [models] if not isinstance(models, list) else models
    paths = [asked.path(one, "models") for one in named]
    if len(paths) == 1 and paths[0].endswith(".toml"):
        if slo_ms is not None or loads_rps is not None:
            raise UsageError(f"{paths[0]}: says SLOs and loads itself: leave slo_ms and loads_rps")
        services = read_services(Path(paths[0]), seed)
    else:
        services = _services(paths, (slo_ms, percentile), loads_rps, arrivals, seed)
    with asked.watching(progress) as observe:
        question = TogetherQuestion(
            services=services,
            budget_s=start.limits(budget_s, None)["budget_s"],
            seed=seed,
            output=asked.or_none(asked.file, output, "output"),
            keeping=asked.keeping(store, fresh, allow_shared),
        )
        return TogetherResult(search_all(question, observe))


def _services(
    paths: list[str],
    slo: tuple[float | Mapping[str, float] | None, float],
    loads_rps: float | Mapping[str, float] | None,
    arrivals: str | None,
    seed: int,
) -> "tuple[Service, ...]":
    names = [model_name(path) for path in paths]
    slo_ms, percentile = slo
    slos = {name: asked.slo(one, percentile) for name, one in _of(names, slo_ms, "slo_ms").items()}
    loads = _of(names, loads_rps, "loads_rps")
    return make_services(
        paths,
        slos,
        {name: asked.load(one, "loads_rps") for name, one in loads.items()},
        None if arrivals is None else parse_arrivals(arrivals, "--arrivals"),
        seed,
    )


def _of(
    names: list[str], value: float | Mapping[str, float] | None, argument: str
) -> dict[str, float]:
    """Return what each model is given."""
    if value is None:
        raise UsageError(f"{argument} is missing: give one number, or one for each of {names}")
    if not isinstance(value, Mapping):
        return dict.fromkeys(names, value)
    if set(value) != set(names):
        raise UsageError(f"{argument} is for {sorted(value)}, and the models are {sorted(names)}")
    return dict(value)
