"""A page of tables and sentences, and its two looks: plain text, and HTML for a notebook."""

from bisect import bisect
from collections.abc import Iterator, Sequence
from html import escape
from itertools import accumulate
from typing import Literal, NamedTuple
from unicodedata import category, east_asian_width

from autotune.tabular import printable

Tone = Literal["plain", "good", "bad", "doubt", "dim", "strong"]
WIDTH = 80
"""Columns of plain text, unless told otherwise."""
_LEAST = 16
"""Columns that a bar keeps, and a long word in a cell, however little room there is."""
_GAPS = (2, 1)
"""Columns between those of a table, and where room is short."""
_STYLES: dict[Tone, str] = {
    # Colours that can be read on white and on black alike; words always say the same.
    "good": "color:#2a8c4a",
    "bad": "color:#d0473f",
    "doubt": "color:#b07a10",
    "dim": "opacity:.7",
    "strong": "font-weight:bold",
}
_HEAD = "padding:.1em 1em .1em 0;border-bottom:1px solid rgba(128,128,128,.6)"
_CELL = "padding:.1em 1em .1em 0;white-space:pre-wrap"
BLOCK = "█"
"""Bars are cells of nothing else."""
_BLOCK_EM = 0.4


class Line(NamedTuple):
    """A sentence; empty: a blank line, in text alone."""

    text: str
    tone: Tone = "plain"


class Column(NamedTuple):
    """One column of a table."""

    head: str
    right: bool = True
    wraps: bool = False
    """Whether its cells may run over several lines."""
    spare: int = 0
    """Left out where room is short, those of the highest number first; those of 0 never are."""
    bar: bool = False
    """Whether its cells are bars, which get shorter to scale where room is short."""


class Row(NamedTuple):
    """One cell a column."""

    cells: Sequence[str]
    """A line break within a cell is kept."""
    tone: Tone = "plain"


class Table(NamedTuple):
    """Rows under heads, if there are any."""

    columns: Sequence[Column]
    rows: Sequence[Row]


Document = Sequence[Line | Table]
BLANK = Line("")


class _Layout(NamedTuple):
    """What of a table is shown, and how wide."""

    places: list[int]
    """Of the columns shown."""
    widths: list[int]
    """Of those."""
    gap: int


def as_text(document: Document, width: int = WIDTH) -> str:
    """Return lines of at most `width` columns, as far as no word of a sentence is longer."""
    return "\n".join(line.text for part in document for line in lines_of(part, width))


def lines_of(part: Line | Table, width: int) -> Iterator[Line]:
    """Return the part as lines of text, each to be shown as it is; heads are strong."""
    if isinstance(part, Line):
        yield from (Line(text, part.tone) for text in _wrapped(part.text, width))
        return
    layout = _layout(part, width)
    heads = [column.head for column in part.columns]
    for row in [Row(heads, "strong")] * any(heads) + list(part.rows):
        yield from (Line(text, row.tone) for text in _text_row(part, row, layout))


def fits(document: Document, width: int) -> bool:
    """Whether all columns of all tables have room."""
    tables = [part for part in document if isinstance(part, Table)]
    layouts = [_layout(table, width) for table in tables]
    return all(
        len(layout.places) == len(table.columns) and layout.gap == _GAPS[0]
        for table, layout in zip(tables, layouts, strict=True)
    )


def as_html(document: Document) -> str:
    """Return a self-contained piece of HTML, everything escaped, for light and dark pages."""
    return f"<div>{''.join(map(_html_of, document))}</div>"


def _text_row(table: Table, row: Row, layout: _Layout) -> Iterator[str]:
    columns = [table.columns[place] for place in layout.places]
    stacks = [
        _stacked(table, place, row.cells[place], width)
        for place, width in zip(layout.places, layout.widths, strict=True)
    ]
    for number in range(max(map(len, stacks))):
        pieces = [stack[number] if number < len(stack) else "" for stack in stacks]
        padded = [
            _padded(piece, width, column.right)
            for column, piece, width in zip(columns, pieces, layout.widths, strict=True)
        ]
        yield (" " * layout.gap).join(padded).rstrip()


def _stacked(table: Table, place: int, cell: str, width: int) -> list[str]:
    """The lines of a cell."""
    column = table.columns[place]
    if column.bar and cell:
        return [BLOCK * max(1, len(cell) * width // _needed(table, place))]
    return [
        line
        for part in cell.split("\n")
        for line in (_wrapped(part, width, fold=True) if column.wraps else [printable(part)])
    ]


def _layout(table: Table, width: int) -> _Layout:
    """Show all columns if they have room once what can be is wrapped, else less of them."""
    places = range(len(table.columns))
    needed = [_needed(table, place) for place in places]
    least = [_least(table, place, needed[place]) for place in places]
    for level in sorted({column.spare for column in table.columns}, reverse=True):
        shown = [place for place in places if table.columns[place].spare <= level]
        for gap in _GAPS:
            room = width - gap * (len(shown) - 1)
            if sum(least[place] for place in shown) <= room:
                return _Layout(shown, _narrowed(shown, needed, least, room), gap)
    return _Layout(shown, [least[place] for place in shown], gap)


def _narrowed(shown: list[int], needed: list[int], least: list[int], room: int) -> list[int]:
    """What each needs, less for the widest until all have room."""
    widths = {place: min(needed[place], max(room, least[place])) for place in shown}
    while sum(widths.values()) > room:
        widest = max((one for one in shown if widths[one] > least[one]), key=widths.__getitem__)
        widths[widest] -= 1
    return list(widths.values())


def _needed(table: Table, place: int) -> int:
    return max(_columns_of(printable(text)) for text in _texts(table, place))


def _least(table: Table, place: int, needed: int) -> int:
    column = table.columns[place]
    if column.bar:
        return min(_LEAST, needed)
    if not column.wraps:
        return needed
    words = [word for text in _texts(table, place) for word in printable(text).split()]
    return min(_LEAST, max(map(_columns_of, words), default=0))


def _texts(table: Table, place: int) -> list[str]:
    cells = [table.columns[place].head, *(row.cells[place] for row in table.rows)]
    return [part for cell in cells for part in cell.split("\n")]


def _columns_of(text: str) -> int:
    """Columns of a terminal: wide letters take two, marks upon others none."""
    return len(text) if text.isascii() else sum(map(_columns_of_letter, text))


def _columns_of_letter(letter: str) -> int:
    return 0 if category(letter) in ("Mn", "Me") else 2 if east_asian_width(letter) in "WF" else 1


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - _columns_of(text))
    return f"{space}{text}" if right else f"{text}{space}"


def _wrapped(text: str, width: int, fold: bool = False) -> list[str]:
    """Lines with the indent of the first; `fold`: words that are longer are broken, too."""
    inner = text.lstrip(" ")
    indent = text[: len(text) - len(inner)]
    room = max(1, width - len(indent))
    lines, line = [], ""
    for word in printable(inner).split(" "):
        longer = f"{line} {word}" if line else word
        if _columns_of(longer) <= room:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while fold and _columns_of(line) > room:
            cut = bisect(list(accumulate(map(_columns_of_letter, line[: 2 * room]))), room) or 1
            lines.append(line[:cut])
            line = line[cut:]
    return [f"{indent}{one}".rstrip() for one in [*lines, line]]


def _html_of(part: Line | Table) -> str:
    if isinstance(part, Line):
        above = "1em" if part.tone == "strong" else ".3em"
        style = _style(part.tone, f"margin:{above} 0 .3em")
        return f"<p{style}>{_escaped(part.text)}</p>" * bool(part.text)
    heads = "".join(
        f"<th{_style('plain', _aligned(column), _HEAD)}>{_escaped(column.head)}</th>"
        for column in part.columns
    )
    rows = "".join(
        f"<tr{_style(row.tone)}>"
        + "".join(
            f"<td{_style('plain', _aligned(column), _CELL)}>{_cell(cell)}</td>"
            for column, cell in zip(part.columns, row.cells, strict=True)
        )
        + "</tr>"
        for row in part.rows
    )
    head = f"<thead><tr>{heads}</tr></thead>" if any(one.head for one in part.columns) else ""
    style = 'style="border-collapse:collapse;margin:.6em 0"'
    return f"<table {style}>{head}<tbody>{rows}</tbody></table>"


def _aligned(column: Column) -> str:
    return f"text-align:{'right' if column.right else 'left'}"


def _style(tone: Tone, *more: str) -> str:
    styles = ";".join(style for style in (_STYLES.get(tone, ""), *more) if style)
    return f' style="{styles}"' if styles else ""


def _cell(text: str) -> str:
    if text and set(text) == {BLOCK}:
        width = f"width:{_BLOCK_EM * len(text):g}em"
        bar = f"display:inline-block;height:.8em;background:currentColor;opacity:.5;{width}"
        return f'<span style="{bar}"></span>'
    return "<br>".join(map(_escaped, text.split("\n")))


def _escaped(text: str) -> str:
    return escape(printable(text))
