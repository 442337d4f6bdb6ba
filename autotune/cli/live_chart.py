"""A small chart made of characters: marks, a curve and a limit over two axes."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from autotune.cli.live_text import Glyphs, Line, merged
from autotune.units import format_ms

Point = tuple[float, float]

Y_LABEL = 6
"""Columns left of the axis."""
DECADE = 10.0
"""An axis that spans as much is logarithmic."""
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a Braille character by column and row of its eight dots."""
_BRAILLE = 0x2800


class Mark(NamedTuple):
    """One measured point; `y` infinite: beyond everything."""

    x: float
    y: float
    symbol: str
    style: str


class Chart(NamedTuple):
    """What to draw. `y` is logarithmic; later marks lie on top."""

    marks: Sequence[Mark]
    curve: Sequence[Point]
    limit: float | None
    """Drawn right across."""
    x_labels: Sequence[tuple[float, str]]


def draw(chart: Chart, columns: int, rows: int, glyphs: Glyphs) -> list[Line]:
    """Return `rows` lines of plot and two below, each of at most `columns` columns."""
    width = columns - Y_LABEL - 2
    xs = [mark.x for mark in chart.marks] + [x for x, _ in chart.curve]
    ys = [mark.y for mark in chart.marks if math.isfinite(mark.y)]
    ys += [y for _, y in chart.curve] + ([chart.limit] if chart.limit is not None else [])
    x_at = Scale(min(xs), max(xs), width - 1, logarithmic=max(xs) > DECADE * min(xs) > 0)
    low, high = min(ys), max(ys)
    room = max(1.05, (high / low) ** 0.05)
    y_at = Scale(high * room, low / room, rows - 1, logarithmic=True)
    cells: list[Line] = [[(" ", "")] * width for _ in range(rows)]
    if chart.limit is not None:
        row = round(y_at(chart.limit))
        cells[row] = [(glyphs.limit, "yellow")] * width
    _draw_curve(cells, [(x_at(x), y_at(y)) for x, y in chart.curve], glyphs)
    for mark in chart.marks:
        row = round(y_at(mark.y)) if math.isfinite(mark.y) else 0
        cells[row][round(x_at(mark.x))] = (mark.symbol, mark.style)
    labels = _y_labels(low, high, chart.limit, lambda y: round(y_at(y)))
    lines = [
        [(f"{labels.get(row, ''):>{Y_LABEL}} ", "dim"), (glyphs.axis, "dim"), *merged(cells[row])]
        for row in range(rows)
    ]
    lines.append([(" " * (Y_LABEL + 1) + glyphs.corner + glyphs.base * width, "dim")])
    lines.append([(" " * (Y_LABEL + 2) + _x_labels(chart.x_labels, x_at, width), "dim")])
    return lines


class Scale(NamedTuple):
    """Places values on `steps` equal steps, the first at 0."""

    first: float
    last: float
    steps: int
    logarithmic: bool

    def __call__(self, value: float) -> float:
        """Return where the value lies, at the end where it lies beyond."""
        if self.first == self.last:
            return self.steps / 2
        if not self.logarithmic:
            share = (value - self.first) / (self.last - self.first)
        else:
            share = math.log(value / self.first) / math.log(self.last / self.first)
        return min(1.0, max(0.0, share)) * self.steps


def _draw_curve(cells: list[Line], points: Sequence[Point], glyphs: Glyphs) -> None:
    """Draw straight lines between points in cells, dots where no limit is."""
    dots: dict[tuple[int, int], int] = {}
    for (x0, y0), (x1, y1) in pairwise(points):
        steps = max(1, round(2 * abs(x1 - x0)), round(4 * abs(y1 - y0)))
        for step in range(steps + 1):
            share = step / steps
            column, across = divmod(round(2 * (x0 + share * (x1 - x0))), 2)
            row, down = divmod(round(4 * (y0 + share * (y1 - y0))), 4)
            place = min(row, len(cells) - 1), min(column, len(cells[0]) - 1)
            dots[place] = dots.get(place, 0) | _DOTS[across][down]
    for (row, column), bits in dots.items():
        cells[row][column] = (glyphs.curve if glyphs.ascii_only else chr(_BRAILLE + bits), "cyan")


def _y_labels(
    low: float, high: float, limit: float | None, row_of: Callable[[float], int]
) -> dict[int, str]:
    """Return labels by row: the limit's, then those of round numbers that do not touch another."""
    labels = {} if limit is None else {row_of(limit): format_ms(limit)}
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for value in (step * 10.0**decade for step in (1, 2, 5) for decade in decades):
        row = row_of(value)
        if low <= value <= high and not {row - 1, row, row + 1} & labels.keys():
            labels[row] = f"{value:,.12g}"
    return {row: text for row, text in labels.items() if len(text) <= Y_LABEL}


def _x_labels(labels: Sequence[tuple[float, str]], x_at: Scale, width: int) -> str:
    """Return the labels on one line, each below its place, without those that would touch."""
    line = ""
    for x, text in labels:
        start = min(max(0, round(x_at(x)) - len(text) // 2), width - len(text))
        if start >= len(line) + (1 if line else 0):
            line = line.ljust(start) + text
    return line
