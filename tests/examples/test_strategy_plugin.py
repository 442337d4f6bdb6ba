"""The example of a strategy that a package of its own brings."""

import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from clone import EXAMPLES, commands_of, copy_of, run_line
from desk import simulate_less
from synthetic import SyntheticBench, run

from autotune.strategy import plugins
from autotune.strategy.conformance import check_strategy
from autotune.strategy.plugins import Plugin

FOLDER = EXAMPLES / "strategy-plugin"
NAME = "annealing"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "annealing_strategy", FOLDER / "annealing_strategy.py"
    )
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_it_is_a_strategy_by_the_name_that_its_package_gives(module: ModuleType) -> None:
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())
    points = project["project"]["entry-points"][plugins.GROUP]
    assert points == {NAME: "annealing_strategy:make"}
    assert project["tool"]["setuptools"]["py-modules"] == ["annealing_strategy"]
    check_strategy(module.make)


def test_it_searches(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Plugin(NAME, "annealing-strategy 0.1.0", module.make)
    monkeypatch.setattr("autotune.stages.goal.find", lambda name: found)
    simulate_less(monkeypatch)
    tuned, _ = run([130], SyntheticBench(), strategy=NAME)
    searched = [trial for trial in tuned.trials if trial.phase == "search"]
    assert len(searched) == module.STEPS
    assert tuned.search.stopped == "settled"
    assert tuned.status == "complete"


@pytest.mark.slow
def test_installed_it_passes_its_own_test_and_searches_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy_of(["examples"], tmp_path / "clone") / "examples" / FOLDER.name
    target = tmp_path / "packages"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", target, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("PYTHONPATH", str(target))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    tested = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout
    script = source / "try_it.py"
    assert "(20, 60), 25.0" in script.read_text()
    script.write_text(script.read_text().replace("(20, 60), 25.0", "(20, 60), 10.0"))
    _, line = commands_of(FOLDER.name)
    tried = run_line(line, tmp_path / "clone", Path(sys.executable), tmp_path)
    assert tried.returncode == 0, tried.stderr
    rows = [row.split()[:2] for row in tried.stdout.splitlines()[1:5]]
    assert rows == [[strategy, load] for strategy in ("rrl", NAME) for load in ("20", "60")]
    assert len(list(tmp_path.rglob("*.autotune.json"))) == 2
    autotune = [sys.executable, "-m", "autotune", "search", "magika:", "--slo", "1s"]
    refused = subprocess.run(
        [*autotune, "--strategy", "anealing"], capture_output=True, text=True, env=os.environ
    )
    assert refused.returncode == 2
    assert "is none of rrl, annealing; did you mean 'annealing'?" in refused.stderr
