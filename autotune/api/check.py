"""`autotune.check`: arguments -> GateQuestion -> tune.check -> CheckResult."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autotune import tune
from autotune.api import asked
from autotune.api.asked import Input, PathLike, Progress, Shapes, Trace
from autotune.api.dry_run import stop_if_dry
from autotune.api.result import Result
from autotune.cli import ci
from autotune.cli.exit_codes import CHECKED
from autotune.embed import Tuned
from autotune.errors import UsageError
from autotune.present.document import Document
from autotune.present.in_python import page_in_python, speaks_python
from autotune.promise import (
    demand_engine,
    entry_at,
    entry_to_check,
    loading_of,
    uncheckable_because,
)
from autotune.stages.gate import GateAnswer, GateReport
from autotune.stages.gate_rounds import GateQuestion
from autotune.stages.plan import plan_gate

if TYPE_CHECKING:
    import pandas as pd


class CheckResult(Result[GateReport]):
    """Whether a tuned file still holds, why, and the numbers."""

    @property
    def answer(self) -> GateAnswer:
        """`"holds"`, `"slo_missed"`, `"regression"`, `"undecided"` or `"stale"`."""
        return self.record.answer

    @property
    def holds(self) -> bool:
        """Whether the file holds beyond doubt."""
        return self.answer == "holds"

    @property
    def exit_code(self) -> int:
        """0 holds, 1 SLO missed, 3 regression, 4 undecided, 5 stale."""
        return CHECKED[self.answer]

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row each for what the file has, what was measured now, and the default."""
        from autotune.api.frames import gate_frame

        return gate_frame(self.record)

    def junit_xml(self) -> str:
        """Return the verdict as CI services read it: a JUnit suite of one case."""
        return ci.junit_xml(self.record)

    def github_annotation(self) -> str:
        """Return the verdict as a workflow command that GitHub shows on the run's page."""
        return ci.github_annotation(self.record)

    def github_summary(self) -> str:
        """Return the verdict as Markdown, for GitHub's step summary."""
        return ci.github_summary(self.record)

    def __repr__(self) -> str:
        """The answer in one line."""
        found = self.record
        return (
            f"<autotune.CheckResult: {self.answer}, {found.config.describe()} at "
            f"{found.load_rps:g} requests/s, {found.slo}>"
        )

    def _page(self, wide: bool) -> Document:
        from autotune.present.gate import gate_page

        return page_in_python(gate_page(self.record))


@speaks_python
def check(
    file: PathLike | Tuned,
    model: PathLike,
    *,
    load_rps: float | None = None,
    budget_s: float = 60.0,
    tolerance: float = 0.10,
    stale: Literal["error", "warn"] = "error",
    arrivals: str | None = None,
    trace: Trace | None = None,
    shapes: Shapes | None = None,
    input: "Input | None" = None,
    requests: PathLike | None = None,
    trust_pickle: bool = False,
    seed: int | None = None,
    store: PathLike | None = None,
    allow_shared: bool = False,
    progress: "Progress" = False,
) -> CheckResult:
    """Measure what a tuned file recommends again, beside the default, and say whether it holds.

        found = autotune.check("model.autotune.json", "model.onnx")
        assert found.holds, str(found)

    Args:
        file: a tuned file, or what `search` or `load` returned.
        model: an ONNX file, or `package:file` inside an installed package.
        load_rps: the load, in requests/s, whose promise is checked; None: the safest that the
            recommended configuration has.
        budget_s: seconds for everything.
        tolerance: by what share an execution may cost more CPU time than in the file.
        stale: what to do about another model, machine or runtime than the file was made for:
            "error" makes it the answer, unless something graver is found; "warn" notes it.
        arrivals: how requests arrive, as in `search`; None: as in the file, so the next four.
        trace: recorded arrivals, as in `search`.
        shapes: the shape of one request by input name, as in `search`.
        input: one request, as in `search`.
        requests: several kinds of requests, as in `search`.
        trust_pickle: as in `search`.
        seed: of arrivals and generated inputs; None: the file's.
        store: the file where measurements are kept; None: that of this user.
        allow_shared: measure while another autotune on this machine does, instead of waiting.
        progress: whether to report on standard error, or what to call with each event.

    Returns:
        The result; `holds` and `answer` are the verdict, `record` holds everything.

    Raises:
        ConfigFileError: the file cannot be read.
        UsageError: an argument cannot be used, or does not fit the model.
        ModelError: there is no such model, or it cannot be run.
        MeasureError: the configuration fails.
        KeyboardInterrupt: interrupted before there was a verdict.
    """
    if stale not in ("error", "warn"):
        raise UsageError(f"stale={stale!r} is neither 'error' nor 'warn'")
    tuned, name = asked.tuned_file(file)
    demand_engine(tuned, name)
    entry = entry_to_check(tuned)
    if load_rps is not None:
        asked_rps = asked.load(load_rps, "load_rps")
        entry = entry_at(tuned, asked_rps, name, f"load_rps={load_rps!r}")
    with (
        asked.model(
            model,
            asked.shapes_or_those_of(tuned, shapes, input, requests),
            input,
            requests,
            tuned.search.seed if seed is None else seed,
            loading_of(tuned, trust_pickle),
        ) as spec,
        asked.watching(progress) as observe,
    ):
        question = GateQuestion(
            tuned=tuned,
            file=name,
            model=spec,
            name=asked.path(model, "model"),
            entry=entry,
            pattern=asked.pattern(tuned, entry.load_rps, trace, arrivals),
            stale=uncheckable_because(tuned, name, Path(spec.path)),
            stale_fails=stale == "error",
            tolerance=asked.share(tolerance, "tolerance"),
            budget_s=asked.seconds(budget_s, "budget_s"),
            seed=spec.seed,
            keeping=asked.keeping(store, False, allow_shared),
        )
        stop_if_dry(lambda: plan_gate(question, observe))
        return CheckResult(tune.check(question, observe))
