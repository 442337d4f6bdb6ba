"""Options from a settings file and from the environment."""

import os
from pathlib import Path

import pytest

from autotune.cli import settings
from autotune.cli.app import run
from autotune.cli.settings import (
    Given,
    SettingsFile,
    find_file,
    given_in_environment,
    given_in_file,
    shared,
    unknown_variables,
    yield_to,
)
from autotune.errors import UsageError

COMMANDS = {
    "search": {
        "model": str,
        "slo": str,
        "load": str,
        "loads": str,
        "trials": int,
        "json": bool,
        "shape": list[str],
        "input": Path,
        "output": Path,
    },
    "measure": {"model": str, "load": str, "replicas": int, "spinning": bool, "compare": str},
    "compare": {"a": Path, "json": bool},
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, in which we are."""
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def values(given: dict[str, Given]) -> dict[str, object]:
    return {key: one.value for key, one in given.items()}


def in_file(text: str, command: str = "search") -> dict[str, object]:
    Path("autotune.toml").write_text(text)
    file = find_file()
    assert file is not None
    return values(given_in_file(file, COMMANDS, command))


def test_the_nearest_file_is_taken_and_none_above_the_repository(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here.parent / "autotune.toml").write_text('slo = "1s"')
    assert find_file() is None
    inner = here / "a" / "b"
    inner.mkdir(parents=True)
    (here / "pyproject.toml").write_text('[tool.autotune]\nslo = "2s"\n[tool.other]\nx = 1')
    (here / "a" / "pyproject.toml").write_text('[project]\nname = "another"')
    monkeypatch.chdir(inner)
    assert find_file() == SettingsFile(here / "pyproject.toml", {"slo": "2s"})
    (here / "autotune.toml").write_text('slo = "3s"')
    found = find_file()
    assert found == SettingsFile(here / "autotune.toml", {"slo": "3s"})
    assert found is not None
    assert found.name == "../../autotune.toml"


@pytest.mark.usefixtures("here")
def test_values_are_written_as_toml_has_them() -> None:
    text = (
        'slo = "50ms"\nloads = [20, "80rps", 1.5]\ntrials = 3\njson = true\n'
        'shape = "x=1x2"\nload = 80\n'
    )
    assert in_file(text) == {
        "slo": "50ms",
        "loads": "20,80rps,1.5",
        "trials": 3,
        "json": True,
        "shape": ["x=1x2"],
        "load": "80",
    }


@pytest.mark.usefixtures("here")
def test_a_commands_table_wins_and_is_its_own() -> None:
    text = 'load = 80\n[search]\nloads = "1,2"\n[compare]\njson = true\n'
    assert in_file(text) == {"loads": "1,2"}
    assert in_file(text, "measure") == {"load": "80"}
    assert in_file(text, "compare") == {"json": True}
    assert in_file('compare = "default"', "measure") == {"compare": "default"}


def test_paths_are_relative_to_the_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "model.onnx").write_bytes(b"model")
    (here / "autotune.toml").write_text('model = "model.onnx"\ninput = "a.npz"')
    (here / "sub").mkdir()
    monkeypatch.chdir(here / "sub")
    file = find_file()
    assert file is not None
    assert values(given_in_file(file, COMMANDS, "search")) == {
        "model": "../model.onnx",
        "input": "../a.npz",
    }
    assert settings._beside(here / "autotune.toml", "magika:") == "magika:"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('slos = "50ms"', "autotune.toml: slos: there is no such option; did you mean 'slo'?"),
        ("[search]\nslos = 1", "autotune.toml: search.slos: there is no such option; did"),
        ("[serach]\n", "autotune.toml: [serach] is no command; did you mean 'search'?"),
        ("search = 1", "autotune.toml: search: is a command: write its options below [search]"),
        ("slo = true", "autotune.toml: slo: must be a string in quotes, not true"),
        ("slo = 00:00:01", "autotune.toml: slo: must be a string in quotes"),
        ("slo = [1]", "autotune.toml: slo: must be a string in quotes"),
        ('trials = "3"', 'autotune.toml: trials: must be a whole number, not "3"'),
        ("trials = true", "autotune.toml: trials: must be a whole number, not true"),
        ("trials = 1.5", "autotune.toml: trials: must be a whole number, not 1.5"),
        ('json = "yes"', 'autotune.toml: json: must be true or false, not "yes"'),
        ("json = 1", "autotune.toml: json: must be true or false, not 1"),
        ("shape = [1]", "autotune.toml: shape: must be a list of strings"),
        ("loads = [[1]]", "autotune.toml: loads: must be a string in quotes, or a list of loads"),
        ("loads = []", "or a list of loads"),
        ('output = "x"', "autotune.toml: output: is not the same for all commands: write it"),
        ("force = true", "autotune.toml: force: may be given on the command line only"),
        ("slo = ", "autotune.toml: is not TOML: "),
        ("slo = [" + 100_000 * "[", "autotune.toml: is not TOML: "),
        ("slo = " + 10_000 * "9", "autotune.toml: is not TOML: "),
        ('[tool.autotune]\nslo = "1s"', "[tool.autotune] belongs in pyproject.toml"),
    ],
)
def test_a_mistake_in_the_file_is_named(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        in_file(text)
    assert complaint in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(here: Path) -> None:
    own = here / "autotune.toml"
    own.write_bytes(b"slo = '\xff'")
    with pytest.raises(UsageError, match=r"^autotune\.toml: is not UTF-8"):
        find_file()
    own.unlink()
    own.mkdir()
    with pytest.raises(UsageError, match=r"^autotune\.toml: cannot be read: Is a directory"):
        find_file()
    own.rmdir()
    own.symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"^autotune\.toml: cannot be read: No such file"):
        find_file()
    own.unlink()
    (here / "pyproject.toml").write_text("[tool]\nautotune = 1")
    with pytest.raises(UsageError, match=r"^pyproject\.toml: tool\.autotune is no table"):
        find_file()


def test_without_a_working_directory_there_is_no_file(here: Path) -> None:
    (here / "gone").mkdir()
    os.chdir(here / "gone")
    (here / "gone").rmdir()
    assert find_file() is None


def in_environment(variables: dict[str, str], command: str = "search") -> dict[str, object]:
    return values(given_in_environment(variables, COMMANDS, command))


def test_the_environment_gives_options_to_all_commands_or_to_one() -> None:
    variables = {
        "AUTOTUNE_SLO": "50ms",
        "AUTOTUNE_SEARCH_SLO": "60ms",
        "AUTOTUNE_TRIALS": "3",
        "AUTOTUNE_JSON": "Yes",
        "AUTOTUNE_SHAPE": "x=1x2 y=3",
        "AUTOTUNE_LOAD": "",
        "AUTOTUNE_SEARCH_OUTPUT": "x.json",
        "AUTOTUNE_OUTPUT": "shared.json",
    }
    assert in_environment(variables) == {
        "slo": "60ms",
        "trials": 3,
        "json": True,
        "shape": ["x=1x2", "y=3"],
        "output": "x.json",
    }


def test_what_an_export_tells_a_server_is_no_option() -> None:
    exported = {
        "AUTOTUNE_REPLICAS": "4",
        "AUTOTUNE_SPINNING": "0",
        "AUTOTUNE_BATCH_TIMEOUT_MS": "2",
    }
    assert in_environment(exported, "measure") == {}
    assert unknown_variables(exported, COMMANDS) == []
    assert in_environment({"AUTOTUNE_MEASURE_REPLICAS": "4"}, "measure") == {"replicas": 4}


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("AUTOTUNE_TRIALS", "x", "AUTOTUNE_TRIALS 'x' is not a whole number"),
        ("AUTOTUNE_SEARCH_JSON", "maybe", "AUTOTUNE_SEARCH_JSON 'maybe' is neither yes nor no"),
    ],
)
def test_a_mistake_in_the_environment_is_named(name: str, text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        in_environment({name: text})
    assert str(caught.value) == complaint


def test_a_mistyped_variable_is_warned_of() -> None:
    lines = unknown_variables({"AUTOTUNE_SLOO": "1", "OTHER_SLO": "1"}, COMMANDS)
    assert lines == ["AUTOTUNE_SLOO gives no option; did you mean 'AUTOTUNE_SLO'?"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("AUTOTUNE_OUTPUT", "name the command, as in AUTOTUNE_SEARCH_OUTPUT"),
        ("AUTOTUNE_FORCE", "that may be given on the command line only"),
    ],
)
def test_a_variable_that_cannot_be_for_all_is_explained(name: str, hint: str) -> None:
    assert unknown_variables({name: "x"}, COMMANDS) == [f"{name} gives no option: {hint}"]


def test_an_option_of_two_types_is_shared_by_no_commands() -> None:
    everywhere, unclear = shared({"search": {"trials": int, "slo": str}, "ls": {"trials": bool}})
    assert everywhere == {"slo": str}
    assert "trials" in unclear


def test_what_excludes_another_silences_it() -> None:
    given = {key: Given(1, key, key) for key in ("loads", "trace", "slo", "seed")}
    assert set(yield_to(given, {"load", "slo"})) == {"trace", "seed"}


def test_the_command_line_wins_then_the_environment_then_the_file(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "autotune.toml").write_text('model = "none.onnx"\nslo = "50"\nloads = "x"')
    monkeypatch.setenv("AUTOTUNE_SAFE", "200%")

    def said(*arguments: str) -> list[str]:
        assert run(["search", *arguments]) == 2
        return capsys.readouterr().err.splitlines()

    settled = "settings: model, slo, loads from autotune.toml; AUTOTUNE_SAFE"
    assert said() == [
        settled,
        "error: autotune.toml: slo '50' has no unit: write 50ms, 50s or 50m",
    ]
    monkeypatch.setenv("AUTOTUNE_SLO", "51")
    assert said()[-1] == "error: AUTOTUNE_SLO '51' has no unit: write 51ms, 51s or 51m"
    assert said("--slo", "52")[-1].startswith("error: --slo '52' has no unit")
    good = ("--slo", "50ms")
    assert said(*good)[-1].startswith("error: autotune.toml: loads 'x' is not a load")
    assert said(*good, "--load", "1", "-q") == [
        "error: autotune.toml: model: none.onnx: no such file"
    ]


def test_help_is_there_whatever_the_settings(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "autotune.toml").write_text("[")
    assert run(["search", "--help"]) == 0
    assert "--slo DURATION" in capsys.readouterr().out
    assert run(["search"]) == 2
