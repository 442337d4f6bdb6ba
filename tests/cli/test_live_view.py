from collections.abc import Sequence
from itertools import product

import pytest
from msgspec.structs import replace
from told import (
    BATCHED,
    checking,
    known_after,
    measuring,
    searching,
    standing,
    summary_of,
    tried,
)

from autotune.cli.foreign import clean
from autotune.cli.lines import Thinned, line
from autotune.cli.live_state import activity
from autotune.cli.live_text import ASCII, UNICODE, Glyphs, width_of
from autotune.cli.live_view import LogEntry, Size, duration, frame
from autotune.outcome import ModelInfo
from autotune.stages.events import Event, Inspected, Said, Tried

WIDTHS = (1, 7, 20, 39, 60, 80, 120, 200)
HEIGHTS = (1, 2, 5, 12, 24, 50)


def draw(events: Sequence[Event], size: Size, glyphs: Glyphs = UNICODE) -> list[str]:
    thinned = Thinned()
    log = [
        LogEntry(float(number), clean(line(event)), isinstance(event, Said) and event.warning)
        for number, event in enumerate(events)
        if thinned.wants(event)
    ]
    lines = frame(known_after(events), log, len(events) + 0.5, size, glyphs)
    assert len(lines) <= size.height
    assert max(map(width_of, lines), default=0) <= size.width
    return ["".join(text for text, _ in spans) for spans in lines]


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_no_moment_outgrows_a_window_of_any_size(info: ModelInfo, glyphs: Glyphs) -> None:
    events = searching(info)
    moments = [events[:count] for count in range(0, len(events) + 1, 3)]
    for moment, width in product([*moments, measuring(), checking()], WIDTHS):
        for height in HEIGHTS:
            for text in draw(moment, Size(width, height), glyphs):
                assert text.isprintable()
                assert text.isascii() or not glyphs.ascii_only


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_load_is_a_row_that_says_in_words_whether_the_slo_is_met(
    info: ModelInfo, width: int
) -> None:
    events = searching(info)
    searched = events[: max(i for i, e in enumerate(events) if _is(e, "search")) + 1]
    lines = draw(searched, Size(width, 24))
    rows = [next(text for text in lines if text.startswith(load)) for load in (" 30/s", "120/s")]
    rows += [next(text for text in lines if text.startswith(load)) for load in ("180/s", "230/s")]
    assert [text.split()[-1] for text in rows] == ["%"] * 4
    assert "runtime default" in rows[0]
    assert " met?" in rows[0]
    assert " missed" in rows[2]
    assert "overload" in rows[3]
    assert "2 x 1 thread" in rows[1]
    assert "25.0" in rows[1]  # predicted
    assert "21.7" in rows[1]  # measured
    assert "85 %" in rows[1]  # confidence
    assert ("[" in rows[1]) == (width == 120)


def _is(event: Event, phase: str) -> bool:
    return isinstance(event, Tried) and event.phase == phase


@pytest.mark.parametrize("size", [Size(60, 24), Size(80, 24), Size(120, 24), Size(120, 50)])
def test_time_activity_chart_and_log_are_there_at_common_sizes(info: ModelInfo, size: Size) -> None:
    lines = draw(searching(info)[:17], size)
    text = "\n".join(lines)
    assert "at most" in lines[1]
    assert lines[1].endswith("left")
    assert "search 120/s: 2 x 1 thread" in lines[2]
    assert "by load" in text
    assert "SLO" in text
    assert "30 " in text
    assert "search 30/s: runtime default: 11.1 ms" in lines[-1]
    assert any(set("\u2812\u2809\u28c0\u2824") & set(one) for one in lines)


def test_while_sessions_are_opened_their_number_and_the_seconds_are_shown(info: ModelInfo) -> None:
    loading = draw(searching(info)[:1], Size(80, 24))
    assert "loading the model (2.1 GB)" in loading[2]
    assert loading[2].endswith("2 s")
    events = tried("search", 120.0, BATCHED, summary_of(20.0))
    assert "opening session 2 of 2" in draw(events[:3], Size(80, 24))[2]
    ready = draw(events[:4], Size(80, 24))[2]
    assert "opening" not in ready
    assert ready.endswith("1.5 of 2.6 s")


def test_how_long_a_large_model_loads_is_foretold_from_the_first_time(info: ModelInfo) -> None:
    large = Inspected(info=replace(info, load_s=12.3), cores=2)
    events = [large, *tried("search", 120.0, BATCHED, summary_of(20.0))[:2]]
    assert "opening session 1 of 2, about 12 s each" in draw(events, Size(120, 24))[2]


def test_the_clock_of_what_is_going_on_starts_when_its_sessions_stand() -> None:
    events = tried("search", 120.0, BATCHED, summary_of(20.0))
    assert activity(known_after(events[:3])) == (
        f"search 120/s: {BATCHED.describe()}: opening session 2 of 2",
        1.0,
    )
    assert activity(known_after(events[:4])) == (f"search 120/s: {BATCHED.describe()}", 3.0)


def test_confirmed_configurations_are_compared_where_there_is_room(info: ModelInfo) -> None:
    events = searching(info)
    tall, short = draw(events, Size(120, 50)), draw(events, Size(80, 24))
    below = tall[next(i for i, one in enumerate(tall) if one.startswith("120/s")) + 1]
    assert below.strip().startswith("runtime default")
    assert "3 of 6" in below
    assert not any(one.strip().startswith("runtime default") for one in short)
    assert "finalist" in short[4]
    assert "! runs of 2 s are shorter" in "\n".join(tall)


def test_configurations_that_are_too_long_go_on_in_the_next_line(info: ModelInfo) -> None:
    lines = draw(searching(info)[:11], Size(60, 40))
    start = next(i for i, one in enumerate(lines) if one.startswith("230/s"))
    assert "2 x 16 threads," in lines[start]
    assert "wait 12.5 ms" in "".join(lines[start + 1 : start + 5])


def test_one_load_is_drawn_against_cpu_time(info: ModelInfo) -> None:
    events = [
        event
        for cpu_s, latency_ms, replicas in ((0.01, 40.0, 1), (0.02, 20.0, 2), (0.03, 45.0, 3))
        for event in tried(
            "search",
            120.0,
            BATCHED.__class__(replicas=replicas, intra_op_threads=1),
            summary_of(latency_ms, cpu_s_per_request=cpu_s),
            standing(0)[:1],
        )
    ]
    text = "\n".join(draw([*searching(info)[:1], *events], Size(80, 24)))
    assert "by CPU ms per request" in text
    assert text.count("\u25cf") == 3  # two that nothing beats, and the legend
    assert text.count("\u25cb") == 2
    assert "10.0" in text
    assert "30.0" in text


def test_a_measurement_shows_how_many_were_over_the_slo() -> None:
    text = "\n".join(draw(measuring()[:-1], Size(80, 24)))
    assert "290 requests served, 1 over 50 ms: 0.3 %, where the SLO allows 1 %" in text


def test_a_check_shows_what_was_promised() -> None:
    lines = draw(checking(), Size(80, 24))
    header = next(one for one in lines if "promised" in one)
    assert "measured" in header
    assert any("runtime default" in one and "25.0" in one for one in lines)


def test_durations_are_told_as_a_person_would() -> None:
    assert duration(38.4) == "38 s"
    assert duration(200.4) == "3 min 20 s"
