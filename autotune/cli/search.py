"""`autotune search`: flags -> Question -> tune.search -> table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autotune.errors import UsageError
from autotune.units import parse_duration_s, parse_load_rps, parse_loads_rps

if TYPE_CHECKING:
    from autotune.arrivals import Traffic
    from autotune.stages.question import Question

MAX_SLO_S = 3600.0


def search(
    model: Annotated[
        str,
        typer.Argument(
            help="An ONNX file, or package:file inside an installed package (magika: means the "
            "one model in it)."
        ),
    ],
    slo: Annotated[str, typer.Option(help="Latency objective with its unit, like 50ms.")],
    percentile: Annotated[
        float, typer.Option(help="Share of requests, in %, that must be within the SLO.")
    ] = 99.0,
    load: Annotated[str | None, typer.Option(help="One load in requests/s.")] = None,
    loads: Annotated[str | None, typer.Option(help="Several loads, like 20,80,160.")] = None,
    trace: Annotated[
        Path | None, typer.Option(help="CSV of recorded arrivals, in seconds, first column.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Time for everything, like 3m. [default: 80s, more for slow models]"),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Most measurements before the confirmation.")
    ] = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(help="Shape of one request, like images=1x3x320x320. Repeat per input."),
    ] = None,
    input: Annotated[
        Path | None, typer.Option(help="An .npz file with one request's arrays by input name.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of arrivals and sample inputs.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write. [default: MODEL.autotune.json]"),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the result alone, as JSON, on stdout.")
    ] = False,
) -> int:
    """Find the best configuration for each load and write it to a file.

    With no load named, the loads that matter are worked out from the profile: from nearly idle
    to just above what the machine can sustain.
    """
    from autotune.model_file import locate
    from autotune.spec import ModelSpec, Slo
    from autotune.stages.question import Question

    if not 0 < percentile < 100:
        raise UsageError(f"--percentile {percentile:g} must lie between 0 and 100, like 99")
    slo_s = parse_duration_s(slo, "--slo")
    if slo_s > MAX_SLO_S:
        raise UsageError(f"--slo {slo!r} is more than an hour: autotune is for online serving")
    if trials is not None and trials < 1:
        raise UsageError(f"--trials {trials} must be at least 1")
    if seed < 0:
        raise UsageError(f"--seed {seed} must not be negative")
    traffics = _traffics(load, loads, trace)
    path = locate(model)
    if input is not None and not input.is_file():
        raise UsageError(f"--input {input}: no such file")
    spec = ModelSpec(
        path=str(path),
        shapes=dict(_parse_shape(text) for text in shape or []),
        input_file=str(input) if input is not None else None,
        seed=seed,
    )
    question = Question(
        model=spec,
        name=model,
        slo=Slo(latency_ms=slo_s * 1e3, percentile=percentile),
        traffics=traffics,
        budget_s=parse_duration_s(budget, "--budget") if budget is not None else None,
        max_trials=trials,
        seed=seed,
        output=output or Path(f"{path.stem}.autotune.json"),
    )
    return _run(question, json)


def _run(question: "Question", json: bool) -> int:
    from autotune import config_file, tune
    from autotune.cli.app import INTERRUPTED
    from autotune.cli.live import watch

    try:
        with watch() as observe:
            tuned = tune.search(question, observe)
    except KeyboardInterrupt:
        typer.echo("interrupted before there was an answer; nothing was written", err=True)
        return INTERRUPTED
    if json:
        typer.echo(config_file.to_json(tuned), nl=False)
    else:
        from autotune.cli.table import print_answer

        print_answer(tuned)
        typer.echo(f"\nWritten to {question.output}")
    if tuned.status == "interrupted":
        return INTERRUPTED
    return 1 if tuned.status == "slo_not_met" else 0


def _traffics(load: str | None, loads: str | None, trace: Path | None) -> "list[Traffic] | None":
    from autotune.arrivals import Traffic, read_trace

    given = [
        name for name, value in (("--load", load), ("--loads", loads), ("--trace", trace)) if value
    ]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} all say how requests arrive: give one of them")
    if load is not None:
        return [Traffic(load_rps=parse_load_rps(load, "--load"))]
    if loads is not None:
        return [Traffic(load_rps=rps) for rps in parse_loads_rps(loads, "--loads")]
    if trace is not None:
        return [read_trace(trace)]
    return None


def _parse_shape(text: str) -> tuple[str, list[int]]:
    name, equals, sizes = text.rpartition("=")
    try:
        shape = [int(size) for size in sizes.lower().split("x")]
    except ValueError:
        shape = []
    if not equals or not name or not shape:
        raise UsageError(f"--shape {text!r} is not NAME=SIZES: write it like images=1x3x320x320")
    if min(shape) < 1:
        raise UsageError(f"--shape {text!r}: every size must be at least 1")
    return name, shape
