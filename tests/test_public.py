"""The package as a caller finds it: names, what importing loads, types."""

import inspect
import pkgutil
import subprocess
import sys
from importlib import import_module
from types import FunctionType

import pytest

import autotune

HEAVY = {"onnxruntime", "torch", "pandas", "scipy", "numpy", "typer", "rich", "vl_convert"}


def loaded_after(script: str) -> set[str]:
    code = f"import sys\n{script}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_loads_next_to_nothing() -> None:
    assert not HEAVY & loaded_after("import autotune; dir(autotune); help")


def test_loading_a_file_needs_msgspec_alone() -> None:
    script = (
        "import autotune\n"
        "tuned = autotune.load('tests/golden/v9.autotune.json', stale='ignore')\n"
        "sys.stdout = open('/dev/null', 'w'); print(tuned, repr(tuned), tuned._repr_html_())\n"
        "sys.stdout = sys.__stdout__"
    )
    assert not HEAVY & loaded_after(script)


@pytest.mark.parametrize("name", ["search", "measure", "check", "verify"])
def test_a_function_loads_no_runtime_and_no_screen(name: str) -> None:
    found = loaded_after(f"import autotune; autotune.{name}")
    assert not {"onnxruntime", "torch", "pandas", "typer", "rich", "vl_convert"} & found


def test_public_names_stay_what_they_are_whatever_is_imported() -> None:
    """Rooms bear the names of functions: importing them must not replace these."""
    for room in pkgutil.walk_packages(autotune.__path__, "autotune."):
        if not room.name.startswith(("autotune.exports.handlers", "autotune.__main__")):
            import_module(room.name)
    for name in ("check", "compare", "doctor", "export", "report", "search", "verify"):
        assert isinstance(inspect.unwrap(getattr(autotune, name)), FunctionType), name


@pytest.mark.parametrize("name", autotune.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    thing = getattr(autotune, name)
    assert inspect.getdoc(thing)
    members = vars(thing).items() if inspect.isclass(thing) else ()
    for member, value in members:
        if not member.startswith("_") and callable(value):
            assert inspect.getdoc(value), f"{name}.{member}"
