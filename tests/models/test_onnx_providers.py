"""Providers that are not installed are told apart from those that take no node of a model."""

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from autotune.errors import ModelError
from autotune.models import onnx_providers
from autotune.models.onnx_binding import Place, bound_infer, gpu_of, has_graphs, replayed_infer
from autotune.models.onnx_model import as_infer, open_session, session_options
from autotune.models.onnx_providers import (
    NAMES,
    demand_used,
    installed_providers,
    node_counts,
    prepare,
    provider_chain,
    share_elsewhere,
    why_not_loaded,
)
from autotune.spec import Provider, ServingConfig

RECORDED = "get_provider_graph_assignment_info"
OPENVINO = pytest.mark.skipif(
    "openvino" not in installed_providers(), reason="needs onnxruntime-openvino"
)
CUDA = pytest.mark.skipif(
    "cuda" not in installed_providers() or why_not_loaded("cuda") is not None,
    reason="needs onnxruntime-gpu and a GPU",
)


def saved(path: Path, nodes: list[onnx.NodeProto]) -> str:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    used = any("w" in node.input for node in nodes)
    graph = helper.make_graph(nodes, "g", [x], [y], [weight] if used else [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return str(path)


@pytest.fixture
def through_text(tmp_path: Path) -> str:
    """Six nodes, the two in the middle of which only the CPU knows: they handle strings."""
    return saved(
        tmp_path / "through_text.onnx",
        [
            helper.make_node("MatMul", ["x", "w"], ["a"], name="a"),
            helper.make_node("Relu", ["a"], ["b"], name="b"),
            helper.make_node("Cast", ["b"], ["c"], name="c", to=TensorProto.STRING),
            helper.make_node("Cast", ["c"], ["d"], name="d", to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["d", "w"], ["e"], name="e"),
            helper.make_node("Sigmoid", ["e"], ["y"], name="f"),
        ],
    )


@pytest.fixture
def only_text(tmp_path: Path) -> str:
    return saved(
        tmp_path / "only_text.onnx",
        [
            helper.make_node("Cast", ["x"], ["c"], name="c", to=TensorProto.STRING),
            helper.make_node("Cast", ["c"], ["y"], name="d", to=TensorProto.FLOAT),
        ],
    )


def test_every_provider_of_the_specification_has_a_name_that_onnx_runtime_knows() -> None:
    assert tuple(NAMES) == get_args(Provider)
    assert set(NAMES.values()) <= set(ort.get_all_providers())


def test_the_cpu_comes_first_among_the_installed() -> None:
    assert installed_providers()[0] == "cpu"


@pytest.mark.parametrize(
    ("config", "chain"),
    [
        (ServingConfig(), [("CPUExecutionProvider", {})]),
        (
            ServingConfig(provider="openvino", intra_op_threads=3),
            [
                (
                    "OpenVINOExecutionProvider",
                    {"device_type": "CPU", "num_streams": "1", "num_of_threads": "3"},
                ),
                ("CPUExecutionProvider", {}),
            ],
        ),
        (
            ServingConfig(provider="openvino", replicas=2),
            [
                (
                    "OpenVINOExecutionProvider",
                    {
                        "device_type": "CPU",
                        "num_streams": "1",
                        "load_config": '{"CPU": {"ENABLE_CPU_PINNING": "NO"}}',
                    },
                ),
                ("CPUExecutionProvider", {}),
            ],
        ),
        (
            ServingConfig(provider="xnnpack", intra_op_threads=2),
            [
                ("XnnpackExecutionProvider", {"intra_op_num_threads": "2"}),
                ("CPUExecutionProvider", {}),
            ],
        ),
        (
            ServingConfig(provider="cuda", replicas=4, devices=2, cuda_graphs=True),
            [
                (
                    "CUDAExecutionProvider",
                    {
                        "device_id": "1",
                        "arena_extend_strategy": "kSameAsRequested",
                        "enable_cuda_graph": "1",
                    },
                ),
                ("CPUExecutionProvider", {}),
            ],
        ),
        (
            ServingConfig(provider="tensorrt", cuda_graphs=True),
            [
                ("TensorrtExecutionProvider", {"device_id": "1", "trt_cuda_graph_enable": "1"}),
                ("CUDAExecutionProvider", {"device_id": "1"}),
                ("CPUExecutionProvider", {}),
            ],
        ),
    ],
)
def test_threads_and_devices_are_said_in_each_provider_s_words(
    config: ServingConfig, chain: list[tuple[str, dict[str, str]]]
) -> None:
    assert provider_chain(config.session_shape, gpu=1) == chain


@pytest.mark.parametrize("provider", onnx_providers.OWN_POOL)
def test_the_runtime_s_own_threads_stay_out_of_the_way_of_a_provider_s(provider: Provider) -> None:
    shape = ServingConfig(provider=provider, intra_op_threads=4).session_shape
    options = session_options(shape)
    assert options.intra_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_onednn_s_threads_are_left_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: list(NAMES.values()))
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")
    prepare(ServingConfig(provider="dnnl", intra_op_threads=3, spinning=False).session_shape)
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["OMP_WAIT_POLICY"] == "passive"


@pytest.mark.parametrize("provider", [name for name in NAMES if name not in installed_providers()])
def test_a_provider_that_is_not_built_in_is_an_error_that_says_what_to_do(
    provider: Provider, mlp: Path
) -> None:
    with pytest.raises(ModelError, match=f"no provider {provider}: (install|build)") as raised:
        open_session(str(mlp), ServingConfig(provider=provider).session_shape)
    assert "\n" not in str(raised.value)


def test_a_runtime_that_cannot_tell_who_runs_what_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: list(NAMES.values()))
    owner = next(one for one in ort.InferenceSession.__mro__ if RECORDED in vars(one))
    monkeypatch.delattr(owner, RECORDED)
    with pytest.raises(ModelError, match="cannot tell which nodes openvino runs: upgrade"):
        prepare(ServingConfig(provider="openvino").session_shape)


def test_a_provider_that_was_silently_left_out_is_noticed(mlp: Path) -> None:
    session = open_session(str(mlp), ServingConfig().session_shape)
    with pytest.raises(ModelError, match=r"mlp.*: provider cuda cannot be loaded: "):
        demand_used(session, str(mlp), "cuda")


def test_the_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_not_loaded("cpu") is None
    monkeypatch.setattr(onnx_providers, "_DRIVER", "libno-such-driver.so.1")
    assert "no NVIDIA driver here (libno-such-driver.so.1 is missing)" in str(
        why_not_loaded("cuda")
    )


def test_a_session_of_the_cpu_alone_records_nothing(mlp: Path) -> None:
    session = open_session(str(mlp), ServingConfig().session_shape)
    assert node_counts(session) == {}
    assert (gpu_of(session), has_graphs(session)) == (None, False)


def test_shares_are_of_all_nodes_and_unknown_ones_of_none() -> None:
    assert share_elsewhere({"openvino": 3, "cpu": 1}, "openvino") == 0.25
    assert share_elsewhere({"tensorrt": 3, "cuda": 2}, "tensorrt") == 0.4
    assert share_elsewhere({}, "cpu") == 0


def test_binding_gives_the_answers_of_a_plain_run(images: Path) -> None:
    session = open_session(str(images), ServingConfig().session_shape)
    plain, place = as_infer(session), Place("cpu", 0)
    bound, replayed = bound_infer(session, place), replayed_infer(session, place)
    generator, kept = np.random.default_rng(0), []
    for batch, size in ((1, 8), (2, 8), (1, 12), (2, 8)):
        # Channels last in memory: what is bound must be contiguous all the same.
        x = np.moveaxis(generator.random((batch, size, size, 3), np.float32), 3, 1)
        expected = plain({"x": x})
        for infer in (bound, replayed):
            outputs = infer({"x": x})
            assert list(outputs) == list(expected)
            kept += [(outputs[name], expected[name]) for name in expected]
    for ours, theirs in kept:
        np.testing.assert_array_equal(ours, theirs)


@OPENVINO
def test_the_nodes_that_stay_on_the_cpu_are_counted_one_by_one(through_text: str) -> None:
    session = open_session(through_text, ServingConfig(provider="openvino").session_shape)
    assert node_counts(session) == {"openvino": 4, "cpu": 2}
    x = np.ones((1, 4), np.float32)
    plain = as_infer(open_session(through_text, ServingConfig().session_shape))
    np.testing.assert_allclose(as_infer(session)({"x": x})["y"], plain({"x": x})["y"], rtol=1e-5)


@OPENVINO
def test_a_provider_that_takes_no_node_is_an_error(only_text: str) -> None:
    with pytest.raises(ModelError, match=r"provider openvino runs none of its nodes \(2 on cpu\)"):
        open_session(only_text, ServingConfig(provider="openvino").session_shape)


def pinned_while_running(images: Path, replicas: int) -> bool:
    """Whether some thread may use fewer cores than the process while a replica is busy."""
    config = ServingConfig(provider="openvino", replicas=replicas, intra_op_threads=1)
    infer = as_infer(open_session(str(images), config.session_shape))
    x, stop = {"x": np.ones((1, 3, 64, 64), np.float32)}, threading.Event()

    def run() -> None:
        while not stop.is_set():
            infer(x)

    worker = threading.Thread(target=run)
    worker.start()
    cores, seen = len(os.sched_getaffinity(0)), set()
    for _ in range(200):
        for task in os.listdir("/proc/self/task"):
            with contextlib.suppress(ProcessLookupError):
                seen.add(len(os.sched_getaffinity(int(task))))
        time.sleep(0.001)
    stop.set()
    worker.join()
    return min(seen) < cores


@OPENVINO
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_replicas_of_openvino_are_not_pinned_to_one_core(images: Path) -> None:
    assert pinned_while_running(images, replicas=1)
    assert not pinned_while_running(images, replicas=2)


@CUDA
@pytest.mark.parametrize("graphs", [False, True])
def test_a_gpu_answers_as_the_cpu_does(images: Path, graphs: bool) -> None:
    shape = ServingConfig(provider="cuda", cuda_graphs=graphs).session_shape
    session = open_session(str(images), shape)
    assert (gpu_of(session), has_graphs(session)) == (Place("cuda", 0), graphs)
    ours, theirs = (
        as_infer(session),
        as_infer(open_session(str(images), ServingConfig().session_shape)),
    )
    generator = np.random.default_rng(0)
    for batch in (1, 2, 1):
        x = {"x": generator.random((batch, 3, 8, 8), np.float32)}
        np.testing.assert_allclose(ours(x)["y"], theirs(x)["y"], rtol=1e-3, atol=1e-5)
