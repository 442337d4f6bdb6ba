from pathlib import Path

import pytest
from drawn import DRAWN

from autotune import config_file
from autotune.cli.app import run


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.autotune.json"
    path.write_text(config_file.to_json(DRAWN))
    return path


def test_a_report_is_a_page_beside_which_nothing_else_is_written(file: Path) -> None:
    assert run(["report", "model.autotune.json"]) == 0
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name, "model.report.html"]
    assert (file.parent / "model.report.html").read_text().startswith("<!doctype html>")


def test_pictures_and_a_summary_come_without_a_page(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = ["--png", "a.png", "--svg", "a.svg", "--picture", "parts"]
    assert run(["report", str(file), *pictures, "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("### autotune: ")
    assert (file.parent / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "Where the time goes" in (file.parent / "a.svg").read_text()
    assert not list(file.parent.glob("*.html"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--png", "no/such/folder.png"], "no/such/folder.png: cannot be written"),
        (["--png", "a.png", "--picture", "latncy"], "no picture 'latncy'"),
        (["-o", "model.autotune.json"], "a tuned file of this name would be lost"),
        (["-o", "."], ": cannot be written"),
    ],
)
def test_a_mistake_is_one_line(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert run(["report", str(file), *arguments]) == 2
    assert complaint in capsys.readouterr().err
    assert config_file.read(file) == DRAWN
