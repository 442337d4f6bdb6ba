"""What `autotune doctor` found, as a page."""

from collections.abc import Iterator, Sequence

from autotune.diagnosis.finding import Finding, Level, verdict
from autotune.present.document import BLANK, Column, Document, Line, Row, Table, Tone

_TONES: dict[Level, Tone] = {"spoils": "bad", "note": "doubt", "unknown": "dim", "ok": "good"}


def findings_page(findings: Sequence[Finding]) -> Document:
    """Return a table of the findings and the sentence that sums them up."""
    columns = [
        Column("level", right=False),
        Column("check", right=False),
        Column("found, and what to do", right=False, wraps=True),
    ]
    rows = [row for one in findings for row in _rows(one)]
    return [Table(columns, rows), BLANK, Line(verdict(list(findings)), "strong")]


def _rows(one: Finding) -> Iterator[Row]:
    yield Row([one.level, one.check, one.found], _TONES[one.level])
    if one.remedy:
        yield Row(["", "", f"-> {one.remedy}"])
