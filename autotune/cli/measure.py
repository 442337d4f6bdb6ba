"""`autotune measure`: flags -> MeasureQuestion -> tune.measure -> verdict, histogram, parts."""

from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli.flags import parse_config, parse_model, parse_other, parse_slo, parse_traffics
from autotune.cli.options import (
    ArrivalsOption,
    InputOption,
    JsonOption,
    LoadOption,
    ModelArgument,
    PercentileOption,
    RequestsOption,
    SeedOption,
    ShapeOption,
    SloOption,
    TraceOption,
)
from autotune.errors import UsageError
from autotune.units import DAY_S, parse_duration_s

if TYPE_CHECKING:
    from autotune.stages.measurement import Measurement
    from autotune.stages.question import MeasureQuestion

UNDECIDED = 4


def measure(
    model: ModelArgument,
    slo: SloOption,
    load: LoadOption = None,
    replicas: Annotated[int, typer.Option(help="Loaded copies of the model.")] = 1,
    intra_op_threads: Annotated[
        int, typer.Option(help="Threads within an operator; 0: the runtime's choice.")
    ] = 0,
    inter_op_threads: Annotated[
        int, typer.Option(help="Threads across operators, in parallel execution.")
    ] = 1,
    execution_mode: Annotated[str, typer.Option(help="sequential or parallel.")] = "sequential",
    spinning: Annotated[
        bool, typer.Option(help="Whether idle pool threads burn cycles waiting for work.")
    ] = True,
    max_batch_size: Annotated[int, typer.Option(help="Most requests executed together.")] = 1,
    batch_timeout: Annotated[
        str, typer.Option(help="Longest that a batch's first request waits for company, like 2ms.")
    ] = "0",
    compare: Annotated[
        str | None,
        typer.Option(
            help="A second configuration, measured in turn under the same arrivals: default, or "
            "knobs like replicas=1,intra-op-threads=2,spinning=no."
        ),
    ] = None,
    percentile: PercentileOption = 99.0,
    confidence: Annotated[float, typer.Option(help="Of PASS and of FAIL, in %.")] = 99.0,
    duration: Annotated[
        str, typer.Option(help="Most time to measure; a verdict ends it earlier.")
    ] = "60s",
    arrivals: ArrivalsOption = None,
    trace: TraceOption = None,
    shape: ShapeOption = None,
    input: InputOption = None,
    requests: RequestsOption = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> int:
    """Measure one configuration at one load, until the SLO is proven met or missed.

    Without knobs it is ONNX Runtime's default. Exit codes: 0 PASS; 1 FAIL; 4 undecided, or the
    numbers are INVALID.
    """
    from autotune.stages.question import MeasureQuestion

    config = parse_config(
        {
            "replicas": str(replicas),
            "intra-op-threads": str(intra_op_threads),
            "inter-op-threads": str(inter_op_threads),
            "execution-mode": execution_mode,
            "spinning": "yes" if spinning else "no",
            "max-batch-size": str(max_batch_size),
            "batch-timeout": batch_timeout,
        }
    )
    if not 50 <= confidence < 100:
        raise UsageError(f"--confidence {confidence:g} must be at least 50 and below 100, like 99")
    duration_s = parse_duration_s(duration, "--duration")
    if duration_s > DAY_S:
        raise UsageError(f"--duration {duration!r} is more than a day")
    traffics, _ = parse_traffics(load, None, trace, arrivals)
    if traffics is None:
        raise UsageError("say at which load: --load 100, or --trace arrivals.csv")
    question = MeasureQuestion(
        model=parse_model(model, shape, input, requests, seed),
        name=model,
        slo=parse_slo(slo, percentile),
        traffic=traffics[0],
        config=config,
        other=parse_other(compare) if compare is not None else None,
        confidence=confidence / 100,
        duration_s=duration_s,
        seed=seed,
    )
    if question.other == config:
        raise UsageError("--compare names the same configuration; it has nothing to be compared to")
    return _run(question, json)


def _run(question: "MeasureQuestion", json: bool) -> int:
    from autotune import tune
    from autotune.cli.app import INTERRUPTED
    from autotune.cli.live import watch

    try:
        with watch() as observe:
            found = tune.measure(question, observe)
    except KeyboardInterrupt:
        typer.echo("interrupted before there was a verdict", err=True)
        return INTERRUPTED
    if json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        from autotune.cli.measured import print_measurement

        print_measurement(found)
    return _exit_code(found)


def _exit_code(found: "Measurement") -> int:
    answer = found.sides[0].slo.answer
    if answer == "UNDECIDED" or not all(side.validity.valid for side in found.sides):
        return UNDECIDED
    return 0 if answer == "PASS" else 1
