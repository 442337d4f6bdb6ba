"""The `autotune` command: dispatch, and the one place where errors become exit codes.

0    answered
1    answered, but the SLO is not met at every load asked for, or measurements will be spoilt
2    a mistake in what was given; one line says which
3    `check`: a regression against the file
4    measured, but the SLO is undecided or the numbers are invalid
5    `check`: the file was made for another model, machine or runtime
130  interrupted (143 when terminated); the best so far was written where there was any
"""

import io
import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from typer.exceptions import TyperException

from autotune.cli.check import check
from autotune.cli.doctor import doctor
from autotune.cli.export import export
from autotune.cli.measure import measure
from autotune.cli.schema import schema
from autotune.cli.search import search
from autotune.cli.show import show
from autotune.cli.verify import verify
from autotune.errors import AutotuneError

INTERRUPTED = 130
TERMINATED = 143

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Find out how many replicas, threads and batches serve a model best, by measuring.",
)
app.command()(search)
app.command()(measure)
app.command()(export)
app.command()(verify)
app.command()(check)
app.command()(show)
app.command()(schema)
app.command()(doctor)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"autotune {version('autotune')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and exit."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A model's name may hold letters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="replace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    terminated = False

    def on_terminate(number: int, frame: FrameType | None) -> None:
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, on_terminate)
    # A shell starts background jobs with SIGINT ignored; whoever sends one means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = app(arguments, standalone_mode=False)
    except TyperException as error:
        return _refuse(" ".join(error.format_message().split()))
    except AutotuneError as error:
        return _refuse(str(error))
    code = code if isinstance(code, int) else 0
    return TERMINATED if terminated and code == INTERRUPTED else code


def _refuse(message: str) -> int:
    typer.echo(f"error: {message}", err=True)
    return 2
