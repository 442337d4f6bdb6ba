"""`autotune compare`: the sentence first, the numbers below, refusals in one line."""

import csv
import io
import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from promised import TUNED
from searched import System, searched

from autotune import config_file
from autotune.cli.app import run

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two searches of one model; the later chose a configuration that takes half as long."""
    folder = tmp_path_factory.mktemp("compared")
    before, after = folder / "before.autotune.json", folder / "after.autotune.json"
    config_file.write(before, searched(System(chosen_ms=9.0, requests=110), 1))
    config_file.write(after, searched(System(chosen_ms=4.5, requests=110), 2))
    return str(before), str(after)


def test_the_sentence_comes_first_then_premises_answers_and_numbers(
    files: tuple[str, str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert run(["compare", *files]) == 0
    text = capsys.readouterr().out
    assert text.startswith("On the same machine, b answers 80/s with a p99 x0.")
    rows = [line.split() for line in text.splitlines()]
    p50 = next(row for row in rows if row[:3] == ["30/s", "p50", "ms"])
    assert p50[-1] == "differs"
    assert p50[5].startswith("x0.")
    assert ["seed", "1", "2"] in rows
    assert "differs: more than noise" in " ".join(text.split())


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_tables_fit_the_terminal(
    files: tuple[str, str], capsys: Capture, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert run(["compare", *files]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= int(columns)
    assert "…" not in text


def test_json_holds_the_records_and_csv_the_rows(files: tuple[str, str], capsys: Capture) -> None:
    assert run(["compare", *files, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["same_system"] is True
    assert [load["load_rps"] for load in found["loads"]] == [30.0, 80.0]
    assert run(["compare", *files, "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    first = found["loads"][0]["differences"][0]
    row = next(one for one in rows if one["of"] == "answer")
    assert (row["quantity"], float(row["change"])) == (first["quantity"], first["change"])
    assert row["verdict"] == first["verdict"] == "differs"


def test_what_cannot_be_compared_is_refused_in_one_line(
    files: tuple[str, str], capsys: Capture, tmp_path: Path
) -> None:
    bursty = tmp_path / "bursty.autotune.json"
    config_file.write(bursty, replace(TUNED, arrivals="bursty x4"))
    assert run(["compare", files[0], str(bursty)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: a was measured with arrivals poisson, b with bursty x4")
    assert run(["compare", files[0], str(tmp_path / "none.json")]) == 2
    assert run(["compare", *files, "--csv", "--json"]) == 2


def test_strangers_files_steer_no_terminal(capsys: Capture, tmp_path: Path) -> None:
    evil = replace(TUNED, model=replace(TUNED.model, name="x\x1b[31m\x9b2J", sha256="e" * 64))
    config_file.write(tmp_path / "a\x1b.json", evil)
    config_file.write(tmp_path / "b.json", TUNED)
    for option in ([], ["--json"], ["--csv"]):
        assert (
            run(["compare", str(tmp_path / "a\x1b.json"), str(tmp_path / "b.json"), *option]) == 0
        )
        text = capsys.readouterr().out
        assert not {"\x1b", "\x9b"} & set(text), option
