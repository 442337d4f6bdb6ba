"""What is known to be attainable, as a small chart for the live screen.

With several loads: latency at the SLO's percentile against load, as predicted and as measured.
With one: latency against CPU time per request, of all that was measured there.
"""

import math
from typing import NamedTuple

from autotune.cli.live_chart import Chart, Mark, Point, draw
from autotune.cli.live_rows import Row, rows_of
from autotune.cli.live_state import State
from autotune.cli.live_text import Glyphs, Line
from autotune.records import Summary
from autotune.units import format_ms, format_rps

LEAST_COLUMNS, LEAST_ROWS = 30, 4
MOST_COLUMNS, MOST_ROWS = 100, 10
AROUND = 3
"""Lines besides the plot: what the signs mean, axis and labels."""
LEAST_CHART = LEAST_ROWS + AROUND
BEYOND = 20.0
"""Latencies of so many SLOs are beyond what is worth drawing."""


class Frontier(NamedTuple):
    """A chart with the words above it."""

    title: str
    signs: list[tuple[str, str, str]]
    """Sign, its style, and what it means."""
    chart: Chart


def frontier(state: State, width: int, most: int, glyphs: Glyphs) -> list[Line]:
    """Return the chart in at most so many lines; empty where there is no room, or no more to see
    than the table says.
    """
    rows = min(MOST_ROWS, most - AROUND)
    columns = min(MOST_COLUMNS, width)
    if rows < LEAST_ROWS or columns < LEAST_COLUMNS or state.slo is None:
        return []
    found = _by_load(state, glyphs) if len(state.predicted) > 1 else _by_cpu(state, glyphs)
    if found is None:
        return []
    legend: Line = [(found.title, "bold")]
    for sign, style, meaning in found.signs:
        legend += [(f"   {sign}", style), (f" {meaning}", "dim")]
    return [legend, *draw(found.chart, columns, rows, glyphs)]


def _by_load(state: State, glyphs: Glyphs) -> Frontier:
    assert state.slo is not None
    highest_ms = BEYOND * state.slo.latency_ms
    rows = [row for row in rows_of(state, everything=False) if row.load_rps is not None]
    curve = [
        (load_rps, min(highest_ms, predicted_ms))
        for load_rps, (_, predicted_ms) in sorted(state.predicted.items())
    ]
    marks = []
    for (load_rps, config), tried in state.seen.items():
        if config.is_default:
            row = Row(load_rps, config, None, tried, None)
            marks += _mark(row, load_rps, glyphs.default, "magenta", highest_ms, glyphs)
    for row in rows:
        style = "green" if row.summary is not None and row.summary.meets_slo else "red"
        marks += _mark(row, row.load_rps or 0.0, glyphs.best, style, highest_ms, glyphs)
    signs = [
        (glyphs.best, "green", "best"),
        (glyphs.default, "magenta", "default"),
        (glyphs.curve, "cyan", "predicted"),
        (glyphs.limit, "yellow", "SLO"),
    ]
    if any(math.isinf(mark.y) for mark in marks):
        signs.append((glyphs.beyond, "red", "beyond"))
    return Frontier(
        title=f"p{state.slo.percentile:g} ms by load",
        signs=signs,
        chart=Chart(marks, curve, state.slo.latency_ms, [(x, format_rps(x)) for x, _ in curve]),
    )


def _mark(
    row: Row, x: float, sign: str, style: str, highest_ms: float, glyphs: Glyphs
) -> list[Mark]:
    """Return the mark of what was measured, if anything was."""
    summary = row.summary
    if summary is None:
        return []
    value_ms = summary.objective.value_ms
    if value_ms is None or summary.diverged or value_ms > highest_ms:
        return [Mark(x, math.inf, glyphs.beyond, style)]
    return [Mark(x, value_ms, sign, style)]


def _by_cpu(state: State, glyphs: Glyphs) -> Frontier | None:
    assert state.slo is not None
    found: list[tuple[Point, bool]] = []
    for tried in state.seen.values():
        summary = tried.so_far or tried.result
        if isinstance(summary, Summary) and summary.objective.value_ms and not summary.diverged:
            point = (1e3 * summary.cpu_s_per_request, summary.objective.value_ms)
            found.append((point, summary.meets_slo))
    if len(found) < 3:
        return None
    places = [point for point, _ in found]
    front = sorted(one for one in places if not any(_beats(other, one) for other in places))
    marks = [
        Mark(
            *point,
            glyphs.best if point in front else glyphs.default,
            "green" if meets_slo else "red",
        )
        for point, meets_slo in sorted(found, key=lambda one: one[0] in front)
    ]
    return Frontier(
        title=f"p{state.slo.percentile:g} ms by CPU ms per request",
        signs=[
            (glyphs.best, "green", "best in either"),
            (glyphs.default, "green", "beaten"),
            (glyphs.limit, "yellow", "SLO"),
        ],
        chart=Chart(
            marks,
            front,
            state.slo.latency_ms,
            [(x, format_ms(x)) for x in (min(places)[0], max(places)[0])],
        ),
    )


def _beats(one: Point, other: Point) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]
