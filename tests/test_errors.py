from pathlib import Path

import pytest

from autotune.errors import did_you_mean, did_you_mean_file


@pytest.mark.parametrize(
    ("word", "end"),
    [
        ("serach", "; did you mean 'search'?"),
        ("SHOW", "; did you mean 'show'?"),
        ("measur", "; did you mean 'measure'?"),
        ("xyz", ""),
        ("", ""),
    ],
)
def test_the_closest_word_is_named_if_it_is_close(word: str, end: str) -> None:
    assert did_you_mean(word, ["search", "show", "measure"]) == end


def test_closer_may_be_demanded() -> None:
    assert did_you_mean("sow", ["show"], 0.8) == "; did you mean 'show'?"
    assert did_you_mean("saw", ["show"], 0.8) == ""


def test_a_file_beside_is_named(tmp_path: Path) -> None:
    for name in ("model.onnx", "model.autotune.json", "other.txt"):
        (tmp_path / name).touch()
    onnx = f"; did you mean {str(tmp_path / 'model.onnx')!r}?"
    assert did_you_mean_file(tmp_path / "modle.onnx", (".onnx",)) == onnx
    assert did_you_mean_file(tmp_path / "model", (".onnx",)) == onnx
    assert did_you_mean_file(tmp_path / "other.onnx", (".onnx",)) == ""
    assert did_you_mean_file(tmp_path / "none" / "model.onnx", (".onnx",)) == ""
