"""Flat rows, and their texts: CSV and JSON that steer no terminal.

Names come from strangers' files and folders, and rows end up on terminals, so control characters
are escaped wherever texts leave.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

Value = float | int | bool | str | None
Row = dict[str, Value]
Columns = Mapping[str, type]
"""Names of columns in order, with what their values are where they are not None.

Times are `datetime` here, and texts in rows."""


def printable(text: str) -> str:
    """Return the text with whatever could steer a terminal or break a line escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def complete(rows: Iterable[Row], columns: Columns) -> list[Row]:
    """Return rows with all columns in order, each value of its type, and texts printable."""
    return [{name: _of_type(row.get(name), kind) for name, kind in columns.items()} for row in rows]


def to_csv(rows: Iterable[Row], columns: Iterable[str]) -> str:
    """Return a CSV file after RFC 4180: a header, lines that end with CR LF, quotes where needed.

    Numbers have all their digits, truths are `true` and `false`, what is not known is empty.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    columns = list(columns)
    writer.writerow(columns)
    writer.writerows([_cell(row[name]) for name in columns] for row in rows)
    return text.getvalue()


def to_json(found: Any) -> str:
    """Return records or rows as indented JSON in which nothing steers a terminal."""
    return terminal_safe(msgspec.json.format(msgspec.json.encode(found), indent=2).decode()) + "\n"


def terminal_safe(json: str) -> str:
    """Return the same JSON; it may leave some control characters as they are, a terminal may not.

    They can stand within its strings only.
    """
    return re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", json)


def _of_type(value: Value, kind: type) -> Value:
    if isinstance(value, str):
        return printable(value)
    return None if value is None else kind(value)


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
