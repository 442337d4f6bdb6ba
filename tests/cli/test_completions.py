import subprocess
import sys
from pathlib import Path

import pytest

from autotune.arrivals import Traffic
from autotune.cli import completions
from autotune.cli.flags import parse_config
from autotune.exports.exporters import EXPORTERS
from autotune.given import make_objective
from autotune.patterns import parse_arrivals
from autotune.strategy.plugins import BUILT_IN


def test_what_is_offered_is_what_can_be_given() -> None:
    assert completions.servers() == list(EXPORTERS)
    for objective in completions.objectives():
        assert make_objective(objective) == objective
    assert completions.strategies()[0] == BUILT_IN
    for mode in completions.execution_modes():
        threads = {"inter-op-threads": "2" if mode == "parallel" else "1"}
        assert parse_config({"execution-mode": mode, **threads}).execution_mode == mode
    patterns = {parse_arrivals(text, "--arrivals") for text in completions.arrivals()}
    assert len({type(pattern) for pattern in patterns}) == 4
    assert Traffic(load_rps=1.0).pattern in patterns
    assert "replicas=" in completions.compared()


def test_files_are_offered_by_their_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.onnx", "a.autotune.json", "b.ort", "c.txt"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path.parent)
    inside = f"{tmp_path.name}/"
    assert completions.models(inside) == [f"{inside}a.onnx", f"{inside}b.ort"]
    assert completions.tuned_files(f"{inside}a") == [f"{inside}a.autotune.json"]
    assert completions.tuned_files("nowhere/") == []
    monkeypatch.chdir(tmp_path)
    assert completions.models("") == ["a.onnx", "b.ort"]


def test_nothing_heavy_is_loaded_for_it() -> None:
    script = (
        "import sys; from autotune.cli import completions as c\n"
        "c.servers(), c.objectives(), c.execution_modes(), c.strategies()\n"
        "c.models(''), c.tuned_files('')\n"
        "assert not {'numpy', 'scipy', 'onnxruntime', 'rich', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
