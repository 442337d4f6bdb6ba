"""`autotune check`: does a tuned file still hold? The gate before a deploy."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli.options import (
    ArrivalsOption,
    FileArgument,
    FileSeedOption,
    InputOption,
    JsonOption,
    LoadOption,
    ModelArgument,
    RequestsOption,
    ShapeOption,
    TraceOption,
)
from autotune.cli.promise import entry_for, model_for, pattern_for
from autotune.errors import UsageError
from autotune.units import DAY_S, parse_duration_s, parse_share

if TYPE_CHECKING:
    from autotune.config_file import PolicyEntry, TunedFile
    from autotune.stages.gate import GateReport
    from autotune.stages.gate_rounds import GateQuestion

EXIT_CODES = {"holds": 0, "slo_missed": 1, "regression": 3, "undecided": 4, "stale": 5}


def check(
    file: FileArgument,
    model: ModelArgument,
    load: LoadOption = None,
    budget: Annotated[str, typer.Option(help="Time for everything.")] = "60s",
    tolerance: Annotated[
        str,
        typer.Option(
            help="An execution may cost so much more CPU time than in the file; twice as much is "
            "caught in 95 % of checks."
        ),
    ] = "10%",
    stale: Annotated[
        str,
        typer.Option(
            help="What to do about another model, machine or runtime than the file was made for: "
            "error (exit code 5, unless something graver is found) or warn."
        ),
    ] = "error",
    junit: Annotated[
        Path | None, typer.Option(help="Write the result as JUnit XML to this file, too.")
    ] = None,
    github: Annotated[
        bool,
        typer.Option(
            "--github", help="Print GitHub Actions annotations and append to the step's summary."
        ),
    ] = False,
    arrivals: ArrivalsOption = None,
    trace: TraceOption = None,
    shape: ShapeOption = None,
    input: InputOption = None,
    requests: RequestsOption = None,
    seed: FileSeedOption = None,
    json: JsonOption = False,
) -> int:
    """Measure what a tuned file recommends again, beside the default, and say whether it holds.

    Exit codes: 0 holds; 1 the SLO is missed; 2 a mistake in what was given; 3 a regression
    against the file; 4 undecided; 5 made for another model, machine or runtime.
    """
    from autotune import config_file
    from autotune.stages.gate_rounds import GateQuestion
    from autotune.stale import stale_because

    if stale not in ("error", "warn"):
        raise UsageError(f"--stale {stale}: is neither error nor warn")
    if junit is not None and not junit.parent.is_dir():
        raise UsageError(f"--junit {junit}: there is no folder {junit.parent}; make it first")
    tuned = config_file.read(file)
    seed = tuned.search.seed if seed is None else seed
    budget_s = parse_duration_s(budget, "--budget")
    if budget_s > DAY_S:
        raise UsageError(f"--budget {budget!r} is more than a day")
    spec = model_for(tuned, model, shape, input, requests, seed)
    reasons = stale_because(tuned, Path(spec.path))
    if tuned.reference is None:
        reasons.append(f"{file}: does not say what an execution cost (an older version wrote it)")
    entry = choose_entry(tuned, load, file)
    question = GateQuestion(
        tuned=tuned,
        file=str(file),
        model=spec,
        name=model,
        entry=entry,
        pattern=pattern_for(tuned, entry.load_rps, arrivals, trace),
        stale=reasons,
        stale_fails=stale == "error",
        tolerance=parse_share(tolerance, "--tolerance"),
        budget_s=budget_s,
        seed=seed,
    )
    return _run(question, junit, github, json)


def choose_entry(tuned: "TunedFile", load: str | None, file: Path) -> "PolicyEntry":
    """Return the promise to check: that of the load, or the safest that the file recommends.

    Without a load, among the recommended configuration's loads that meet the SLO: the highest
    where that is proven, else the one furthest below the SLO. A promise that was no more than
    just kept would be called broken by chance.

    Raises:
        UsageError: the load is above all that were tuned for.
    """
    if load is not None:
        return entry_for(tuned, load, file)
    mine = [one for one in tuned.policy if one.config == tuned.recommended] or tuned.policy
    meeting = [one for one in mine if one.meets_slo and one.measured is not None] or mine
    proven = [one for one in meeting if one.measured and one.measured.slo_verdict == "met"]
    return proven[-1] if proven else min(meeting, key=_latency_ms)


def _latency_ms(entry: "PolicyEntry") -> float:
    value = entry.measured.objective.value_ms if entry.measured is not None else None
    return entry.predicted_ms if value is None else value


def _run(question: "GateQuestion", junit: Path | None, github: bool, json: bool) -> int:
    from autotune import tune
    from autotune.cli.app import INTERRUPTED
    from autotune.cli.live import watch

    try:
        with watch() as observe:
            report = tune.check(question, observe)
    except KeyboardInterrupt:
        typer.echo("interrupted before there was a verdict", err=True)
        return INTERRUPTED
    _tell(report, junit, github, json)
    return EXIT_CODES[report.answer]


def _tell(report: "GateReport", junit: Path | None, github: bool, json: bool) -> None:
    from autotune.cli import ci
    from autotune.cli.gate_table import print_gate

    if junit is not None:
        try:
            junit.write_text(ci.junit_xml(report), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--junit {junit}: cannot be written: {error.strerror}") from None
    if json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        print_gate(report)
    if github:
        typer.echo(ci.github_annotation(report), err=json)
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            with open(summary, "a", encoding="utf-8") as step:
                step.write(ci.github_summary(report))
