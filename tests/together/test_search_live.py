"""A search for two real models, as a person asks for it."""

import json
from pathlib import Path

import pytest

from autotune.cli.app import run
from autotune.together import file

CHAIN = """
[reading]
slo = "500ms"
load = 20
chain = [{ model = "a.onnx" }, { model = "b.onnx", per_request = 2 }]
"""


@pytest.mark.slow
@pytest.mark.parametrize("chained", [False, True])
def test_two_models_are_searched_and_written(
    chained: bool,
    mlp: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.onnx").write_bytes(mlp.read_bytes())
    (tmp_path / "s.toml").write_text(CHAIN)
    asked = ["s.toml"] if chained else ["a.onnx", "b.onnx", "--slo", "500ms", "--load", "40"]
    command = ["search", *asked, "--budget", "15s", "--json", "--allow-shared", "--store", "kept"]
    assert run(command) == 0
    out = capsys.readouterr().out
    assert run([*command, "-v"]) == 0
    again = capsys.readouterr()
    assert again.out == out
    assert "answered from the store: measured on" in again.err
    found = file.read(tmp_path / "together.autotune.json")
    assert json.loads(out)["summary"] == found.summary
    assert {one.model for one in found.recommended} == {"a", "b"}
    services = found.contenders[0].served
    assert [one.service for one in services] == (["reading"] if chained else ["a", "b"])
    assert all(one.measured.requests > 0 and not one.measured.lost for one in services)
