"""The rules of the house, held by the same command as the tests."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 400
LONGEST_FUNCTION = 60


def sources() -> list[Path]:
    return [
        path
        for room in ("autotune", "tests", "benchmarks", "examples", "docs")
        for path in sorted((ROOT / room).rglob("*.py"))
    ]


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports"]],
    ids=" ".join,
)
def test_the_tools_are_content(command: list[str]) -> None:
    tool = Path(sys.executable).with_name(command[0])
    done = subprocess.run([tool, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_outgrows_its_room() -> None:
    long = {path.name: len(path.read_text().splitlines()) for path in sources()}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FILE} == {}


def test_no_function_outgrows_a_screen() -> None:
    long = [
        f"{path.name}:{node.name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        and _length(node) > LONGEST_FUNCTION
        # A command's options are declarations, not code.
        and path.parent.name != "cli"
    ]
    assert long == []


def _length(node: ast.FunctionDef) -> int:
    docstring = ast.get_docstring(node)
    return (node.end_lineno or 0) - node.lineno + 1 - len((docstring or "").splitlines())


def test_the_readme_names_every_command_and_the_reference_every_option() -> None:
    readme = (ROOT / "README.md").read_text()
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text()
    for name in commands():
        assert f"autotune {name}" in readme, name
        for option in re.findall(r"--[a-z-]+", help_of(name, "--help")):
            assert option in reference, option


def commands() -> list[str]:
    indented = re.findall(r"^  ([a-z]+)  ", help_of("--help"), re.MULTILINE)
    return sorted(set(indented) - {"command"})


def help_of(*arguments: str) -> str:
    command = [sys.executable, "-m", "autotune", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
