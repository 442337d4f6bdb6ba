"""The example answers real HTTP."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from promised import file_for

from autotune import config_file
from autotune.spec import ServingConfig

EXAMPLE = Path(__file__).parents[2] / "examples" / "serve-fastapi"
BATCHING = ServingConfig(
    replicas=2, intra_op_threads=1, spinning=False, max_batch_size=4, batch_timeout_ms=2.0
)


@pytest.fixture(scope="module")
def server(mlp: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    tuned = tmp_path_factory.mktemp("served") / "mlp.autotune.json"
    config_file.write(tuned, file_for(mlp, {"x": [1, 256]}, BATCHING))
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLE), "fastapi_server:app"]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        env={**os.environ, "TUNED": str(tuned), "MODEL": str(mlp)},
        stderr=subprocess.PIPE,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except urllib.error.URLError:
                assert process.poll() is None, process.communicate()[1].decode()
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.communicate(timeout=20)


def post(url: str, value: Any) -> tuple[Any, str]:
    request = urllib.request.Request(
        f"{url}/predict", json.dumps(value).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer), answer.headers["Server-Timing"]


def test_it_answers_as_a_plain_session_does(server: str, mlp: Path) -> None:
    plain = ort.InferenceSession(str(mlp), providers=["CPUExecutionProvider"])
    rows = np.random.default_rng(0).random((12, 1, 256), dtype=np.float32)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda row: post(server, {"x": row.tolist()}), rows))
    for row, (answer, timing) in zip(rows, answers, strict=True):
        (expected,) = plain.run(None, {"x": row})
        assert float(timing.removeprefix("engine;dur=")) > 0
        np.testing.assert_allclose(answer["y"], expected, rtol=1e-4, atol=1e-5)


def test_a_request_that_lacks_an_input_gets_422(server: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(server, {"z": [[1.0]]})
    with refused.value as answer:
        assert answer.code == 422
