import time
from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from told import LOADS_RPS, SLO, TWO, checking, measuring, searching, summary_of, tried

from autotune.cli.foreign import clean
from autotune.cli.lines import Lines
from autotune.outcome import ModelInfo
from autotune.stages.events import Doing, Event, Loading, Looked, Predicted, Said, Started, Tried
from autotune.trial.wire import Opening


def written(events: Sequence[Event], verbosity: int = 0) -> list[str]:
    texts: list[str] = []
    lines = Lines(texts.append, verbosity)
    for event in events:
        lines.observe(event)
    return texts


def test_what_came_of_each_step_is_a_line_without_control_characters(info: ModelInfo) -> None:
    texts = written(searching(info))
    assert texts[0] == "loading the model (2.1 GB) ..."
    assert "profile: 1 x 1 thread: 8.01 ms" in texts
    assert "search 120/s: 2 x 1 thread: 21.7 ms (predicted 25.0); 60 s left" in texts
    confirmed = "confirm 120/s: runtime default: 58.3 ms (predicted 25.0), round 3 of 6; 21 s left"
    assert confirmed in texts
    assert any(r"failed: crash: it \x1b[31mdied\x1b[0m of a long" in text for text in texts)
    assert any("overload, given up" in text for text in texts)
    assert not any("opening" in text for text in texts)
    assert all(text.isprintable() for text in texts)


def test_promises_are_called_promises() -> None:
    texts = written(checking())
    assert "check 160/s: runtime default: 42.4 ms (promised 25.0); 20 s left" in texts


def test_of_the_looks_at_a_run_those_are_told_that_double_it() -> None:
    looks: list[Event] = [
        Looked(elapsed_s=0.5 * i, requests=i, over=0, decision="go_on") for i in range(1, 240)
    ]
    texts = written([*measuring()[:3], *looks])
    assert [text.split(":")[0] for text in texts if "served" in text] == [
        f"{seconds:.1f} s" for seconds in (2, 4, 8, 16, 32, 64)
    ]
    assert "failed" in written(measuring())[-1]  # a decision is always told


def test_a_search_of_hours_fills_no_log(info: ModelInfo) -> None:
    predicted = Predicted(
        loads_rps=LOADS_RPS,
        configs=[TWO] * 4,
        predicted_ms=[1.0] * 4,
        points=4,
        sustainable_rps=1.0,
        ends_in_s=7200.0,
    )
    (*_, one) = tried("search", 120.0, TWO, summary_of(20.0))
    assert isinstance(one, Tried)
    trials: list[Event] = [replace(one, best=None, ends_in_s=7200.0 - i) for i in range(7200)]
    assert len(written([predicted, *trials])) < 250
    assert len(written([predicted, *trials], verbosity=1)) == 7201


def test_quiet_is_all_but_what_spoils_the_answer(info: ModelInfo) -> None:
    assert written(searching(info), verbosity=-1) == [
        "runs of 2 s are shorter than one cycle",
        "out of time after 3 of 6 rounds: raise --budget",
    ]


def test_verbose_is_every_start_and_every_look(info: ModelInfo) -> None:
    texts = written([*searching(info), *measuring()], verbosity=1)
    assert "profile: 1 x 1 thread ..." in texts
    assert "opening session 2 of 2 ..." in texts
    assert sum("requests served" in text for text in texts) == 2


def test_what_takes_long_is_said_to_go_on_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    texts: list[str] = []
    lines = Lines(texts.append)
    lines.observe(Started(step="measuring"))
    lines.observe(Doing(what="search 120/s: 8 x 1 thread"))
    lines.observe(Opening(opened=0, of=8))
    for _ in range(1200):
        now_s += 0.5
        if now_s == 105.0:
            lines.observe(Opening(opened=3, of=8))
        lines.tick()
    assert texts[:2] == [
        "measuring ...",
        "still search 120/s: 8 x 1 thread: opening session 4 of 8: 10 s",
    ]
    seconds = [int(text.split()[-2]) for text in texts[1:]]
    assert seconds[:4] == [10, 25, 48, 82]
    assert seconds[-1] - seconds[-2] == 60
    assert len(seconds) < 15


def test_silence_is_broken_only_where_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    texts: list[str] = []
    quiet: list[str] = []
    lines, nothing = Lines(texts.append), Lines(quiet.append, -1)
    for _ in range(20):
        now_s += 9.0
        lines.tick()
        nothing.tick()
        lines.observe(Said(text="something"))
    assert texts == ["something"] * 20
    assert quiet == []


def test_sizes_are_told_in_round_numbers() -> None:
    sizes = {2_100_000_000: "2.1 GB", 3_160_000: "3.16 MB", 1500: "1.5 kB", 0: "0 bytes"}
    for count, text in sizes.items():
        assert Loading(name="m", slo=SLO, bytes=count).step == f"loading the model ({text})"


def test_text_of_foreign_origin_is_one_printable_line() -> None:
    assert clean("a\tb\r\n\x1b[2Jc\udc80") == r"a b \x1b[2Jc\udc80"
