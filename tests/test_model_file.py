import hashlib
import sys
from pathlib import Path

import pytest

from autotune.errors import ModelError
from autotune.model_file import locate, locate_function, sha256


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


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Modules in the current folder that must never be imported."""
    (tmp_path / "zoo" / "deep").mkdir(parents=True)
    (tmp_path / "zoo" / "__init__.py").write_text("raise RuntimeError('imported')")
    source = "raise RuntimeError('imported')\nfrom x import other\nif 1:\n    def build(): ...\n"
    (tmp_path / "zoo" / "deep" / "nets.py").write_text(source + "named = build\n")
    (tmp_path / "nets.py").write_text("def build(): ...\n")
    (tmp_path / "star.py").write_text("from somewhere import *\n")
    (tmp_path / "broken.py").write_text("\ndef build(:\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("function", ["build", "named", "other"])
def test_a_function_is_found_by_reading_its_module(modules: Path, function: str) -> None:
    name = f"zoo.deep.nets:{function}"
    assert locate_function(name) == (modules / "zoo" / "deep" / "nets.py", name)
    assert not any(module.startswith("zoo") for module in sys.modules)


def test_the_current_folder_comes_before_what_is_installed(
    modules: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "nets.py").write_text("def build(): ...\n")
    monkeypatch.syspath_prepend(str(package))
    assert locate_function("nets:build") == (modules / "nets.py", "nets:build")
    monkeypatch.chdir(package.parent.parent)
    assert locate_function("nets:build") == (package / "nets.py", "nets:build")
    assert locate_function("shipped_models.nets:build") == (
        package / "nets.py",
        "shipped_models.nets:build",
    )


def test_what_only_an_import_would_tell_is_believed(modules: Path) -> None:
    assert locate_function("star:anything") == (modules / "star.py", "star:anything")


@pytest.mark.parametrize("name", ["model.pt2", "nets.py", "nets", "shipped_models:", "a/b.py:c"])
def test_what_names_a_file_is_no_function(modules: Path, name: str) -> None:
    assert locate_function(name) is None


def test_a_model_in_a_package_goes_before_a_function(package: Path) -> None:
    (package / "torch").touch()
    (package / "deep" / "one.pt").write_bytes(b"1")
    assert locate_function("shipped_models:pt") is None
    assert locate("shipped_models:pt") == package / "deep" / "one.pt"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.at.all:build", "no module 'nowhere.at.all' in this folder or installed here"),
        ("nets:bulid", "nets.py defines no 'bulid'; did you mean 'build'"),
        ("nets.py:build", "name the module and not its file: nets:build"),
        ("broken:build", r"broken.py:2: "),
    ],
)
def test_a_function_that_is_not_there_is_said(modules: Path, name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as raised:
        locate_function(name)
    assert "\n" not in str(raised.value)


def test_python_source_is_no_model_file(modules: Path) -> None:
    with pytest.raises(ModelError, match=r"is Python source: name the function .* nets:function"):
        locate("nets.py")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("(" * 100_000, "too many nested parentheses"),
        ("x = " + "-" * 100_000 + "1", "is nested too deeply"),
        ("x = a" + ".b" * 100_000, "is nested too deeply"),
        ("x = " + "9" * 5000, "Exceeds the limit"),
        ("x = 1\0", "null bytes"),
        ("#" * 3_000_000, "is larger than 2 MB"),
        ("x = '\\d'", "defines no 'build'"),  # warns, which is not this command's to say
    ],
)
def test_source_meant_to_break_a_parser_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    (tmp_path / "nasty_source.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=message) as raised:
        locate_function("nasty_source:build")
    assert "\n" not in str(raised.value)
