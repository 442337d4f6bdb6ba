"""Every command is a function, and every option of it an argument: neither can go its own way."""

import inspect
import re
from typing import Any

import pytest
from typer.main import get_command

import autotune
from autotune.cli.app import app
from autotune.present.in_python import ARGUMENTS

COMMANDS: dict[str, Any] = getattr(get_command(app), "commands", {})
CALLED = {"show": "load", "fleet": "fleet_search"}
"""Commands whose function has another name: what `load` returns is printed."""
INSTEAD = {
    ("show", "trials"): "Tuned.trials",
    ("show", "json"): "Tuned.to_json",
    ("show", "csv"): "Tuned.to_pandas",
    ("search", "json"): "Tuned.to_json",
    ("measure", "json"): "MeasureResult.to_json",
    ("verify", "json"): "VerifyResult.to_json",
    ("check", "json"): "CheckResult.to_json",
    ("watch", "json"): "WatchResult.to_json",
    ("fleet", "action"): "fleet_search",
    ("fleet", "kubernetes"): "fleet_manifest",
    ("fleet", "machine_type"): "fleet_manifest",
    ("fleet", "json"): "FleetResult.to_json",
    ("plan", "json"): "PlanResult.to_json",
    ("plan", "output"): "PlanResult.save",
    **{
        ("plan", name): f"PlanResult.{name}"
        for name in ("report", "png", "svg", "hpa", "keda", "ray")
    },
    ("check", "junit"): "CheckResult.junit_xml",
    ("check", "github"): "CheckResult.github_annotation",
    ("compare", "json"): "CompareResult.to_json",
    ("compare", "csv"): "CompareResult.to_pandas",
    ("ls", "json"): "Files.to_json",
    ("ls", "csv"): "Files.to_pandas",
    ("ls", "trials"): "Files.trials",
    ("report", "picture"): "Report.pictures",
    ("report", "png"): "Report.png",
    ("report", "svg"): "Report.svg",
    ("report", "markdown"): "Report.markdown",
    ("doctor", "json"): "DoctorResult.to_json",
    ("export", "list"): "list_servers",
    **{(name, "dry_run"): "dry_run" for name in ("search", "measure", "check", "verify")},
}
"""Options that say what to do with a result: what does it here."""
ARGUMENT = {
    ("search", "load"): "loads_rps",
    ("fleet", "load"): "loads_rps",
    ("show", "file"): "path",
    ("ls", "folders"): "folders",
}
"""Arguments that are not called as `in_python` calls the option."""
PROGRESS = {"verbose", "quiet"}


def options() -> list[tuple[str, str]]:
    return [
        (name, str(param.name))
        for name, command in COMMANDS.items()
        for param in command.params
        if param.name != "help"
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_a_function_with_an_example(command: str) -> None:
    function = getattr(autotune, CALLED.get(command, command))
    assert inspect.isfunction(inspect.unwrap(function))
    text = inspect.getdoc(function)
    assert text is not None
    for name in inspect.signature(function).parameters:
        assert f"\n    {name}: " in text, name
    assert command in ("schema", "show") or f"autotune.{CALLED.get(command, command)}(" in text


@pytest.mark.parametrize(("command", "option"), options())
def test_every_option_is_an_argument_or_what_a_result_does(command: str, option: str) -> None:
    arguments = inspect.signature(getattr(autotune, CALLED.get(command, command))).parameters
    if instead := INSTEAD.get((command, option)):
        thing: Any = autotune
        for part in instead.split("."):
            thing = getattr(thing, part)
        assert inspect.getdoc(thing)
        return
    if option in PROGRESS:
        assert "progress" in arguments
        return
    known, _ = ARGUMENTS.get(option.replace("_", "-"), (option, None))
    assert ARGUMENT.get((command, option), known) in arguments


@pytest.mark.parametrize("command", ["search", "measure", "check", "verify", "export"])
def test_all_but_the_file_and_the_model_are_named(command: str) -> None:
    parameters = inspect.signature(getattr(autotune, command)).parameters.values()
    free = [one.name for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert free in (["model"], ["file"], ["file", "model"])


@pytest.mark.parametrize("command", ["search", "measure", "check", "verify", "export"])
def test_defaults_are_those_of_the_command(command: str) -> None:
    given = inspect.signature(getattr(autotune, command)).parameters
    for param in COMMANDS[command].params:
        argument, _ = ARGUMENTS.get(str(param.name).replace("_", "-"), (param.name, None))
        if argument in given and param.default not in (None, "0") and param.name != "spinning":
            theirs = re.sub(r"(?<=\d)[s%]$", "", str(param.default))
            mine = given[argument].default
            if argument == "tolerance":
                mine = 100 * mine
            knob = getattr(autotune.ServingConfig(), str(argument), mine)
            assert theirs in (str(mine), f"{mine:g}" if isinstance(mine, float) else "", str(knob))
