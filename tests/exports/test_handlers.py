"""The code that is copied into servers, run as a server would: beside its knobs.json."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import onnxruntime as ort
import pytest

from autotune.exports.deployment import Deployment
from autotune.exports.exporters import export
from autotune.model_file import sha256
from autotune.models.loading import open_replica
from autotune.models.onnx_model import session_options
from autotune.models.onnx_providers import provider_chain
from autotune.records import InputInfo
from autotune.servers.v2 import decode_answer, encode_request
from autotune.spec import ModelSpec, Provider, ServingConfig, Slo

ASK = """
import json, sys
from tuned_model import Replica
replica = Replica()
print(json.dumps(replica.answer(json.load(sys.stdin))))
"""


def deployment_of(model: Path, config: ServingConfig) -> Deployment:
    return Deployment(
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
        runtime="onnxruntime",
        function=None,
        channels_last=True,
        inputs=[],
        request_shapes={},
    )


def written(folder: Path, deployment: Deployment) -> None:
    for name, text in export("litserve", deployment).files.items():
        (folder / name).write_text(text)


def run(folder: Path, script: str, told: Any) -> Any:
    """Run a script beside the exported files; return what it prints as JSON, if anything."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        input=json.dumps(told),
        capture_output=True,
        text=True,
        env={**os.environ, "ORT_DISABLE_TELEMETRY": "1", "TORCHINDUCTOR_CACHE_DIR": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None


def answers(
    folder: Path, model: Path, requests: list[dict[str, Any]], config: ServingConfig
) -> list[dict[str, Any]]:
    written(folder, deployment_of(model, config))
    found: list[dict[str, Any]] = run(folder, ASK, requests)
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


PROVIDERS_OF = """
import json, sys
from tuned_model import KNOBS, providers, session_options
found = []
for change in json.load(sys.stdin):
    knobs = {**KNOBS, **change}
    options = session_options(knobs)
    spin = options.get_session_config_entry("session.intra_op.allow_spinning")
    found.append([providers(knobs), options.intra_op_num_threads, spin])
print(json.dumps(found))
"""


def test_a_server_gives_providers_the_options_that_were_measured(mlp: Path, tmp_path: Path) -> None:
    shapes = [
        ServingConfig(provider=provider, intra_op_threads=threads, replicas=replicas)
        for provider in get_args(Provider)
        for threads, replicas in ((0, 1), (3, 2))
    ]
    changes = [msgspec.to_builtins(config) for config in shapes]
    written(tmp_path, deployment_of(mlp, ServingConfig()))
    expected = []
    for config in shapes:
        shape = config.session_shape
        options = session_options(shape)
        spin = options.get_session_config_entry("session.intra_op.allow_spinning")
        chain = [list(one) for one in provider_chain(shape)]
        expected.append([chain, options.intra_op_num_threads, spin])
    assert run(tmp_path, PROVIDERS_OF, changes) == expected


MODEL = """
import torch
from torch import nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, image, scale):
        found = self.conv(image).mean((2, 3)) * scale
        return found, (found.softmax(1), found.to(torch.bfloat16))


def build():
    return Model()
"""
WRITE = """
import shop, sys, torch
torch.manual_seed(0)
model = shop.build().eval()
image, scale = torch.rand(2, 3, 8, 8), torch.rand(2, 1)
torch.save(model, "pickled.pt")
torch.jit.script(model).save("script.pt")
rows = torch.export.Dim("rows", min=1, max=64)
shapes = {"image": {0: rows}, "scale": {0: rows}}
torch.export.save(torch.export.export(model, (image, scale), dynamic_shapes=shapes), "program.pt2")
"""
ASK_EACH = """
import json, sys
from tuned_model import KNOBS, Replica
changes, requests = json.load(sys.stdin)
print(json.dumps([Replica({**KNOBS, **change}).answer(requests) for change in changes]))
"""


def torch_server(folder: Path, config: ServingConfig) -> None:
    """Write what a server needs, and the source of the model."""
    pytest.importorskip("torch")
    (folder / "shop.py").write_text(MODEL)
    deployment = msgspec.structs.replace(
        deployment_of(folder / "program.pt2", config),
        runtime="torch",
        inputs=[
            InputInfo(name="image", dtype="tensor(float)", shape=["batch", 3, 8, 8]),
            InputInfo(name="scale", dtype="tensor(float)", shape=["batch", 1]),
        ],
        request_shapes={"image": [1, 3, 8, 8], "scale": [1, 1]},
    )
    written(folder, deployment)


def torch_requests() -> list[dict[str, np.ndarray[Any, np.dtype[Any]]]]:
    rng = np.random.default_rng(0)
    return [
        {"image": rng.random((1, 3, 8, 8), np.float32), "scale": rng.random((1, 1), np.float32)}
        for _ in range(3)
    ]


def demand_equal(folder: Path, requests: list[Any], found: list[dict[str, Any]]) -> None:
    shapes = {"image": [1, 3, 8, 8], "scale": [1, 1]}
    spec = ModelSpec(path=str(folder / "program.pt2"), shapes=shapes)
    plain = open_replica(spec, ServingConfig().session_shape).infer
    for one, answer in zip(requests, found, strict=True):
        got, expected = decode_answer(json.dumps(answer).encode()), plain(one)
        assert list(got) == list(expected) == ["output_0", "output_1_0", "output_1_1"]
        for name, array in expected.items():
            np.testing.assert_allclose(got[name], array, rtol=1e-2, atol=1e-2)


def test_a_function_is_called_and_its_outputs_are_named(tmp_path: Path) -> None:
    torch_server(tmp_path, ServingConfig(intra_op_threads=2, max_batch_size=4))
    bodies = [encode_request(one) for one in torch_requests()]
    [found] = run(tmp_path, ASK_EACH, [[{"function": "shop:build", "model": ""}], bodies])
    for answer in found:
        got = decode_answer(json.dumps(answer).encode())
        assert list(got) == ["output_0", "output_1_0", "output_1_1"]
        powers = np.exp(got["output_0"])
        np.testing.assert_allclose(got["output_1_0"], powers / powers.sum(), rtol=1e-5)
        np.testing.assert_allclose(got["output_1_1"], got["output_0"], rtol=1e-2)
        assert answer["parameters"]["batch_size"] == 3
        assert answer["parameters"]["session_threads"] == 1


@pytest.mark.slow
def test_torch_models_of_every_kind_answer_alike_in_a_server(tmp_path: Path) -> None:
    torch_server(tmp_path, ServingConfig(intra_op_threads=2, max_batch_size=4))
    run(tmp_path, WRITE, None)
    requests, trusted = torch_requests(), sha256(tmp_path / "pickled.pt")
    changes = [
        {"model": "program.pt2"},
        {"model": "script.pt"},
        {"model": "pickled.pt", "model_sha256": trusted, "channels_last": False},
        {"function": "shop:build", "model": ""},
    ]
    bodies = [encode_request(one) for one in requests]
    for found in run(tmp_path, ASK_EACH, [changes, bodies]):
        demand_equal(tmp_path, requests, found)
        assert [one["parameters"]["batch_size"] for one in found] == [3, 3, 3]
    with pytest.raises(AssertionError, match="is a pickle, and not the one that was tuned"):
        run(tmp_path, ASK_EACH, [[{"model": "pickled.pt"}], bodies])


@pytest.mark.slow
def test_a_server_runs_a_torch_model_in_the_form_that_was_tuned(tmp_path: Path) -> None:
    config = ServingConfig(intra_op_threads=1, max_batch_size=4, form="exported")
    torch_server(tmp_path, config)
    run(tmp_path, WRITE, None)
    requests = torch_requests()
    bodies = [encode_request(one) for one in requests]
    with pytest.raises(AssertionError, match=r"compiled.pt2 is missing: run `python tuned_model"):
        run(tmp_path, ASK_EACH, [[{}], bodies])
    run(tmp_path, "import runpy; runpy.run_path('tuned_model.py', run_name='__main__')", None)
    for found in run(tmp_path, ASK_EACH, [[{}, {"form": "compiled"}], bodies]):
        demand_equal(tmp_path, requests, found)
    narrow = [encode_request({**requests[0], "image": np.ones((1, 3, 7, 8), np.float32)})]
    with pytest.raises(AssertionError, match=r"input 'image' is \[1, 3, 7, 8\], not"):
        run(tmp_path, ASK_EACH, [[{}], narrow])
