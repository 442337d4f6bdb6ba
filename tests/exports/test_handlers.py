"""The code that is copied into servers, run as a server would: beside its knobs.json."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from autotune.exports.deployment import Deployment
from autotune.exports.exporters import export
from autotune.servers.v2 import decode_answer, encode_request
from autotune.spec import ServingConfig, Slo

ASK = """
import json, sys
from onnx_model import Replica
replica = Replica()
print(json.dumps(replica.answer(json.load(sys.stdin))))
"""


def answers(
    folder: Path, model: Path, requests: list[dict[str, Any]], config: ServingConfig
) -> list[dict[str, Any]]:
    deployment = Deployment(
        name="made-up",
        model_path=str(model),
        model_sha256="0" * 64,
        config=config,
        load_rps=10.0,
        slo=Slo(latency_ms=50.0),
        cores=2,
        memory_mib=None,
        rows_per_request=1,
        batchable=True,
        made_by="autotune",
    )
    for name, text in export("litserve", deployment).files.items():
        (folder / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=folder,
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        env={"ORT_DISABLE_TELEMETRY": "1"},
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_batch_is_joined_split_and_described(mlp: Path, tmp_path: Path, threads: int) -> None:
    rng = np.random.default_rng(0)
    rows = [rng.random((1 + number // 3, 256), dtype=np.float32) for number in range(5)]
    config = ServingConfig(intra_op_threads=threads, max_batch_size=8)
    found = answers(tmp_path, mlp, [encode_request({"x": one}) for one in rows], config)
    plain = ort.InferenceSession(str(mlp), providers=["CPUExecutionProvider"])
    for one, answer in zip(rows, found, strict=True):
        got = decode_answer(json.dumps(answer).encode())["y"]
        np.testing.assert_allclose(got, plain.run(None, {"x": one})[0], rtol=1e-4, atol=1e-5)
        assert answer["parameters"]["inference_ms"] > 0
        assert answer["parameters"]["session_threads"] == threads - 1
    # Three of one row and two of two rows: what differs in shape is no batch.
    assert [one["parameters"]["batch_size"] for one in found] == [3, 3, 3, 2, 2]


def test_scalars_and_state_pass_one_by_one(stateful: Path, tmp_path: Path) -> None:
    inputs = {
        "x": np.ones((1, 64), np.float32),
        "h": np.zeros((1, 64), np.float32),
        "s": np.array(2.0, np.float32),
    }
    (found,) = answers(tmp_path, stateful, [encode_request(inputs)], ServingConfig())
    plain = ort.InferenceSession(str(stateful), providers=["CPUExecutionProvider"])
    got = decode_answer(json.dumps(found).encode())
    for name, expected in zip(("y", "next"), plain.run(["y", "next"], inputs), strict=True):
        np.testing.assert_allclose(got[name], expected, rtol=1e-5)
