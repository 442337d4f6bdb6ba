"""The table of the live screen: loads as rows, in as many columns as the window has room for."""

import textwrap
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from autotune.cli.live_state import State
from autotune.cli.live_text import Glyphs, Line, Span, fit
from autotune.present.cells import bounds, value, verdict
from autotune.records import Percentile, Summary
from autotune.spec import ServingConfig
from autotune.stages.events import Standing, Tried
from autotune.units import format_ms, format_rps

GAP = "  "
NO_BREAK = "\u00a0"
LEAST_CONFIG, GOOD_CONFIG = 15, 34
"""Columns that a configuration is granted before a column is left out that is needed, or nice."""

UNKNOWN = Standing(best=None, doubt=None)


class Row(NamedTuple):
    """One configuration at one load."""

    load_rps: float | None
    """None: as in the row above."""
    config: ServingConfig
    expected_ms: float | None
    tried: Tried | None
    doubt: float | None

    @property
    def summary(self) -> Summary | None:
        """What was measured; None: nothing, or it failed."""
        if self.tried is None:
            return None
        result = self.tried.so_far or self.tried.result
        return result if isinstance(result, Summary) else None


class Column(NamedTuple):
    """A column of the table."""

    header: str
    cell: Callable[[Row], Span]


def rows_of(state: State, everything: bool) -> list[Row]:
    """Return the best of each load; with `everything`, also what it is compared with."""
    loads_rps = sorted({*state.predicted, *(load_rps for load_rps, _ in state.seen)})
    standings = dict(zip(sorted(state.predicted), state.standings, strict=False))
    rows = []
    for load_rps in loads_rps:
        here = {config: tried for (rps, config), tried in state.seen.items() if rps == load_rps}
        predicted = state.predicted.get(load_rps)
        standing = standings.get(load_rps, UNKNOWN)
        best = standing.best or (predicted[0] if predicted else next(iter(here)))
        if best not in here:  # it was never measured, or is not what is compared
            best = next((config for config, tried in here.items() if tried.rounds), best)
        tried = here.pop(best, None)
        expected_ms = predicted[1] if predicted and tried is None else None
        rows.append(Row(load_rps, best, expected_ms, tried, standing.doubt))
        if everything:
            rows += [
                Row(None, config, None, other, None)
                for config, other in here.items()
                if other.rounds or config.is_default
            ]
    return rows


def table(
    state: State, width: int, most: int, roomy: int, glyphs: Glyphs, everything: bool
) -> list[Line]:
    """Return the table in at most so many lines.

    Args:
        state: what is known.
        width: of a line.
        most: lines.
        roomy: lines within which long configurations may go on in the next line.
        glyphs: to draw with.
        everything: with what the best is compared with, if all of it fits.
    """
    rows = rows_of(state, everything)
    if not rows or most < 2:
        return []
    if everything and len(rows) + 1 > most:
        return table(state, width, most, roomy, glyphs, everything=False)
    columns, room = _choose(rows, state, width)
    wrapped = _lines(rows, columns, room, lambda text: _wrap(text, room))
    if len(wrapped) <= min(most, roomy):
        return wrapped
    lines = _lines(rows, columns, room, lambda text: [fit(text, room, glyphs)])
    if len(lines) <= most:
        return lines
    return [*lines[: most - 1], [(f"... {len(lines) - most + 1} more", "dim")]]


def _choose(rows: Sequence[Row], state: State, width: int) -> tuple[list[Column], int]:
    """Return the richest columns that leave room for configurations, and that room."""
    longest = max(cell_len(row.config.describe()) for row in rows)
    rounds = any(row.tried is not None and row.tried.rounds for row in rows)
    sure = Column("rounds", _rounds) if rounds else Column("confidence", _confidence)
    sure_short = Column("rounds", _rounds) if rounds else Column("conf.", _confidence)
    searched = bool(state.predicted)
    config = Column("finalist" if rounds and searched else "best so far", _config)
    config = config if searched else Column("configuration", _config)
    word = "predicted" if searched else "promised"
    load, slo = Column("load", _load), Column("SLO", _slo)
    expected = Column(word, lambda row: (_with_unit(_expected_ms(row)), ""))
    expected_bare = Column(f"{word} ms", lambda row: (format_ms(_expected_ms(row)), ""))
    expected_short = Column(f"{word[:4]}. ms", lambda row: (format_ms(_expected_ms(row)), ""))
    measured = Column("measured", _measured)
    interval = Column("measured ms [95 %]", _interval)
    cpu = Column("CPU ms", _cpu)
    choices = [
        (min(longest, GOOD_CONFIG), [load, config, expected_bare, interval, cpu, slo, sure]),
        (min(longest, GOOD_CONFIG), [load, config, expected_bare, interval, slo, sure]),
        (min(longest, LEAST_CONFIG), [load, config, expected, measured, slo, sure]),
        (min(longest, LEAST_CONFIG), [load, config, expected_short, measured, slo, sure_short]),
        (0, [load, config, measured, slo]),
    ]
    for needed, columns in choices:
        others = [column for column in columns if column is not config]
        taken = sum(max(map(cell_len, _texts(rows, column))) + len(GAP) for column in others)
        room = width - taken
        if room >= needed:
            break
    return columns, min(longest, max(LEAST_CONFIG // 2, room))


def _texts(rows: Sequence[Row], column: Column) -> list[str]:
    return [column.header, *(column.cell(row)[0] for row in rows)]


def _lines(
    rows: Sequence[Row], columns: Sequence[Column], room: int, wrap: Callable[[str], list[str]]
) -> list[Line]:
    """Return header and rows; what of a configuration does not fit goes on in the next line."""
    widths = [
        room if column.cell is _config else max(map(cell_len, _texts(rows, column)))
        for column in columns
    ]
    lines: list[Line] = [[]]
    for column, width in zip(columns, widths, strict=True):
        lines[0] += [(_aligned(column, column.header, width), "bold"), (GAP, "")]
    for row in rows:
        first, *more = wrap(row.config.describe())
        line: Line = []
        for column, width in zip(columns, widths, strict=True):
            text, style = (first, "") if column.cell is _config else column.cell(row)
            style = style if row.load_rps is not None else "dim"
            line += [(_aligned(column, text, width), style), (GAP, "")]
        indent = " " * (widths[0] + len(GAP))
        lines += [line, *([(indent + text, "")] for text in more)]
    return [line[:-1] if line[-1][0] == GAP else line for line in lines]


def _wrap(text: str, width: int) -> list[str]:
    """Break a configuration between knobs, where they fit."""
    bound = text.replace(" ", NO_BREAK).replace(f",{NO_BREAK}", ", ")
    return [line.replace(NO_BREAK, " ") for line in textwrap.wrap(bound, width)]


def _aligned(column: Column, text: str, width: int) -> str:
    padding = " " * (width - cell_len(text))
    return text + padding if column.cell in (_config, _slo) else padding + text


def _load(row: Row) -> Span:
    return ("" if row.load_rps is None else f"{format_rps(row.load_rps)}/s"), "bold"


def _config(row: Row) -> Span:
    return row.config.describe(), ""


def _expected_ms(row: Row) -> float | None:
    return row.expected_ms if row.tried is None else row.tried.predicted_ms


def _with_unit(value_ms: float | None) -> str:
    return "-" if value_ms is None else f"{format_ms(value_ms)} ms"


def _measured(row: Row) -> Span:
    return _percentile(row, lambda one: _with_unit(one.value_ms))


def _interval(row: Row) -> Span:
    return _percentile(row, lambda one: f"{value(one)} [{'-'.join(bounds(one))}]")


def _percentile(row: Row, text: Callable[[Percentile], str]) -> Span:
    if row.summary is None:
        return ("-" if row.tried is None else "failed"), ""
    one = row.summary.objective
    return (value(one) if one.value_ms is None else text(one)), "bold"


def _cpu(row: Row) -> Span:
    return format_ms(row.summary.cpu_s_per_request * 1e3 if row.summary else None), ""


def _slo(row: Row) -> Span:
    if row.summary is None:
        return "-", ""
    proven = "overload" if row.summary.diverged else row.summary.slo_verdict
    mark = "*" if row.summary.disturbed else ""
    style = "green" if row.summary.meets_slo else "red"
    return verdict(proven, row.summary.meets_slo) + mark, style


def _rounds(row: Row) -> Span:
    tried = row.tried
    return (f"{tried.round_number} of {tried.rounds}" if tried and tried.rounds else "-"), ""


def _confidence(row: Row) -> Span:
    """How likely it is that nothing left unmeasured is worth having instead."""
    if row.doubt is None:
        return "-", ""
    return ("> 99 %" if row.doubt < 0.005 else f"{100 * (1 - row.doubt):.0f} %"), ""
