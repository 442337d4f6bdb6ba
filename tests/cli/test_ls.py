"""`autotune ls`: what has been measured here."""

import csv
import io
import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from promised import GOLDEN, TUNED

from autotune import config_file
from autotune.cli.app import run

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two tuned files, and one that is none; the working directory."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    later = replace(TUNED.search, started_at="2027-01-01T00:00:00+00:00")
    config_file.write(tmp_path / "sub" / "later.autotune.json", replace(TUNED, search=later))
    (tmp_path / "first.autotune.json").write_bytes(GOLDEN.read_bytes())
    (tmp_path / "none.autotune.json").write_text("[]")
    return tmp_path


def test_a_row_a_file_the_newest_first_and_a_warning_for_what_is_none(
    folder: Path, capsys: Capture
) -> None:
    assert run(["ls"]) == 0
    done = capsys.readouterr()
    lines = done.out.splitlines()
    assert lines[1].split() == ["sub/later.autotune.json", "160/s", "33.5", "69.7"]
    assert lines[3].split()[0] == "first.autotune.json"
    assert "All 2: 2 x 1 thread; magika:; p99 <= 50 ms" in done.out
    assert max(map(len, lines)) <= 80
    (warning,) = done.err.splitlines()
    assert warning.startswith("warning: none.autotune.json: is not a tuned file")


def test_json_and_csv_are_the_same_rows(folder: Path, capsys: Capture) -> None:
    assert run(["ls", "--json"]) == 0
    as_json = json.loads(capsys.readouterr().out)
    assert run(["ls", ".", "--csv"]) == 0
    as_csv = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert [one["file"] for one in as_json] == ["sub/later.autotune.json", "first.autotune.json"]
    assert [list(one) for one in as_json] == [list(one) for one in as_csv]
    assert [str(one["p99_ms"]) for one in as_json] == [one["p99_ms"] for one in as_csv]


def test_every_measurement_of_every_file(folder: Path, capsys: Capture) -> None:
    assert run(["ls", "--trials", "--csv"]) == 0
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert len(found) == 2 * len(TUNED.trials)
    assert list(found[0])[:3] == ["file", "trial", "phase"]
    assert run(["ls", "--trials"]) == 0
    text = capsys.readouterr().out
    assert text.index("sub/later.autotune.json") < text.index("first.autotune.json")


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_long_names_fold_and_nothing_is_cut_off(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    name = f"{'a-long-name-' * 9}.autotune.json"
    (folder / "first.autotune.json").rename(folder / name)
    assert run(["ls"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    assert name in "".join(line.split()[0] for line in lines if line.strip())
    assert "…" not in "".join(lines)


def test_names_steer_no_terminal(folder: Path, capsys: Capture) -> None:
    (folder / "first.autotune.json").rename(folder / "e\x1b[31m\n\x9b[b]\udcff.autotune.json")
    for option in ([], ["--json"], ["--csv"], ["--trials"]):
        assert run(["ls", *option]) == 0
        text = capsys.readouterr().out.replace("\r\n", "\n")
        assert all(one.isprintable() or one == "\n" for one in text), option
        assert "x1b[31m" in text


def test_nothing_there_is_said_and_is_no_failure(tmp_path: Path, capsys: Capture) -> None:
    assert run(["ls", str(tmp_path)]) == 0
    done = capsys.readouterr()
    assert done.out == ""
    assert "no tuned file beneath" in done.err
    assert run(["ls", "--json", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["ls", str(tmp_path / "none")]) == 2
    assert "no such file or folder" in capsys.readouterr().err
