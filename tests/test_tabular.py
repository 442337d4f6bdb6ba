"""CSV and JSON that can be read back, and that steer no terminal."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from autotune.tabular import complete, printable, to_csv, to_json

COLUMNS = {"name": str, "load_rps": float, "met": bool, "count": int}


def test_csv_is_as_rfc_4180_wants_it() -> None:
    rows = complete([{"name": 'a, "b"', "load_rps": 30, "met": True}], COLUMNS)
    assert to_csv(rows, COLUMNS) == ('name,load_rps,met,count\r\n"a, ""b""",30.0,true,\r\n')


@given(st.lists(st.tuples(st.text(), st.floats(allow_nan=False)), max_size=5))
def test_what_is_written_is_read_back(pairs: list[tuple[str, float]]) -> None:
    rows = complete([{"name": text, "load_rps": number} for text, number in pairs], COLUMNS)
    found = list(csv.DictReader(io.StringIO(to_csv(rows, COLUMNS), newline="")))
    assert [(one["name"], float(one["load_rps"])) for one in found] == [
        (printable(text), number) for text, number in pairs
    ]


@given(st.text())
def test_no_text_steers_a_terminal_or_breaks_a_line(text: str) -> None:
    rows = complete([{"name": text}], COLUMNS)
    for made in (printable(text), to_csv(rows, COLUMNS).replace("\r\n", "")):
        assert made.isprintable()


def test_escapes_show_what_was_there() -> None:
    assert printable("a\x1b[31m\n\x9b\udcffé日") == "a\\x1b[31m\\n\\x9b\\udcffé日"


def test_json_escapes_what_json_may_leave_as_it_is() -> None:
    text = to_json([{"name": "a\x1b\x7f\x9b日"}])
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert json.loads(text) == [{"name": "a\x1b\x7f\x9b日"}]
