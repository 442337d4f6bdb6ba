"""The live screen: what is known of a run, drawn for a window of any size."""

from collections.abc import Sequence
from typing import NamedTuple

from autotune.cli.foreign import clean
from autotune.cli.live_frontier import LEAST_CHART, frontier
from autotune.cli.live_rows import table
from autotune.cli.live_state import State, activity
from autotune.cli.live_text import Glyphs, Line, fit, fit_line, two_sided
from autotune.units import format_percent

LEAST_LOG = 4
"""Lines kept free for it, whatever else there is to show."""
AIRY = 20
"""Lines from which on there is room for empty ones."""
MARKS = "?: unproven, *: disturbed"
CONFIDENCE = ", confidence: that nothing unmeasured is 3 % better"


class LogEntry(NamedTuple):
    """One line of the log."""

    elapsed_s: float
    text: str
    warning: bool


class Size(NamedTuple):
    """Of the window, in characters."""

    width: int
    height: int


def frame(
    state: State, log: Sequence[LogEntry], now_s: float, size: Size, glyphs: Glyphs
) -> list[Line]:
    """Return what the window shows: never more lines than it has, nor wider ones."""
    width, blank = size.width, [[]] if size.height >= AIRY else list[Line]()
    head = [*_head(state, now_s, width, glyphs), *_look(state), *blank]
    left = size.height - len(head) - LEAST_LOG
    roomy = left - LEAST_CHART - 2 * len(blank)
    rows = table(state, width, left, roomy, glyphs, everything=False)
    left -= len(rows) + len(blank)
    chart = frontier(state, width, left - len(blank), glyphs)
    left -= len(chart) + len(blank)
    most = len(rows) + left
    every = table(state, width, most, most, glyphs, everything=True)
    if len(every) < most and state.standings:
        rounds = any(tried.rounds for tried in state.seen.values())
        every = [*every, [(MARKS if rounds else MARKS + CONFIDENCE, "dim")]]
    blocks = [every, chart]
    body = [line for block in blocks if block for line in (*block, *blank)]
    lines = [*head, *body]
    room = size.height - len(lines)
    if room > 0:
        lines += [_log_line(entry, glyphs) for entry in log[-room:]]
    return [fit_line(line, width, glyphs) for line in lines[: size.height]]


def _head(state: State, now_s: float, width: int, glyphs: Glyphs) -> list[Line]:
    what, since_s = activity(state)
    name = clean(state.name.rpartition("/")[2])
    title: Line = [(fit(name, max(8, width // 3), glyphs), "bold")]
    if state.slo is not None:
        title.append((f"  {state.slo}", ""))
    return [
        two_sided(title, _counts(state), width, glyphs),
        _bar(state, now_s, width, glyphs),
        two_sided([(what, "cyan")], _clock(state, now_s - since_s), width, glyphs),
    ]


def _counts(state: State) -> str:
    if state.measured:
        return f"{state.step}, {state.measured} measured"
    return f"{state.step}, {state.profiled} profiled" if state.profiled else state.step


def _bar(state: State, now_s: float, width: int, glyphs: Glyphs) -> Line:
    """Time spent, and time left at most, of which a bar tells the share."""
    spent_s = now_s - state.began_s
    if state.ends_at_s is None:
        return [(duration(spent_s), "")]
    left_s = max(0.0, state.ends_at_s - now_s)
    times = f"  {duration(spent_s)}, at most {duration(left_s)} left"
    columns = width - len(times)
    done = round(columns * spent_s / max(1e-9, spent_s + left_s))
    return [(glyphs.done * done, "green"), (glyphs.to_do * (columns - done), "dim"), (times, "")]


def _clock(state: State, spent_s: float) -> str:
    takes_s = state.what_takes_s
    if takes_s is None or state.opening is not None:
        return duration(spent_s)
    return f"{spent_s:.1f} of {takes_s:.1f} s"  # more, where something disturbed it


def _look(state: State) -> list[Line]:
    """What a single run under way has shown."""
    look, slo = state.looked, state.slo
    if look is None or slo is None:
        return []
    share = look.over / max(1, look.requests)
    allowed = 1 - slo.quantile
    over = (
        f"{look.over:,} over {slo.latency_ms:g} ms: {format_percent(share)} %, "
        f"where the SLO allows {100 * allowed:.3g} %"
    )
    style = "green" if share <= allowed else "red"
    return [[(f"{look.requests:,} requests served, ", ""), (over, style)]]


def _log_line(entry: LogEntry, glyphs: Glyphs) -> Line:
    stamp = (f"{duration(entry.elapsed_s):>6}  ", "dim")
    if entry.warning:
        return [stamp, (f"{glyphs.warning} {entry.text}", "yellow")]
    return [stamp, (entry.text, "dim")]


def duration(seconds: float) -> str:
    """Return seconds in words: `38 s`, `3 min 20 s`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
