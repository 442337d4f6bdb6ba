"""Options that are not on the command line: of a settings file, and of the environment.

The command line wins, then the environment, then the file: the nearest `autotune.toml`, or
`[tool.autotune]` of a `pyproject.toml`, in the working directory or above, up to the root of the
repository. Options are named as on the command line, without dashes: at the top for all commands
that have them, in a table of a command's name for this one.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

from autotune.bounded_file import read_bytes
from autotune.cli.flags import KNOBS
from autotune.errors import UsageError, did_you_mean
from autotune.given import LARGEST
from autotune.runtime_environment import COMPILED_FOLDER, PASS_ENV

PREFIX = "AUTOTUNE_"
MOST_BYTES = 4_000_000
"""Of a settings file."""
_LONGEST_SHOWN = 60
ON_THE_COMMAND_LINE_ONLY = ("a", "b", "dry-run", "force", "fresh", "help", "list")
"""What is done once, on purpose."""
ONE_OF_EACH = ("output",)
"""What no two commands can share."""
_TOLD = ("BATCH_TIMEOUT_MS", "CONFIG", "SEEN")
EXPORTED = (*(knob.upper().replace("-", "_") for knob in KNOBS), *_TOLD)
"""Environment variables that tell a server what to do, as `autotune export` writes them, or as
`--apply` does: they are no options here, unless a command is named (AUTOTUNE_MEASURE_REPLICAS)."""
EXCLUDING = (
    ("load", "loads"),
    ("trace", "arrivals"),
    ("requests", "shape"),
    ("requests", "input"),
    ("verbose", "quiet"),
    ("json", "csv"),
)
"""Of these, what is given nearer to the command line silences the other."""
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")

Kinds = Mapping[str, Any]
"""Type by option, named as in a settings file."""


class Given(NamedTuple):
    """A value that was not given on the command line."""

    value: Any
    where: str
    """To be named in a complaint: `autotune.toml: slo` or `AUTOTUNE_SLO`."""
    source: str
    """File or variable."""


class SettingsFile(NamedTuple):
    """A file that was found, its table for autotune as it is."""

    path: Path
    table: dict[str, Any]

    @property
    def name(self) -> str:
        """How to call it from the working directory."""
        return os.path.relpath(self.path)


def find_file() -> SettingsFile | None:
    """Return the nearest settings file, if there is any.

    Raises:
        UsageError: it cannot be read, or holds no table for autotune where one should be.
    """
    try:
        here = Path.cwd()
    except OSError:  # The working directory was removed.
        return None
    for folder in (here, *here.parents):
        own = folder / "autotune.toml"
        if os.path.lexists(own):
            return SettingsFile(own, _own_table(own))
        project = folder / "pyproject.toml"
        if os.path.lexists(project):
            tool = _read(project).get("tool")
            if isinstance(tool, dict) and "autotune" in tool:
                return SettingsFile(project, _demand_table(tool["autotune"], project))
        if os.path.lexists(folder / ".git"):
            return None
    return None


def _own_table(path: Path) -> dict[str, Any]:
    table = _read(path)
    if "tool" in table:
        raise UsageError(
            f"{os.path.relpath(path)}: [tool.autotune] belongs in pyproject.toml: here the options "
            "stand at the top, those of one command in a table like [search]"
        )
    return table


def _demand_table(value: Any, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{os.path.relpath(path)}: tool.autotune is no table")
    return value


def _read(path: Path) -> dict[str, Any]:
    name = os.path.relpath(path)
    try:
        return tomllib.loads(read_bytes(path, MOST_BYTES).decode())
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{name}: is not UTF-8, so it is not TOML") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: is not TOML: {error}") from None


def given_in_file(
    file: SettingsFile, commands: Mapping[str, Kinds], command: str
) -> dict[str, Given]:
    """Return what a file gives to one command, by option; all of the file is checked.

    Args:
        file: as it was found.
        commands: the options of each command.
        command: whose options to return.

    Raises:
        UsageError: an unknown option or command, or a value of the wrong type; both are named.
    """
    everywhere, unclear = shared(commands)
    own: dict[str, Given] = {}
    general: dict[str, Given] = {}
    for key, value in file.table.items():
        if isinstance(value, dict):
            kinds = commands.get(key)
            if kinds is None:
                raise UsageError(f"{file.name}: [{key}] is no command{did_you_mean(key, commands)}")
            inner = {name: _given(file, kinds, (key, name), one) for name, one in value.items()}
            own = inner if key == command else own
        elif key in commands and key not in everywhere:
            raise UsageError(f"{file.name}: {key}: is a command: write its options below [{key}]")
        elif key in unclear:
            tables = " or ".join(f"[{name}]" for name, kinds in commands.items() if key in kinds)
            raise UsageError(
                f"{file.name}: {key}: is not the same for all commands: write it below {tables}"
            )
        else:
            general[key] = _given(file, everywhere, (key,), value)
    mine = commands[command]
    fitting = {key: _listed(mine[key], one) for key, one in general.items() if key in mine}
    return {**yield_to(fitting, set(own)), **own}


def shared(commands: Mapping[str, Kinds]) -> tuple[Kinds, set[str]]:
    """Return the options that mean the same in each command that has them, and the others."""
    found: dict[str, Any] = {}
    unclear = set(ONE_OF_EACH)
    for kinds in commands.values():
        for key, kind in kinds.items():
            known = found.setdefault(key, kind)
            if {known, kind} == {str, list[str]}:  # where several may be named, one may
                found[key] = str
            elif known != kind:
                unclear.add(key)
    return {key: kind for key, kind in found.items() if key not in unclear}, unclear


def _listed(kind: Any, one: Given) -> Given:
    """Return a value as a list where an option takes several."""
    is_one = get_origin(kind) is list and not isinstance(one.value, list)
    return one._replace(value=[one.value]) if is_one else one


def _given(file: SettingsFile, kinds: Kinds, path: tuple[str, ...], value: Any) -> Given:
    key, where = path[-1], f"{file.name}: {'.'.join(path)}"
    if key in ON_THE_COMMAND_LINE_ONLY:
        raise UsageError(f"{where}: may be given on the command line only")
    if key not in kinds:
        raise UsageError(f"{where}: there is no such option{did_you_mean(key, kinds)}")
    kind = kinds[key]
    taken = _from_toml(kind, value, key)
    if taken is None:
        raise UsageError(f"{where}: must be {_wanted(kind, key)}{_written(value)}")
    if is_path(kind) or key == "model":
        taken = _beside(file.path, taken)
    return Given(taken, where, file.name)


def _from_toml(kind: Any, value: Any, key: str) -> Any:
    """Return a TOML value as an option takes it; None where it is of the wrong type."""
    if isinstance(value, int) and abs(value) > LARGEST:  # which Python may refuse to write out
        return None
    if get_origin(kind) is list:
        values = value if isinstance(value, list) else [value]
        return values if all(isinstance(one, str) for one in values) else None
    if key == "loads" and isinstance(value, list):
        parts = [_from_toml(str, one, "load") for one in value]
        return ",".join(parts) if parts and None not in parts else None
    if kind is bool or isinstance(value, bool):
        return value if kind is bool and isinstance(value, bool) else None
    if kind is str and isinstance(value, int | float):
        return f"{value!r}"
    return value if isinstance(value, int if kind is int else str) else None


def _wanted(kind: Any, key: str) -> str:
    if get_origin(kind) is list:
        return "a list of strings"
    wanted = {bool: "true or false", int: "a whole number"}.get(kind, "a string in quotes")
    return f"{wanted}, or a list of loads" if key == "loads" else wanted


def _written(value: Any) -> str:
    """Return how a value stands in the file, where that is short."""
    if isinstance(value, bool):
        return f", not {str(value).lower()}"
    if isinstance(value, int) and abs(value) > LARGEST:
        return f" of at most {LARGEST}"
    if not isinstance(value, str | int | float):
        return ""
    text = f', not "{value}"' if isinstance(value, str) else f", not {value}"
    return text if len(text) < _LONGEST_SHOWN else ""


def is_path(kind: Any) -> bool:
    """Whether an option's values are paths."""
    return kind is Path or kind == list[Path]


def _beside(file: Path, value: Any) -> Any:
    """Return paths of a settings file, which are relative to it, relative to where we are."""
    if isinstance(value, list):
        return [_beside(file, one) for one in value]
    path = file.parent / value
    # A model may as well be `package:file`.
    in_package = ":" in value and not path.exists() and value.partition(":")[0].isidentifier()
    return value if in_package or not value else os.path.relpath(path)


def given_in_environment(
    environment: Mapping[str, str], commands: Mapping[str, Kinds], command: str
) -> dict[str, Given]:
    """Return what the environment gives to one command, by option.

    Args:
        environment: values by variable.
        commands: the options of each command.
        command: whose options to return.

    Raises:
        UsageError: a value that is none of this type; the variable is named.
    """
    found = {}
    everywhere, _ = shared(commands)
    for key, kind in commands[command].items():
        for name in _names(key, command, everywhere):
            if text := environment.get(name):
                whole = key == "model" and (kind is str or os.path.exists(text))
                taken = _listed(kind, Given(text, name, name)) if whole else None
                found[key] = taken or Given(_from_text(kind, text, name), name, name)
    return found


def _names(key: str, command: str, everywhere: Kinds) -> Iterator[str]:
    """Yield the variables that give an option, the strongest last."""
    name = key.upper().replace("-", "_")
    if key in ON_THE_COMMAND_LINE_ONLY:
        return
    if name not in EXPORTED and key in everywhere:
        yield f"{PREFIX}{name}"
    yield f"{PREFIX}{command.upper()}_{name}"


def _from_text(kind: Any, text: str, name: str) -> Any:
    if get_origin(kind) is list:
        return text.split()
    if kind is bool:
        if text.lower() not in _TRUE + _FALSE:
            raise UsageError(f"{name} {text!r} is neither yes nor no")
        return text.lower() in _TRUE
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise UsageError(f"{name} {text!r} is not a whole number") from None
    return text


def unknown_variables(environment: Mapping[str, str], commands: Mapping[str, Kinds]) -> list[str]:
    """Return a line for each variable that looks as if it should give an option, and gives none."""
    everywhere, unclear = shared(commands)
    known = {
        name
        for command, kinds in commands.items()
        for key in kinds
        for name in _names(key, command, everywhere)
    }
    foreign = {f"{PREFIX}{name}" for name in EXPORTED} | {PASS_ENV, COMPILED_FOLDER}
    lines = []
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in known | foreign:
            continue
        key = name.removeprefix(PREFIX).lower().replace("_", "-")
        having = [command for command, kinds in commands.items() if key in kinds]
        hint = did_you_mean(name, known)
        if key in ON_THE_COMMAND_LINE_ONLY:
            hint = ": that may be given on the command line only"
        elif key in unclear and having:
            hint = f": name the command, as in {next(_names(key, having[0], everywhere))}"
        lines.append(f"{name} gives no option{hint}")
    return lines


def yield_to(given: Mapping[str, Given], taken: set[str]) -> dict[str, Given]:
    """Return what is left of a source of options where stronger ones gave `taken`."""
    silenced = set(taken)
    for pair in EXCLUDING:
        for one, other in (pair, pair[::-1]):
            if one in taken:
                silenced.add(other)
    return {key: one for key, one in given.items() if key not in silenced}


def plain_kind(hint: Any) -> Any:
    """Return the type of an option's values: without `| None`."""
    if get_origin(hint) in (Union, UnionType):
        return next(one for one in get_args(hint) if one is not NoneType)
    return hint
