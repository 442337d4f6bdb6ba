"""`autotune.measure`: arguments -> MeasureQuestion -> tune.measure -> MeasureResult."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, NamedTuple

from autotune import tune
from autotune.api import asked, knobs
from autotune.api.asked import Input, PathLike, Progress, Shapes, Trace
from autotune.api.dry_run import stop_if_dry
from autotune.api.result import Result
from autotune.arrivals import Traffic
from autotune.cli.exit_codes import of_measurement
from autotune.errors import UsageError
from autotune.given import check_confidence
from autotune.present.document import Document
from autotune.present.in_python import page_in_python, speaks_python
from autotune.spec import ExecutionMode, Form, ModelSpec, Provider, ReplicasAs, ServingConfig
from autotune.stages.measurement import Measurement, SloAnswer
from autotune.stages.plan import plan_measure
from autotune.stages.question import Keeping, MeasureQuestion

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
    replicas_as: ReplicasAs | None = None,
    form: Form | None = None,
    provider: Provider | None = None,
    devices: int | None = None,
    overlap: bool | None = None,
    cuda_graphs: bool | None = None,
    compare: ServingConfig | Literal["default"] | None = None,
    percentile: float = 99.0,
    confidence: float = 99.0,
    duration_s: float = 60.0,
    arrivals: str | None = None,
    trace: Trace | None = None,
    shapes: Shapes | None = None,
    input: "Input | None" = None,
    requests: PathLike | None = None,
    dtypes: Mapping[str, str] | None = None,
    trust_pickle: bool = False,
    channels_last: bool = True,
    seed: int = 0,
    store: PathLike | None = None,
    allow_shared: bool = False,
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
        config: the configuration; None: the runtime's default. The next thirteen change it:
        replicas: loaded copies of the model.
        intra_op_threads: threads within an operator; 0: the runtime's choice.
        inter_op_threads: threads across operators, in parallel execution.
        execution_mode: "sequential" or "parallel".
        spinning: whether idle pool threads burn cycles waiting for work.
        max_batch_size: most requests executed together.
        batch_timeout_ms: longest that a batch's first request waits for company, in milliseconds.
        replicas_as: "threads" of one process, or "processes".
        form: of a torch model: "as_given", "compiled" or "exported".
        provider: what executes the model: "cpu", "openvino", "xnnpack", "dnnl", "cuda", "tensorrt".
        devices: GPUs that the replicas are spread over.
        overlap: whether a batch is copied to the GPU while the one before is computed.
        cuda_graphs: whether batches are replayed as CUDA graphs.
        compare: a second configuration, measured in turn under the same arrivals, or "default":
            the runtime's.
        percentile: the share of requests, in %, that must be within the SLO.
        confidence: of PASS and of FAIL, in %: at 99 each is wrong at most once in a hundred.
        duration_s: most seconds to measure; a verdict ends it earlier.
        arrivals: how requests arrive, as in `search`.
        trace: recorded arrivals, as in `search`.
        shapes: the shape of one request by input name, as in `search`.
        input: one request, as in `search`.
        requests: several kinds of requests, as in `search`.
        dtypes: numpy's name of an input's type, like `{"ids": "int64"}`, where a torch model does
            not say it.
        trust_pickle: load a pickled torch module, which runs code that the file names.
        channels_last: whether a torch model keeps the channels of images last.
        seed: of arrivals and generated inputs.
        store: the file where measurements are kept; None: that of this user.
        allow_shared: measure while another autotune on this machine does, instead of waiting.
        progress: whether to report on standard error, or what to call with each event.

    Returns:
        The result; `answer` and `valid` are the verdict, `record` holds everything.

    Raises:
        UsageError: an argument cannot be used, or does not fit the model or this machine.
        ModelError: there is no such model, or it cannot be run.
        MeasureError: a configuration fails, or changes the model's answers.
        KeyboardInterrupt: interrupted before there was a verdict.
    """
    first = knobs.config(
        config,
        replicas=replicas,
        intra_op_threads=intra_op_threads,
        inter_op_threads=inter_op_threads,
        execution_mode=execution_mode,
        spinning=spinning,
        max_batch_size=max_batch_size,
        batch_timeout_ms=batch_timeout_ms,
        replicas_as=replicas_as,
        form=form,
        provider=provider,
        devices=devices,
        overlap=overlap,
        cuda_graphs=cuda_graphs,
    )
    how = asked.loading(dtypes, trust_pickle, channels_last)
    keeping = asked.keeping(store, False, allow_shared)
    goal = _Goal(slo_ms, percentile, confidence, duration_s, keeping)
    sides, traffic = (first, _other(compare, first)), _traffic(load_rps, trace, arrivals)
    requested = asked.model(model, shapes, input, requests, seed, how)
    return _measure(requested, asked.path(model, "model"), sides, traffic, goal, progress)


class _Goal(NamedTuple):
    """What is to be proven, and in which time, as it was given."""

    slo_ms: object
    percentile: object
    confidence: object
    duration_s: object
    keeping: Keeping


def _measure(
    requested: AbstractContextManager[ModelSpec],
    name: str,
    sides: tuple[ServingConfig, ServingConfig | None],
    traffic: Traffic,
    goal: _Goal,
    progress: Progress,
) -> MeasureResult:
    if sides[0] == sides[1]:
        raise UsageError("--compare names the same configuration; it has nothing to be compared to")
    slo, where = asked.slo(goal.slo_ms, goal.percentile), f"confidence={goal.confidence!r}"
    confidence = check_confidence(asked.number(goal.confidence, "confidence"), where)
    with requested as spec, asked.watching(progress) as observe:
        question = MeasureQuestion(
            model=spec,
            name=name,
            slo=slo,
            traffic=traffic,
            config=sides[0],
            other=sides[1],
            confidence=confidence,
            duration_s=asked.seconds(goal.duration_s, "duration_s"),
            seed=spec.seed,
            keeping=goal.keeping,
        )
        stop_if_dry(lambda: plan_measure(question, observe))
        return MeasureResult(tune.measure(question, observe))


def _traffic(load_rps: float | None, trace: Trace | None, arrivals: str | None) -> Traffic:
    traffics, _ = asked.traffics(asked.loads(load_rps, "load_rps"), trace, arrivals)
    if traffics is None or len(traffics) > 1:
        raise UsageError("say at which load: --load 100, or --trace arrivals.csv")
    return traffics[0]


def _other(compare: ServingConfig | str | None, first: ServingConfig) -> ServingConfig | None:
    if compare is None or isinstance(compare, ServingConfig):
        return None if compare is None else knobs.config(compare)
    if compare != "default":
        raise UsageError(f"compare={compare!r} is neither an autotune.ServingConfig nor 'default'")
    return first.default
