"""How every command behaves: its help, its settings, its mistakes."""

import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from autotune.cli import mistakes, settings
from autotune.cli.exit_codes import ExitCode, all_meanings, meanings_for
from autotune.cli.options import OUTPUT
from autotune.cli.settings import Given, Kinds
from autotune.errors import AutotuneError, UsageError, did_you_mean

HELP_OPTIONS = ("-h", "--help")
ONCE = (
    "load",
    "loads",
    "compare",
    "to",
    "server",
    "input",
    "requests",
    "trace",
    "observed",
    "prices",
)
"""Options of which the last would win where a person may have meant both."""
_USED = "autotune.settings"


class Command(TyperCommand):
    """A command whose options may come from a settings file and from the environment.

    Its epilog is an example, which complaints show as well.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Fill in what the command line does not say, then read it."""
        if not ctx.resilient_parsing and not set(args) & set(HELP_OPTIONS):
            names = {_key(param): param for param in self.params}
            here = self._on_the_command_line(ctx, args)
            used = _look_up(ctx, {key for key, param in names.items() if param.name in here})
            ctx.default_map = {names[key].name: one.value for key, one in used.items()}
            ctx.meta[_USED] = {
                key: (one, (*names[key].opts, *names[key].secondary_opts))
                for key, one in used.items()
            }
        return super().parse_args(ctx, args)

    def _on_the_command_line(self, ctx: Any, args: list[str]) -> set[str]:
        """Return the parameters that the command line gives.

        Raises:
            UsageError: one twice, or words that are none.
        """
        found, rest, order = self.make_parser(ctx).parse_args(list(args))
        for param in order:
            if param.name in ONCE and order.count(param) > 1:
                raise UsageError(mistakes.twice(param.opts[-1], ctx))
            given = found.get(param.name)
            if param.param_type_name == "argument" and isinstance(given, list | tuple):
                for word in given[1:]:
                    if wrong := mistakes.stray(ctx, word, args):
                        raise UsageError(wrong)
            empty = "" in given if isinstance(given, list | tuple) else given == ""
            if empty and settings.is_path(_kinds(self)[_key(param)]):
                name = param.metavar if param.param_type_name == "argument" else param.opts[-1]
                raise UsageError(f"{name} is empty: name a file")
        if rest:
            raise UsageError(mistakes.extra(ctx, rest, args))
        return {name for name, value in found.items() if value is not None}

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a value from elsewhere is complained of where it was given."""
        used = ctx.meta.get(_USED, {})
        if not ctx.params.get("quiet"):
            _tell([one for one, _ in used.values()])
        try:
            return super().invoke(ctx)
        except AutotuneError as error:
            error.args = (mistakes.in_its_place(str(error), used),)
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what the usage line says after the command; only brackets mean something."""
        return [
            piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)
        ]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, these in groups."""
        _write_parameters(self.get_params(ctx), ctx, formatter)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write what the command does, and an example."""
        super().format_help_text(ctx, formatter)
        if self.epilog:
            with formatter.section("Example"):
                for line in self.epilog.splitlines():
                    formatter.write(f"  {line}\n")

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write what the exit codes say that are the command's own."""
        if codes := meanings_for(self.name or ""):
            with formatter.section("Exit codes, besides 0 and 2"):
                formatter.write_dl(codes)


class Group(TyperGroup):
    """All commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what stands before the command; where nothing stands at all, help."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(ExitCode.MISTAKE)
        try:
            return super().parse_args(ctx, args)
        except typer.Exit as ended:
            if ended.exit_code:
                raise UsageError("there is completion for bash, zsh, fish and PowerShell") from None
            raise
        except OSError as error:
            if error.filename is None:
                raise
            raise UsageError(f"{error.filename}: {error.strerror}") from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first word names.

        Raises:
            UsageError: there is no such command.
        """
        word = args[0]
        if word not in self.commands and not ctx.resilient_parsing and word[:1] != "-":
            hint = did_you_mean(word, self.commands) or ": `autotune --help` lists them"
            raise UsageError(f"no command {word!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands in groups, then the options."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            panel = getattr(command, "rich_help_panel", None) or "More"
            first = inspect.cleandoc(command.help or "").partition("\n\n")[0]
            groups.setdefault(panel, []).append((name, " ".join(first.split()).rstrip(".")))
        widest = max(len(name) for name in self.commands)
        for panel, rows in groups.items():
            with formatter.section(panel):
                # As wide in each group, so that all line up.
                formatter.write_dl([(name.ljust(widest), text) for name, text in rows])
        _write_parameters(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write where else options come from, and the table of exit codes."""
        with formatter.section("Settings"):
            formatter.write_dl(SETTINGS)
        with formatter.section("Exit codes"):
            formatter.write_dl(all_meanings())


SETTINGS = (
    ("command line", "wins over all others"),
    ("AUTOTUNE_SLO=50ms", "environment: any option, for all commands that have it"),
    ("AUTOTUNE_SEARCH_SLO=50ms", "for one command; wins over the former"),
    ("AUTOTUNE_PASS_ENV=NAME,...", "variables that code of your own needs; models get no others"),
    ("autotune.toml", 'slo = "50ms" at the top, or in a table of a command: [search]'),
    ("pyproject.toml", "likewise in [tool.autotune] and [tool.autotune.search]"),
    ("NO_COLOR, FORCE_COLOR", "colours never, or even where there is no terminal"),
    ("COLUMNS", "how wide tables may be"),
)
"""Where options come from besides the command line."""


def kinds_of(commands: Mapping[str, Any]) -> dict[str, Kinds]:
    """Return what each command takes: the type of each option, named as in a settings file."""
    return {name: _kinds(command) for name, command in commands.items()}


def _kinds(command: Any) -> Kinds:
    hints = get_type_hints(command.callback)
    return {
        _key(param): settings.plain_kind(hints[param.name])
        for param in command.params
        if param.name in hints
    }


def _key(param: Any) -> str:
    """Return how a settings file calls a parameter."""
    longest: str = max(param.opts, key=len)
    return longest.lstrip("-").replace("_", "-")


def _look_up(ctx: Any, here: set[str]) -> dict[str, Given]:
    """Return what the environment and the settings file give besides the command line.

    Raises:
        UsageError: the file or the environment cannot be used.
    """
    commands, name = kinds_of(ctx.parent.command.commands), ctx.info_name
    for line in settings.unknown_variables(os.environ, commands):
        typer.echo(f"warning: {line}", err=True)
    around = settings.given_in_environment(os.environ, commands, name)
    around = settings.yield_to(around, here)
    file = settings.find_file()
    if file is None:
        return around
    below = settings.given_in_file(file, commands, name)
    return {**settings.yield_to(below, here | set(around)), **around}


def _tell(used: Sequence[Given]) -> None:
    """Say on standard error what took effect that is not on the command line."""
    if not used:
        return
    by_source: dict[str, list[str]] = {}
    for one in used:
        key = one.where.removeprefix(one.source).lstrip(": ").rpartition(".")[2]
        by_source.setdefault(one.source, []).append(key)
    parts = [
        f"{', '.join(filter(None, keys))} from {source}" if any(keys) else source
        for source, keys in by_source.items()
    ]
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"settings: {'; '.join(parts)}", style="dim", markup=False)


def _write_parameters(params: Iterable[Any], ctx: Any, formatter: Any) -> None:
    groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for param in params:
        record = param.get_help_record(ctx)
        if record is None:
            continue
        if param.param_type_name == "argument":
            groups["Arguments"].append((param.metavar or param.name, record[1]))
        else:
            panel = getattr(param, "rich_help_panel", None) or "Options"
            groups.setdefault(panel, []).append(record)
    # What can be said of any command comes last.
    groups[OUTPUT] = groups.pop(OUTPUT, [])
    for panel, rows in groups.items():
        if rows:
            with formatter.section(panel):
                formatter.write_dl(rows)
