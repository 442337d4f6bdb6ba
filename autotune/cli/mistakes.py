"""What a person mistyped, in one line that says what was probably meant."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from typer.exceptions import TyperException

from autotune.cli.foreign import clean
from autotune.cli.settings import Given
from autotune.errors import did_you_mean

VERY_CLOSE = 0.8
"""A word so close was meant, even where another command knows the one that was written."""
LONGEST = 1000
"""Characters of a complaint; more of what was given would bury what is wrong with it."""
_TIME_UNITS = ("us", "ms", "s", "sec", "m", "min", "h", "rps")


def complaint(message: str) -> str:
    """Return a message as one line that a terminal can show."""
    line = clean(message)
    if len(line) <= LONGEST:
        return line
    return f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


def explain(error: TyperException, arguments: Sequence[str]) -> str:
    """Return what is wrong with the arguments that the command line could not make sense of.

    The errors' classes are no part of Typer's interface; what they carry tells them apart.
    """
    context: Any = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    if context is None:
        return message[:1].lower() + message[1:]
    if hasattr(error, "possibilities"):
        return _no_such_option(context, error.option_name, arguments)  # type: ignore[attr-defined]
    if hasattr(error, "param_type"):
        return _missing(context, error.param)  # type: ignore[attr-defined]
    if isinstance(error, typer.BadParameter):
        return _bad_value(error)
    return message[:1].lower() + message[1:] + _help(context)


def extra(context: Any, words: Sequence[str], arguments: Sequence[str]) -> str:
    """Return what to say of arguments for which a command has no place."""
    word = words[0]
    return stray(context, word, arguments) or (
        f"{context.info_name} has no place for {word!r}{_example(context)}"
    )


def stray(context: Any, word: str, arguments: Sequence[str]) -> str | None:
    """Return what is wrong with a word that belongs to the one before it; None: it does not."""
    before = arguments[arguments.index(word) - 1] if word in arguments[1:] else ""
    flags = [one for one in context.command.params if getattr(one, "is_flag", False)]
    for flag in flags:
        if before in (*flag.opts, *flag.secondary_opts):
            other = next(iter(flag.secondary_opts), "")
            hint = f"; its opposite is {other}" if other else ""
            return f"{before} takes no value, so there is no place for {word!r}{hint}"
    if before[:1].isdigit() and (word in _TIME_UNITS or did_you_mean(word, ("minutes", "seconds"))):
        return f"{word!r} stands alone: write {before}{word}, or '{before} {word}' in quotes"
    return None


def twice(name: str, context: Any) -> str:
    """Return what to say of an option that may be given once."""
    several = name == "--load" and "--loads" in _options_of(context.command)
    return f"{name} is given twice{': several loads are --loads 80,160' if several else ''}"


def in_its_place(message: str, given: Mapping[str, tuple[Given, Sequence[str]]]) -> str:
    """Return a complaint about an option as one about the place where its value was given.

    Args:
        message: begins with the option, or with its value.
        given: what was not given on the command line, with the names that its option goes by.
    """
    for one, names in given.values():
        for name in names:
            if message.startswith((f"{name} ", f"{name}:")):
                return f"{one.where}{message.removeprefix(name)}"
        values = one.value if isinstance(one.value, list) else [one.value]
        if any(isinstance(v, str) and v and message.startswith(f"{v}:") for v in values):
            return f"{one.where}: {message}"
    return message


def _no_such_option(context: Any, option: str, arguments: Sequence[str]) -> str:
    names = _options_of(context.command)
    # `-slo 50ms` is read as `-s lo`.
    meant = [f"-{one}" for one in arguments if one.startswith(option) and f"-{one}" in names]
    hint = f"; did you mean {meant[0]!r}?" if meant else did_you_mean(option, names, VERY_CLOSE)
    hint = hint or _elsewhere(context, option) or did_you_mean(option, names)
    return f"{context.info_name} has no option {option!r}{hint or _help(context)}"


def _elsewhere(context: Any, option: str) -> str:
    """Return which other commands have an option, if these are few."""
    others = context.parent.command.commands if context.parent is not None else {}
    having = [name for name, other in others.items() if option in _options_of(other)]
    return f"; it is an option of {' and '.join(having)}" if 0 < len(having) <= 3 else ""


def _missing(context: Any, param: Any) -> str:
    if param.param_type_name == "argument":
        return f"{context.info_name} needs {param.metavar or param.name}{_example(context)}"
    return f"{context.info_name} needs {param.opts[-1]}{_example(context)}"


def _bad_value(error: typer.BadParameter) -> str:
    param: Any = error.param
    if param is None:
        return error.format_message()
    name = param.opts[-1]
    errors = getattr(error.__cause__, "errors", None)
    if errors is None:
        return f"{name}: {error.message}"
    value, kind = errors()[0].get("input"), errors()[0].get("type", "")
    if kind.startswith("int"):
        return f"{name} {value!r} is not a whole number"
    return f"{name} {value!r}: {error.message}"


def _options_of(command: Any) -> list[str]:
    return [
        name
        for param in command.params
        if param.param_type_name == "option"
        for name in (*param.opts, *param.secondary_opts)
    ]


def _example(context: Any) -> str:
    """Return how the command is written."""
    epilog = context.command.epilog
    return f", as in {epilog.splitlines()[0]}" if epilog else _help(context)


def _help(context: Any) -> str:
    return f": {context.command_path} --help lists them"
