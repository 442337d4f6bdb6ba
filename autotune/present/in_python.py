"""Complaints and advice in the words of Python: `--slo 50ms` is `slo_ms=50` here.

What is refused deep inside is said in options of the command line, for which it was written.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from autotune.errors import AutotuneError, UsageError
from autotune.present.document import Document, Line, Row, Table
from autotune.units import (
    parse_duration_s,
    parse_load_rps,
    parse_shapes,
    parse_share,
    parse_watts,
)

P = ParamSpec("P")
R = TypeVar("R")


def _number(value: str) -> str:
    return f"{float(value):g}"


def _share(value: str) -> str:
    return f"{parse_share(value, ''):g}"


def _watts(value: str) -> str:
    return f"{parse_watts(value, ''):g}"


_AS_NUMBER = (
    "percentile",
    "confidence",
    "trials",
    "seed",
    "port",
    "replicas",
    "intra-op-threads",
    "inter-op-threads",
    "max-batch-size",
    "devices",
    "nodes-per-type",
    "at-once",
    "compare",  # knobs, which are none, stay as they are
)
_AS_TEXT = (
    "arrivals",
    "trace",
    "observed",
    "objective",
    "strategy",
    "input",
    "requests",
    "output",
    "store",
    "learn-from",
    "incumbent",
    "execution-mode",
    "replicas-as",
    "form",
    "provider",
    "device",
    "stale",
    "server",
    "to",
    "model",
    "python",
    "target",
    "apply",
    "url",
    "prices",
    "report",
    "hpa",
    "keda",
    "ray",
)
ARGUMENTS: dict[str, tuple[str, Callable[[str], str]]] = {
    "slo": ("slo_ms", lambda value: f"{1e3 * parse_duration_s(value, ''):g}"),
    "batch-timeout": ("batch_timeout_ms", lambda value: f"{1e3 * parse_duration_s(value, ''):g}"),
    "budget": ("budget_s", lambda value: f"{parse_duration_s(value, ''):g}"),
    "duration": ("duration_s", lambda value: f"{parse_duration_s(value, ''):g}"),
    "step": ("step_s", lambda value: f"{parse_duration_s(value, ''):g}"),
    "load": ("load_rps", lambda value: f"{parse_load_rps(value, ''):g}"),
    "loads": ("loads_rps", lambda value: f"{parse_load_rps(value, ''):g}"),
    "shape": ("shapes", lambda value: f"{parse_shapes([value], '')}"),
    **{name: (name, lambda value: f"{value.split(',')}") for name in ("forms", "providers")},
    "safe": ("safe", _share),
    "tolerance": ("tolerance", _share),
    "false-alarms": ("false_alarms", _share),
    **{name: (name.replace("-", "_"), _watts) for name in ("idle-watts", "core-watts")},
    **{name: (name.replace("-", "_"), _number) for name in _AS_NUMBER},
    **{name: (name.replace("-", "_"), repr) for name in _AS_TEXT},
}
"""What an option of the command line is called here, and how its value is written."""
_ASKED = ("force", "trust-pickle", "fresh", "blank", "allow-shared")
_SWITCHES = ("spinning", "channels-last", "overlap", "cuda-graphs")
FLAGS = {
    **{name: f"{name.replace('-', '_')}=True" for name in (*_SWITCHES, *_ASKED)},
    **{f"no-{name}": f"{name.replace('-', '_')}=False" for name in _SWITCHES},
}
_NO_VALUES = {"and", "or", "of", "the", "both", "names", "to", "is", "with", "a"}
_OPTION = re.compile(
    r"(?<![\w-])(?:--(?P<name>[a-z][a-z-]*)|-o(?= ))"
    r"(?P<space> +(?P<value>(?!-\D|[,;:]|\.\.\.)\S+?)(?=[:;,.)]*(?:\s|$)))?"
)
_COMMAND = re.compile(
    r"`?\bautotune (?P<verb>search|doctor)\b(?P<model> +(?!-)\S+(?= --))?"
    r"(?P<options>(?: +--[a-z-]+ +\S+)*)`?"
)


def in_python(text: str) -> str:
    """Return a sentence in which options and commands have become arguments and calls."""
    return _OPTION.sub(_as_argument, _COMMAND.sub(_as_call, text)).replace("} shapes={", ", ")


def page_in_python(page: Document) -> Document:
    """Return a page with its sentences and cells likewise."""
    return [
        Line(in_python(part.text), part.tone)
        if isinstance(part, Line)
        else Table(part.columns, [Row([*map(in_python, row.cells)], row.tone) for row in part.rows])
        for part in page
    ]


def speaks_python(function: Callable[P, R]) -> Callable[P, R]:
    """Put the complaints of a function into the words of Python."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except AutotuneError as error:
            error.args = (in_python(str(error)),)
            raise

    return called


def _as_argument(found: re.Match[str]) -> str:
    name, value, space = found["name"] or "output", found["value"], found["space"] or ""
    if name in FLAGS:
        return FLAGS[name] + space
    if name not in ARGUMENTS:
        return found[0]
    argument, write = ARGUMENTS[name]
    if value is None or value in _NO_VALUES:
        return argument + space
    try:
        return f"{argument}={write(value.strip(chr(39)))}"
    except (UsageError, ValueError):
        return argument + space


def _as_call(found: re.Match[str]) -> str:
    arguments = [repr(found["model"].strip())] if found["model"] else []
    # A search is asked for loads, be it for one.
    options = found["options"].replace("--load ", "--loads ")
    arguments += [_as_argument(option) for option in _OPTION.finditer(options)]
    return f"autotune.{found['verb']}({', '.join(arguments)})"
