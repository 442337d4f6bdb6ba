"""`autotune check`: does a tuned file still hold? The gate before a deploy."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli import completions
from autotune.cli.exit_codes import CHECKED, ExitCode
from autotune.cli.flags import verbosity_of
from autotune.cli.options import (
    OUTPUT,
    AllowSharedOption,
    ArrivalsOption,
    DryRunOption,
    FileArgument,
    FileSeedOption,
    InputOption,
    JsonOption,
    LoadOption,
    ModelArgument,
    QuietOption,
    RequestsOption,
    ShapeOption,
    StoreOption,
    TraceOption,
    TrustPickleOption,
    VerboseOption,
)
from autotune.cli.promise import entry_for, model_for, pattern_for
from autotune.errors import UsageError, did_you_mean
from autotune.given import check_day
from autotune.units import parse_duration_s, parse_share

if TYPE_CHECKING:
    from autotune.stages.gate import GateReport
    from autotune.stages.gate_rounds import GateQuestion


def check(
    file: FileArgument,
    model: ModelArgument,
    load: LoadOption = None,
    budget: Annotated[str, typer.Option(metavar="DURATION", help="Time for everything.")] = "60s",
    tolerance: Annotated[
        str,
        typer.Option(
            metavar="SHARE",
            help="An execution may cost so much more CPU time than in the file; twice as much is "
            "caught in 95 % of checks.",
        ),
    ] = "10%",
    stale: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="What to do about another model, machine or runtime than the file was made for: "
            "error (exit code 5, unless something graver is found) or warn.",
            autocompletion=completions.stale,
        ),
    ] = "error",
    junit: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the result as JUnit XML to this file, too.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    github: Annotated[
        bool,
        typer.Option(
            "--github",
            help="Print GitHub Actions annotations and append to the step's summary.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    arrivals: ArrivalsOption = None,
    trace: TraceOption = None,
    shape: ShapeOption = None,
    input: InputOption = None,
    requests: RequestsOption = None,
    trust_pickle: TrustPickleOption = False,
    seed: FileSeedOption = None,
    store: StoreOption = None,
    allow_shared: AllowSharedOption = False,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Say whether a tuned file still holds, by measuring what it recommends again.

    The recommended configuration is measured twice a round, beside the runtime's default.
    """
    from msgspec import structs

    from autotune import config_file
    from autotune.promise import demand_engine, entry_to_check, uncheckable_because
    from autotune.stages.gate_rounds import GateQuestion
    from autotune.stages.question import Keeping

    verbosity = verbosity_of(verbose, quiet)
    if stale not in ("error", "warn"):
        hint = did_you_mean(stale, ("error", "warn"))
        raise UsageError(f"--stale {stale}: is neither error nor warn{hint}")
    if junit is not None and not junit.parent.is_dir():
        raise UsageError(f"--junit {junit}: there is no folder {junit.parent}; make it first")
    if junit is not None and junit.is_dir():
        raise UsageError(f"--junit {junit}: is a directory; name a file in it")
    tuned = config_file.read(file)
    demand_engine(tuned, str(file))
    seed = tuned.search.seed if seed is None else seed
    budget_s = parse_duration_s(budget, "--budget")
    check_day(budget_s, f"--budget {budget!r}")
    spec = model_for(tuned, model, shape, input, requests, seed)
    spec = structs.replace(spec, trust_pickle=trust_pickle)
    entry = entry_to_check(tuned) if load is None else entry_for(tuned, load, file)
    question = GateQuestion(
        tuned=tuned,
        file=str(file),
        model=spec,
        name=model,
        entry=entry,
        pattern=pattern_for(tuned, entry.load_rps, arrivals, trace),
        stale=uncheckable_because(tuned, str(file), Path(spec.path)),
        stale_fails=stale == "error",
        tolerance=parse_share(tolerance, "--tolerance"),
        budget_s=budget_s,
        seed=seed,
        keeping=Keeping(store=store, allow_shared=allow_shared),
    )
    if dry_run:
        from autotune.cli.dry_run import plan_check

        return plan_check(question, verbosity, json)
    return _run(question, junit, github, verbosity, json)


def _run(
    question: "GateQuestion", junit: Path | None, github: bool, verbosity: int, json: bool
) -> int:
    from autotune import tune
    from autotune.cli.live import watch

    try:
        with watch(verbosity) as observe:
            report = tune.check(question, observe)
    except KeyboardInterrupt:
        typer.echo("interrupted before there was a verdict", err=True)
        return ExitCode.INTERRUPTED
    _tell(report, junit, github, json)
    return CHECKED[report.answer]


def _tell(report: "GateReport", junit: Path | None, github: bool, json: bool) -> None:
    from autotune.cli import ci
    from autotune.cli.page import print_page
    from autotune.present.gate import gate_page

    if junit is not None:
        try:
            junit.write_text(ci.junit_xml(report), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--junit {junit}: cannot be written: {error.strerror}") from None
    if json:
        from autotune.tabular import to_json

        typer.echo(to_json(report), nl=False)
    else:
        print_page(gate_page(report))
    if github:
        typer.echo(ci.github_annotation(report), err=json)
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            try:
                with open(summary, "a", encoding="utf-8") as step:
                    step.write(ci.github_summary(report))
            except OSError as error:
                raise UsageError(
                    f"GITHUB_STEP_SUMMARY {summary}: cannot be written: {error.strerror}"
                ) from None
