"""`autotune verify` with the one server that needs no installing: a session behind plain HTTP."""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from promised import file_for

from autotune import config_file
from autotune.cli.app import run
from autotune.exports.exporters import export
from autotune.exports.tuned import deployment_of
from autotune.servers.running import RunningServer, free_ports
from autotune.servers.start_onnxruntime import ONNXRUNTIME
from autotune.servers.starter import Place
from autotune.spec import ServingConfig

TWO = ServingConfig(replicas=2, intra_op_threads=2, spinning=False)


@pytest.fixture
def tuned(mlp: Path, tmp_path: Path) -> Path:
    path = tmp_path / "mlp.autotune.json"
    config_file.write(path, file_for(mlp, {"x": [1, 256]}, TWO))
    return path


def effects(found: dict[str, Any]) -> dict[str, str]:
    return {one["knob"]: one["effect"] for one in found["knobs"]}


def test_a_server_is_started_driven_and_ended(
    tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", str(tuned), "--server", "onnxruntime", "--duration", "3s", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["answers"] == "equal"
    assert effects(found)["replicas"] == effects(found)["intra_op_threads"] == "took effect"
    (load,) = found["loads"]
    assert load["load_rps"] == 50
    assert load["requests"] > 75
    assert load["unanswered"] == 0
    assert 0 < load["inference_ms"] < load["p50"]["value_ms"]


def test_a_running_server_that_ignores_what_was_asked_is_found_out(
    tuned: Path, mlp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = config_file.read(tuned)
    deployment = deployment_of(file, file.policy[0], mlp)
    port, *spare = free_ports(4)
    place = Place(
        tmp_path, deployment.name, port, (spare[0], spare[1], spare[2]), Path(sys.executable)
    )
    for name, text in export("onnxruntime", deployment).files.items():
        (tmp_path / name).write_text(text)
    knobs = tmp_path / "knobs.json"
    knobs.write_text(knobs.read_text().replace('"intra_op_threads": 2', '"intra_op_threads": 1'))
    with RunningServer(ONNXRUNTIME, place, 30.0):
        url = f"http://127.0.0.1:{port}/v2/models/{deployment.name}/infer"
        arguments = ["--server", "onnxruntime", "--url", url, "--duration", "2s"]
        assert run(["verify", str(tuned), *arguments]) == 3
    said = capsys.readouterr().out
    assert "did not" in said
    assert "answers are those of ONNX Runtime's default" in said


def test_a_port_in_use_is_refused(tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert run(["verify", str(tuned), "--server", "onnxruntime", "--port", port]) == 2
    assert f"--port {port} is in use" in capsys.readouterr().err


def test_nobody_at_the_address_is_one_line(tuned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/v2/models/mlp/infer"
    assert run(["verify", str(tuned), "--server", "litserve", "--url", url]) == 2
    assert "error: no answer" in capsys.readouterr().err


def test_another_model_is_refused(
    tuned: Path, mlp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = onnx.load(str(mlp))
    other.doc_string = "another"
    onnx.save(other, str(tmp_path / "other.onnx"))
    arguments = ["--server", "onnxruntime", "--model", str(tmp_path / "other.onnx")]
    assert run(["verify", str(tuned), *arguments]) == 2
    assert "is not the model that was tuned" in capsys.readouterr().err
