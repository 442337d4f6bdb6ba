"""Styled text of a given width: what a screen is made of."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

Span = tuple[str, str]
"""Text and its style: empty, or what rich calls it."""
Line = list[Span]


class Glyphs(NamedTuple):
    """The signs that an encoding has."""

    ascii_only: bool
    ellipsis: str
    done: str
    to_do: str
    warning: str
    best: str
    default: str
    beyond: str
    """Above all that is drawn."""
    curve: str
    limit: str
    axis: str
    corner: str
    base: str


UNICODE = Glyphs(
    ascii_only=False,
    ellipsis="\u2026",
    done="\u2501",
    to_do="\u2500",
    warning="!",
    best="\u25cf",
    default="\u25cb",
    beyond="\u25b2",
    curve="\u2812",
    limit="\u2500",
    axis="\u2502",
    corner="\u2514",
    base="\u2500",
)
ASCII = Glyphs(
    ascii_only=True,
    ellipsis="...",
    done="=",
    to_do="-",
    warning="!",
    best="o",
    default="d",
    beyond="^",
    curve=".",
    limit="-",
    axis="|",
    corner="+",
    base="-",
)


def fit(text: str, width: int, glyphs: Glyphs) -> str:
    """Return the text, cut with an ellipsis where it is wider than `width` columns."""
    if cell_len(text) <= width:
        return text
    room = width - len(glyphs.ellipsis)
    return set_cell_size(text, room) + glyphs.ellipsis if room > 0 else glyphs.ellipsis[:width]


def width_of(line: Line) -> int:
    """Return the columns that a line takes."""
    return sum(cell_len(text) for text, _ in line)


def fit_line(line: Line, width: int, glyphs: Glyphs) -> Line:
    """Return the line in at most `width` columns and in signs that can be written."""
    fitted, left = list[Span](), width
    for text, style in line:
        if glyphs.ascii_only:
            text = text.encode("ascii", "replace").decode()
        if left > 0:
            fitted.append((fit(text, left, glyphs), style))
        left -= cell_len(text)
    return fitted


def two_sided(left: Line, right: str, width: int, glyphs: Glyphs) -> Line:
    """Return a line with text at both ends; the left one gives way."""
    room = width - cell_len(right) - 2
    if room < width // 3:
        return left
    left = fit_line(left, room, glyphs)
    return [*left, (" " * (room - width_of(left) + 2), ""), (right, "")]


def merged(spans: Sequence[Span]) -> Line:
    """Return the same text in as few spans as there are changes of style."""
    line: Line = []
    for text, style in spans:
        if line and line[-1][1] == style:
            line[-1] = (line[-1][0] + text, style)
        else:
            line.append((text, style))
    return line
