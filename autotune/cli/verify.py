"""`autotune verify`: a real server with an export, held against what the file promises."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli import completions
from autotune.cli.exit_codes import ExitCode
from autotune.cli.flags import verbosity_of
from autotune.cli.options import (
    AllowSharedOption,
    ArrivalsOption,
    DryRunOption,
    FileArgument,
    FileSeedOption,
    InputOption,
    JsonOption,
    LoadOption,
    QuietOption,
    RequestsOption,
    ShapeOption,
    TraceOption,
    VerboseOption,
)
from autotune.cli.promise import entry_for, model_for, pattern_for
from autotune.errors import ModelError, UsageError
from autotune.given import check_day
from autotune.units import parse_duration_s

if TYPE_CHECKING:
    from autotune.servers.seen import Verified


def verify(
    file: FileArgument,
    server: Annotated[
        str,
        typer.Option(
            metavar="SERVER",
            help="The server, as named for `export`.",
            autocompletion=completions.servers,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The model, as named for `search`. [default: as the file names it]",
            autocompletion=completions.models,
        ),
    ] = None,
    load: LoadOption = None,
    duration: Annotated[str, typer.Option(metavar="DURATION", help="Of each load.")] = "10s",
    python: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Python that has the server installed. [default: this one]"
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="N", help="Port for the server. [default: any that is free]"),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Verify a server that runs already: where requests are posted."
        ),
    ] = None,
    arrivals: ArrivalsOption = None,
    trace: TraceOption = None,
    shape: ShapeOption = None,
    input: InputOption = None,
    requests: RequestsOption = None,
    seed: FileSeedOption = None,
    allow_shared: AllowSharedOption = False,
    dry_run: DryRunOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Start a server with a tuned file, drive it, and hold it against what was promised.

    Each configuration of the file is started and driven open-loop at its loads; which of its knobs
    took effect is seen from outside.
    """
    from autotune import config_file
    from autotune.cli.live import watch
    from autotune.servers.verify_policy import (
        PolicyQuestion,
        find_place,
        groups_of,
        verify_policy,
    )

    verbosity = verbosity_of(verbose, quiet)
    tuned = config_file.read(file)
    seed = tuned.search.seed if seed is None else seed
    duration_s = parse_duration_s(duration, "--duration")
    check_day(duration_s, f"--duration {duration!r}")
    place = find_place(tuned, server, python, port, url)
    try:
        spec = model_for(tuned, model or tuned.model.name, shape, input, requests, seed)
    except ModelError as error:
        raise UsageError(f"{error}; say where the model lies with --model") from None
    groups = [[entry_for(tuned, load, file)]] if load is not None else groups_of(tuned, url)
    pattern = pattern_for(tuned, groups[0][0].load_rps, arrivals, trace)
    question = PolicyQuestion(tuned, spec, groups, pattern, duration_s, seed, allow_shared)
    if dry_run:
        from autotune.cli.dry_run import plan_verify

        return plan_verify(question, place, json)
    try:
        with watch(verbosity) as observe:
            found = verify_policy(question, place, observe)
    except KeyboardInterrupt:
        typer.echo("interrupted; the server was ended", err=True)
        return ExitCode.INTERRUPTED
    return _tell(found, json)


def _tell(found: "list[Verified]", json: bool) -> int:
    from autotune.servers.seen import exit_code

    if json:
        from autotune.tabular import to_json

        typer.echo(to_json(found), nl=False)
    else:
        from autotune.cli.page import print_page
        from autotune.present.verified import verified_page

        print_page(verified_page(found))
    return ExitCode(exit_code(found))
