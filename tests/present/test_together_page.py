"""A file for several models as a page, in a terminal, in a notebook and in a browser's page."""

from pathlib import Path

import pytest

from autotune.api.together import TogetherResult
from autotune.cli.app import run
from autotune.present.document import as_text
from autotune.present.together import together_page
from autotune.reports.together_page import latency
from autotune.reports.together_page import together_page as report
from autotune.together import file

GOLDEN = Path(__file__).parents[1] / "golden" / "v2.together.json"
FOUND = file.read(GOLDEN)
Capture = pytest.CaptureFixture[str]


def test_the_page_names_every_way_and_service_within_80_columns() -> None:
    text = as_text(together_page(FOUND), 80)
    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    for name in ("the runtime's defaults", "an even split", "a 60/s", "b 60/s", "on CPU"):
        assert name.split()[-1] in words
    assert "a beside b x1.10 with a thread each, x2.00" in words
    assert "At 0.48 x these loads all are met as measured" in words
    assert "Measured at 0.48 x the loads: a 25.4 ms of 40 (" in words


def test_the_report_is_one_page_with_a_picture() -> None:
    text = report(FOUND)
    assert "a + b: autotune report" in text
    assert 'src="http' not in text
    assert "At 0.48 x these loads all are met as measured" in text
    assert len(latency(FOUND).spec["data"]["values"]) == 2 * len(FOUND.contenders)


def test_show_and_report_take_the_file_and_its_members(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["show", str(GOLDEN)]) == 0
    assert "the runtime's" in capsys.readouterr().out
    assert run(["show", "--json", str(GOLDEN)]) == 0
    assert capsys.readouterr().out == GOLDEN.read_text()
    assert run(["show", f"{GOLDEN}#a"]) == 0
    assert "beside b at 60" in " ".join(capsys.readouterr().out.split())
    assert run(["report", str(GOLDEN)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["v2.together.report.html"]


@pytest.mark.parametrize(
    "words", [("show", "--csv"), ("show", "--trials"), ("report", "--markdown")]
)
def test_what_is_for_one_model_asks_for_one(words: tuple[str, ...], capsys: Capture) -> None:
    assert run([*words, str(GOLDEN)]) == 2
    assert f"{GOLDEN}#NAME" in capsys.readouterr().err


def test_in_python_it_prints_tells_and_saves(tmp_path: Path) -> None:
    result = TogetherResult(FOUND)
    assert result.exit_code == 1
    assert "the runtime's" in str(result)
    assert list(result.models) == ["a", "b"]
    assert result.models["a"].file == FOUND.members["a"]
    frame = result.to_pandas()
    assert len(frame) == 2 * len(FOUND.contenders)
    assert frame["recommended"].sum() == 2
    assert file.read(result.save(tmp_path / "x.json")) == FOUND
    assert result.report(tmp_path / "x.html").read_text() == report(FOUND)
