"""A page on a terminal, the answer first of all: at every width, in colours and without."""

import re

import pytest
from msgspec.structs import replace
from promised import TUNED

from autotune.cli.page import print_answer, print_page
from autotune.config_file import TunedFile
from autotune.present.document import Column, Line, Row, Table
from autotune.spec import ServingConfig, Slo

BATCHED = ServingConfig(replicas=2, intra_op_threads=1, max_batch_size=16, batch_timeout_ms=2.5)


def printed(tuned: TunedFile, width: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        print_answer(tuned)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [45, 60, 80, 120])
def test_whether_the_slo_is_met_is_said_in_words_at_every_width(
    width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = TUNED.policy
    lines = printed(replace(TUNED, policy=[replace(first, config=BATCHED), *others]), width, capsys)
    assert max(map(len, lines)) <= width
    legend = next(number for number, line in enumerate(lines) if line.startswith("magika:"))
    rows = [line.split() for line in lines[1:legend]]
    ends = {words[-1] for words in rows if words[-1] in ("met", "met?", "missed", "missed?")}
    assert {"met", "missed"} <= ends
    assert lines[0].split()[:4] == ["load", "configuration", f"p{99 if width < 70 else 50}", "ms"]
    assert ("CPU ms" in lines[0]) == (width >= 60)
    assert any("[" in line for line in lines) == (width == 120)
    assert any("Brackets" in line for line in lines) == (width == 120)
    assert "2.5" in " ".join(lines)  # configurations are wrapped, not cut


def test_in_a_narrow_window_the_percentile_asked_for_is_the_one_that_stays(
    capsys: pytest.CaptureFixture[str],
) -> None:
    slo = Slo(latency_ms=50, percentile=99.9)
    assert "p99.9 ms" in printed(replace(TUNED, slo=slo), 60, capsys)[0]


def test_a_prediction_is_called_one(capsys: pytest.CaptureFixture[str]) -> None:
    predicted = replace(TUNED.policy[0], measured=None, default=None, predicted_ms=12.0)
    for width in (60, 80):
        (_, row, *_) = printed(replace(TUNED, policy=[predicted]), width, capsys)
        assert "~12.0" in row
        assert row.split()[-1] == "predicted"


def test_colours_only_repeat_what_words_say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = printed(TUNED, 80, capsys)
    assert "\x1b" not in "".join(plain)
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = "\n".join(printed(TUNED, 80, capsys))
    assert "\x1b[32m" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    bare = "\n".join(printed(TUNED, 80, capsys))
    assert not re.search(r"\x1b\[(3|9)[0-9]m", bare)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == "\n".join(plain)


def test_verdicts_stand_out_and_heads_are_bold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    table = Table([Column("head")], [Row(["1"], "good"), Row(["2"], "dim"), Row(["3"])])
    print_page([Line("Holds", "good"), Line("why", "doubt"), table])
    assert capsys.readouterr().out.splitlines() == [
        "\x1b[1;32mHolds\x1b[0m",
        "\x1b[1;33mwhy\x1b[0m",
        "\x1b[1mhead\x1b[0m",
        "\x1b[32m   1\x1b[0m",
        "\x1b[2m   2\x1b[0m",
        "   3",
    ]


def test_words_are_never_markup_and_a_long_one_is_left_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    print_page([Line("[red]:smile: \x1b[2J"), Line(f"-> {'x' * 30} --slo 5ms")])
    assert capsys.readouterr().out.splitlines() == [
        "[red]:smile: \\x1b[2J",
        "->",
        "x" * 30,
        "--slo 5ms",
    ]
