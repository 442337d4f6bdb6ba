"""`autotune.measure`: arguments -> MeasureQuestion -> tune.measure -> MeasureResult."""

from typing import TYPE_CHECKING, Literal

from autotune import tune
from autotune.api import asked
from autotune.api.asked import Input, PathLike, Progress, Shapes, Trace
from autotune.api.dry_run import stop_if_dry
from autotune.api.result import Result
from autotune.arrivals import Traffic
from autotune.cli.exit_codes import of_measurement
from autotune.errors import UsageError
from autotune.given import check_confidence
from autotune.present.document import Document
from autotune.present.in_python import page_in_python, speaks_python
from autotune.spec import ExecutionMode, ServingConfig
from autotune.stages.measurement import Measurement, SloAnswer
from autotune.stages.plan import plan_measure
from autotune.stages.question import MeasureQuestion

if TYPE_CHECKING:
    import pandas as pd


class MeasureResult(Result[Measurement]):
    """What `measure` found: a verdict on the SLO, latencies, where the time went, and validity."""

    @property
    def answer(self) -> SloAnswer:
        """`"PASS"`, `"FAIL"` or `"UNDECIDED"`, of the first configuration."""
        return self.record.sides[0].slo.answer

    @property
    def valid(self) -> bool:
        """Whether all numbers may be believed; each side's `validity` says why not."""
        return all(side.validity.valid for side in self.record.sides)

    @property
    def exit_code(self) -> int:
        """0: PASS; 1: FAIL; 4: undecided, or not valid."""
        return of_measurement(self.record)

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each configuration: knobs, verdict, percentiles, parts, costs."""
        from autotune.api.frames import measurement_frame

        return measurement_frame(self.record)

    def __repr__(self) -> str:
        """The answer in one line."""
        found = self.record
        valid = "" if self.valid else ", INVALID"
        return (
            f"<autotune.MeasureResult: {self.answer}{valid}, {found.sides[0].config.describe()} "
            f"at {found.load_rps:g} requests/s, {found.slo}>"
        )

    def _page(self, wide: bool) -> Document:
        from autotune.present.measured import measurement_page

        return page_in_python(measurement_page(self.record))


@speaks_python
def measure(
    model: PathLike,
    *,
    slo_ms: float,
    load_rps: float | None = None,
    config: ServingConfig | None = None,
    replicas: int | None = None,
    intra_op_threads: int | None = None,
    inter_op_threads: int | None = None,
    execution_mode: ExecutionMode | None = None,
    spinning: bool | None = None,
    max_batch_size: int | None = None,
    batch_timeout_ms: float | None = None,
    compare: ServingConfig | Literal["default"] | None = None,
    percentile: float = 99.0,
    confidence: float = 99.0,
    duration_s: float = 60.0,
    arrivals: str | None = None,
    trace: Trace | None = None,
    shapes: Shapes | None = None,
    input: "Input | None" = None,
    requests: PathLike | None = None,
    seed: int = 0,
    progress: "Progress" = False,
) -> MeasureResult:
    """Measure one configuration at one load, until the SLO is proven met or missed.

        found = autotune.measure("model.onnx", slo_ms=50, load_rps=80, replicas=2)
        found.answer  # "PASS"

        tuned = autotune.load("model.autotune.json")
        autotune.measure("model.onnx", slo_ms=50, load_rps=80, config=tuned.config(80))

    Args:
        model: an ONNX file, or `package:file` inside an installed package.
        slo_ms: the latency objective in milliseconds.
        load_rps: the load in requests/s; may be left out where a trace is given.
        config: the configuration; None: ONNX Runtime's default. The next seven change it:
        replicas: loaded copies of the model.
        intra_op_threads: threads within an operator; 0: the runtime's choice.
        inter_op_threads: threads across operators, in parallel execution.
        execution_mode: "sequential" or "parallel".
        spinning: whether idle pool threads burn cycles waiting for work.
        max_batch_size: most requests executed together.
        batch_timeout_ms: longest that a batch's first request waits for company, in milliseconds.
        compare: a second configuration, measured in turn under the same arrivals, or "default":
            ONNX Runtime's.
        percentile: the share of requests, in %, that must be within the SLO.
        confidence: of PASS and of FAIL, in %: at 99 each is wrong at most once in a hundred.
        duration_s: most seconds to measure; a verdict ends it earlier.
        arrivals: how requests arrive, as in `search`.
        trace: recorded arrivals, as in `search`.
        shapes: the shape of one request by input name, as in `search`.
        input: one request, as in `search`.
        requests: several kinds of requests, as in `search`.
        seed: of arrivals and generated inputs.
        progress: whether to report on standard error, or what to call with each event.

    Returns:
        The result; `answer` and `valid` are the verdict, `record` holds everything.

    Raises:
        UsageError: an argument cannot be used, or does not fit the model or this machine.
        ModelError: there is no such model, or it cannot be run.
        MeasureError: a configuration fails, or changes the model's answers.
        KeyboardInterrupt: interrupted before there was a verdict.
    """
    knobs = {
        "replicas": replicas,
        "intra_op_threads": intra_op_threads,
        "inter_op_threads": inter_op_threads,
        "execution_mode": execution_mode,
        "spinning": spinning,
        "max_batch_size": max_batch_size,
        "batch_timeout_ms": batch_timeout_ms,
    }
    first, other = asked.config(config, **knobs), _other(compare)
    if first == other:
        raise UsageError("--compare names the same configuration; it has nothing to be compared to")
    traffic = _traffic(load_rps, trace, arrivals)
    asked_slo = asked.slo(slo_ms, percentile)
    share = check_confidence(asked.number(confidence, "confidence"), f"confidence={confidence!r}")
    with (
        asked.model(model, shapes, input, requests, seed) as spec,
        asked.watching(progress) as observe,
    ):
        question = MeasureQuestion(
            model=spec,
            name=asked.path(model, "model"),
            slo=asked_slo,
            traffic=traffic,
            config=first,
            other=other,
            confidence=share,
            duration_s=asked.seconds(duration_s, "duration_s"),
            seed=spec.seed,
        )
        stop_if_dry(lambda: plan_measure(question, observe))
        return MeasureResult(tune.measure(question, observe))


def _traffic(load_rps: float | None, trace: Trace | None, arrivals: str | None) -> Traffic:
    traffics, _ = asked.traffics(asked.loads(load_rps, "load_rps"), trace, arrivals)
    if traffics is None or len(traffics) > 1:
        raise UsageError("say at which load: --load 100, or --trace arrivals.csv")
    return traffics[0]


def _other(compare: ServingConfig | str | None) -> ServingConfig | None:
    if compare is None or isinstance(compare, ServingConfig):
        return None if compare is None else asked.config(compare)
    if compare != "default":
        raise UsageError(f"compare={compare!r} is neither an autotune.ServingConfig nor 'default'")
    return ServingConfig()
