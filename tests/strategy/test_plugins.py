"""Strategies that packages bring are found by their entry points, and what is wrong is one line."""

import sys
from pathlib import Path

import pytest
from plugged_in import install

from autotune.errors import UsageError
from autotune.strategy import plugins
from autotune.strategy.plugins import BUILT_IN

MAKE = "def make(setting):\n    return setting\n"


@pytest.fixture(autouse=True)
def modules_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("some_strategy", "other_strategy"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, name)


def test_what_a_package_brings_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plugins.names()
    assert before[0] == BUILT_IN
    install(monkeypatch, tmp_path, "some_strategy", {"mine": "some_strategy:make"}, MAKE)
    assert set(plugins.names()) == {*before, "mine"}
    assert plugins.origin("mine") == "mine of some_strategy 1.0"
    assert "some_strategy" not in sys.modules  # names are not worth its code
    found = plugins.find("mine")
    assert (found.name, found.package) == ("mine", "some_strategy 1.0")
    assert found.make is sys.modules["some_strategy"].make
    assert plugins.check("mine") == "mine"


def test_the_built_in_search_is_no_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = plugins.names()
    install(monkeypatch, tmp_path, "some_strategy", {BUILT_IN: "some_strategy:none"}, MAKE)
    assert plugins.names() == before
    assert plugins.check(BUILT_IN) == BUILT_IN
    assert "some_strategy" not in sys.modules


def test_an_unknown_name_is_told_with_those_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path, "some_strategy", {"annealing": "some_strategy:make"}, MAKE)
    with pytest.raises(UsageError) as refused:
        plugins.check("anealing")
    known = ", ".join(plugins.names())
    assert str(refused.value) == (
        f"--strategy anealing: is none of {known}; did you mean 'annealing'?"
    )


def test_of_two_packages_with_one_name_none_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("some_strategy", "other_strategy"):
        install(monkeypatch, tmp_path, package, {"mine": f"{package}:make"}, MAKE)
    with pytest.raises(
        UsageError, match=r"^--strategy mine: comes with other_strategy 1\.0 and some_strategy 1\.0"
    ):
        plugins.check("mine")


@pytest.mark.parametrize(
    ("point", "code", "complaint"),
    [
        ("some_strategy:make", "1 / 0", "cannot be loaded: ZeroDivisionError: division by zero"),
        ("some_strategy:make", "import none_such", "cannot be loaded: ModuleNotFoundError: No"),
        ("some_strategy:make", "raise SystemExit", "cannot be loaded: SystemExit"),
        ("some_strategy:make", "raise OSError('a\\n  b')", "cannot be loaded: OSError: a b"),
        ("some_strategy:make", "x = 1", "cannot be loaded: AttributeError: module"),
        ("some_strategy:make", "make = 1", "brings some_strategy:make, which is no function"),
        ("some_strategy", "x = 1", "brings some_strategy, which is no function"),
    ],
)
def test_what_cannot_be_loaded_or_called_names_its_package(
    point: str, code: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path, "some_strategy", {"mine": point}, code)
    with pytest.raises(UsageError) as refused:
        plugins.check("mine")
    assert str(refused.value).startswith(f"--strategy mine: some_strategy 1.0 {complaint}")
    assert "\n" not in str(refused.value)
