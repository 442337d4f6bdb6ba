"""`autotune show`: the file again, as tables."""

import csv
import io
import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from promised import GOLDEN, TUNED

from autotune import config_file
from autotune.cli.app import run
from autotune.records import Failed

Capture = pytest.CaptureFixture[str]


def shown(capsys: Capture, *arguments: str) -> str:
    assert run(["show", *arguments]) == 0
    return capsys.readouterr().out


def test_csv_is_the_policy_with_chosen_and_default(capsys: Capture) -> None:
    found = list(csv.DictReader(io.StringIO(shown(capsys, str(GOLDEN), "--csv"), newline="")))
    assert [(one["load_rps"], one["side"]) for one in found[-2:]] == [
        ("160.0", "chosen"),
        ("160.0", "default"),
    ]
    assert TUNED.policy[-1].measured is not None
    assert float(found[-2]["p99_ms"]) == TUNED.policy[-1].measured.p99.value_ms


def test_trials_are_a_table_and_a_csv(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = shown(capsys, str(GOLDEN), "--trials")
    assert max(map(len, text.splitlines())) <= 80
    assert f"{len(TUNED.trials)} measurements in order" in " ".join(text.split())
    found = csv.DictReader(io.StringIO(shown(capsys, str(GOLDEN), "--trials", "--csv"), newline=""))
    assert [one["phase"] for one in found] == [trial.phase for trial in TUNED.trials]


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_tables_fit_the_terminal(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    failed = replace(
        TUNED.trials[0], measured=None, failure=Failed(kind="out_of_memory", detail="at load")
    )
    config_file.write(tmp_path / "a.json", replace(TUNED, trials=[*TUNED.trials, failed]))
    lines = shown(capsys, str(tmp_path / "a.json"), "--trials").splitlines()
    assert max(map(len, lines)) <= int(columns)
    assert not any("…" in line for line in lines)
    assert "failed: out_of_memory" in " ".join(" ".join(lines).split())


def test_a_strangers_file_steers_no_terminal(capsys: Capture, tmp_path: Path) -> None:
    evil = replace(
        TUNED, model=replace(TUNED.model, name="x\x1b[31m\x9b2J[red]"), summary="\x1b[2J[/]gone"
    )
    config_file.write(tmp_path / "a.json", evil)
    for option in ([], ["--json"], ["--csv"], ["--trials"]):
        text = shown(capsys, str(tmp_path / "a.json"), *option)
        assert not {"\x1b", "\x9b"} & set(text), option
    assert "x\\x1b[31m\\x9b2J[red]" in shown(capsys, str(tmp_path / "a.json"))


def test_json_is_the_file_itself(capsys: Capture) -> None:
    assert json.loads(shown(capsys, str(GOLDEN), "--json")) == json.loads(
        config_file.to_json(TUNED)
    )


def test_two_formats_at_once_are_refused(capsys: Capture) -> None:
    assert run(["show", str(GOLDEN), "--json", "--csv"]) == 2
    assert capsys.readouterr().err.startswith("error: --json and --csv both say how to print")
