import hashlib
import sys
from pathlib import Path

import pytest

from autotune.errors import ModelError
from autotune.model_file import locate, sha256


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that must never be imported."""
    root = tmp_path / "shipped_models"
    (root / "deep").mkdir(parents=True)
    (root / "__init__.py").write_text("raise RuntimeError('imported')")
    (root / "deep" / "one.onnx").write_bytes(b"1")
    monkeypatch.syspath_prepend(str(tmp_path))
    return root


def test_the_only_model_in_a_package_needs_no_path(package: Path) -> None:
    assert locate("shipped_models:") == package / "deep" / "one.onnx"
    assert "shipped_models" not in sys.modules


def test_several_models_in_a_package_are_listed(package: Path) -> None:
    (package / "two.onnx").write_bytes(b"2")
    with pytest.raises(ModelError, match=r"shipped_models:deep/one.onnx, shipped_models:two.onnx"):
        locate("shipped_models:")
    assert locate("shipped_models:two.onnx") == package / "two.onnx"


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(ModelError, match="no package 'nowhere_to_be_found'"):
        locate("nowhere_to_be_found:x.onnx")


@pytest.mark.parametrize(
    ("name", "message"), [("missing.onnx", "no such file"), (".", "directory")]
)
def test_what_is_no_file_is_said(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        locate(name)


def test_an_empty_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    path.touch()
    with pytest.raises(ModelError, match="empty"):
        locate(str(path))


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"abc")
    assert sha256(path) == hashlib.sha256(b"abc").hexdigest()
