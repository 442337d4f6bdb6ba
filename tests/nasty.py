"""Names that are meant to break out of where they stand, and files and records full of them."""

from collections.abc import Callable
from typing import Any

import msgspec
from drawn import DRAWN
from msgspec import inspect
from results import gate_report

from autotune.config_file import TunedFile
from autotune.stages.gate import GateReport

NAMES = (
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\",
    "\x9b2J\x85\x7f",
    "a\rb\nc\td\x0b\x0c\x00e",
    "\u2028\u2029\u202eevil\u202c\u2066\u200b\ufeff",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "<img src=x onerror=alert(1)>",
    "]]></testcase>&amp;&#10;",
    "\"' `\u201c\u2018 \\\" \\' \\n \\\\",
    "${{ github.token }} {{ config }} $(id) `id` $HOME %s {0} $title",
    "a|b\\|c *b* _i_ ~~s~~ [l](javascript:alert(1)) ![i](x) # > - 1.",
    "[red]rich[/red] [bold",
    "%0A::error::pwned%0D",
    "::error title=x::pwned",
    "x ##[error]pwned ##vso[task.setvariable variable=a]b",
    "\"; DROP TABLE x; -- ' || ''",
    "-o --flag",
    "key: value # comment",
    "- item\n? x\n: y\n--- !!python/object/apply:os.system ['id']\n...",
    '} parameters { key: "x" value: { string_value: "y" } }',
    "'''\nimport os\n'''",
    "../../etc/passwd",
    "\u6a21\u578b \U0001f600 e\u0301",
    "n" * 5000,
)
"""Each is valid in a tuned file; what no file can hold are lone surrogates."""
ALL = " ".join(NAMES)


def filled(record: Any, text: str) -> Any:
    """Return a record in which every free text is this one, keys of dicts and lists included."""
    return msgspec.convert(_filled(record, inspect.type_info(type(record)), text), type(record))


def _filled(value: Any, kind: inspect.Type, text: str) -> Any:
    match kind:
        case inspect.StructType(fields=fields):
            return {
                field.encode_name: _filled(getattr(value, field.name), field.type, text)
                for field in fields
            }
        case inspect.ListType(item_type=item):
            return [_filled(one, item, text) for one in value]
        case inspect.DictType(key_type=inspect.StrType(), value_type=inner) if value:
            return dict.fromkeys([text], _filled(next(iter(value.values())), inner, text))
        case inspect.StrType(pattern=None):
            return text
        case inspect.UnionType(types=kinds):
            return value if value is None else _of_union(value, kinds, text)
    return msgspec.to_builtins(value)


def _of_union(value: Any, kinds: tuple[inspect.Type, ...], text: str) -> Any:
    fits: dict[type[inspect.Type], Callable[[Any], bool]] = {
        inspect.StructType: lambda one: isinstance(one, msgspec.Struct),
        inspect.ListType: lambda one: isinstance(one, list),
        inspect.DictType: lambda one: isinstance(one, dict),
        inspect.StrType: lambda one: isinstance(one, str),
    }
    kind = next((one for one in kinds if type(one) in fits and fits[type(one)](value)), None)
    return msgspec.to_builtins(value) if kind is None else _filled(value, kind, text)


def tuned_of(text: str) -> TunedFile:
    """Return a tuned file with this text in every place that holds any."""
    nasty: TunedFile = filled(DRAWN, text)
    return nasty


def gate_of(text: str) -> GateReport:
    """Return the report of a check, likewise."""
    nasty: GateReport = filled(gate_report("regression", ("it is slower",)), text)
    return nasty
