"""The `autotune` command: dispatch, and the one place where errors become exit codes."""

import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Annotated

import typer
from typer.exceptions import TyperException

from autotune.cli.check import check
from autotune.cli.commands import HELP_OPTIONS, Command, Group
from autotune.cli.compare import compare
from autotune.cli.doctor import doctor
from autotune.cli.exit_codes import ExitCode
from autotune.cli.export import export
from autotune.cli.fleet import fleet
from autotune.cli.ls import ls
from autotune.cli.measure import measure
from autotune.cli.mistakes import complaint, explain
from autotune.cli.plan import plan
from autotune.cli.report import report
from autotune.cli.schema import schema
from autotune.cli.search import search
from autotune.cli.show import show
from autotune.cli.verify import verify
from autotune.cli.watch import watch
from autotune.errors import AutotuneError

CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Nobody's mistake in what was given, nor a fault of ours."""

app = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": list(HELP_OPTIONS)},
    help="Find out how many replicas, threads and batches serve a model best, by measuring.",
)

# Each with an example, which stands in its help and in complaints.
MEASURE, DEPLOY, LOOK = "Measure", "Deploy", "Look"
for panel, command, example in (
    (MEASURE, search, "autotune search model.onnx --slo 50ms"),
    (MEASURE, measure, "autotune measure model.onnx --slo 50ms --load 100 --replicas 2"),
    (MEASURE, fleet, "autotune fleet search model.onnx --slo 50ms --ray auto"),
    (DEPLOY, export, "autotune export model.autotune.json --to triton"),
    (DEPLOY, verify, "autotune verify model.autotune.json --server litserve"),
    (DEPLOY, check, "autotune check model.autotune.json model.onnx --budget 60s"),
    (DEPLOY, watch, "autotune watch model.autotune.json --observed latencies.csv"),
    (DEPLOY, plan, "autotune plan c7g.large.autotune.json --trace day.csv --prices prices.toml"),
    (LOOK, show, "autotune show model.autotune.json"),
    (LOOK, compare, "autotune compare before.autotune.json after.autotune.json"),
    (LOOK, ls, "autotune ls"),
    (LOOK, report, "autotune report model.autotune.json"),
    (LOOK, schema, "autotune schema > autotune.schema.json"),
    (LOOK, doctor, "autotune doctor"),
):
    app.command(cls=Command, rich_help_panel=panel, epilog=example)(command)


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
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if stream is None:
            # Else the next file or pipe would take its number, and children would write there.
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A model's name may hold letters that the terminal's encoding lacks.
            stream.reconfigure(errors="replace")
    try:
        code = run(sys.argv[1:])
    except Exception:
        traceback.print_exc()
        typer.echo("error: a fault of autotune itself: please report the lines above", err=True)
        code = ExitCode.FAULT
    sys.exit(_flushed(code))


def _flushed(code: int) -> int:
    """Write what is left to be written; return the exit code, another where that fails."""
    if sys.stdout is None:
        return code
    try:
        sys.stdout.flush()
        return code
    except OSError as error:
        # Python flushes once more as it ends, and must not fail then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        closed = isinstance(error, BrokenPipeError)
        known = closed or code == ExitCode.MISTAKE
        return int(ExitCode.CLOSED if closed else code) if known else _refuse(_unwritten(error))


def run(arguments: Sequence[str]) -> int:
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
        code = app(arguments, prog_name="autotune", standalone_mode=False)
    except TyperException as error:
        return _refuse(explain(error, arguments))
    except AutotuneError as error:
        return _refuse(str(error))
    except SystemExit as error:
        # What prints for us ends the program like this where nobody reads on.
        if isinstance(error.__context__, BrokenPipeError):
            return int(ExitCode.CLOSED)
        raise
    except OSError as error:
        name = str(error.filename or "")
        if error.errno in CANNOT_WRITE:
            return _refuse(_unwritten(error))
        # A path too strange to be looked at: too long, a loop of links, a folder without rights.
        if name and any(name in one or (one and name.startswith(f"{one}/")) for one in arguments):
            return _refuse(f"{name}: {error.strerror}")
        raise
    code = code if isinstance(code, int) else ExitCode.ANSWERED
    interrupted = code == ExitCode.INTERRUPTED
    return int(ExitCode.TERMINATED if terminated and interrupted else code)


def _unwritten(error: OSError) -> str:
    return f"cannot write {error.filename or 'the output'}: {error.strerror}"


def _refuse(message: str) -> int:
    typer.echo(f"error: {complaint(message)}", err=True)
    return int(ExitCode.MISTAKE)
