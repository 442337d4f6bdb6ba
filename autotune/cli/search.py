"""`autotune search`: flags -> Question -> tune.search -> table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli.flags import parse_model, parse_objective, parse_slo, parse_traffics
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
from autotune.units import parse_duration_s, parse_share

if TYPE_CHECKING:
    from autotune.stages.question import Question


def search(
    model: ModelArgument,
    slo: SloOption,
    percentile: PercentileOption = 99.0,
    load: LoadOption = None,
    loads: Annotated[str | None, typer.Option(help="Several loads, like 20,80,160.")] = None,
    arrivals: ArrivalsOption = None,
    trace: TraceOption = None,
    objective: Annotated[
        str,
        typer.Option(
            help="What to find: latency (lowest), capacity (highest load within the SLO), cpu or "
            "cores (least within the SLO)."
        ),
    ] = "latency",
    safe: Annotated[
        str | None,
        typer.Option(
            help="Try only what is predicted to miss the SLO with less than this chance, like 5%."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Time for everything, like 3m. [default: 80s, more for slow models]"),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Most measurements before the confirmation.")
    ] = None,
    shape: ShapeOption = None,
    input: InputOption = None,
    requests: RequestsOption = None,
    seed: SeedOption = 0,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write. [default: MODEL.autotune.json]"),
    ] = None,
    json: JsonOption = False,
) -> int:
    """Find the best configuration for each load and write it to a file.

    With no load named, the loads that matter are worked out from the profile: from nearly idle
    to just above what the machine can sustain.
    """
    from autotune.stages.question import Question

    asked_slo = parse_slo(slo, percentile)
    if trials is not None and trials < 1:
        raise UsageError(f"--trials {trials} must be at least 1")
    traffics, pattern = parse_traffics(load, loads, trace, arrivals)
    spec = parse_model(model, shape, input, requests, seed)
    question = Question(
        model=spec,
        name=model,
        slo=asked_slo,
        traffics=traffics,
        pattern=pattern,
        objective=parse_objective(objective),
        max_risk=None if safe is None else parse_share(safe, "--safe"),
        budget_s=parse_duration_s(budget, "--budget") if budget is not None else None,
        max_trials=trials,
        seed=seed,
        output=output or Path(f"{Path(spec.path).stem}.autotune.json"),
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
