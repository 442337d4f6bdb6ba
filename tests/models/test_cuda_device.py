"""The real device, held to the rules of the fake one: only where torch finds a GPU."""

from typing import Any

import numpy as np
import pytest
from device_rules import RULES, Rule, Under

from autotune.engine.device import Compute, OutOfDeviceMemory
from autotune.engine.live_source import LiveSource
from autotune.engine.overlap import Overlapped, on_device
from autotune.engine.replica import start_replicas

torch = pytest.importorskip("torch", reason="torch is not installed")
MOST_BYTES = 1 << 45
"""More than any GPU has."""


def double(arrays: dict[str, Any], rows: int) -> dict[str, Any]:
    return {"y": arrays["x"] * 2}


def picky(arrays: dict[str, Any], rows: int) -> dict[str, Any]:
    if rows == 5:
        raise ValueError("five")
    return double(arrays, rows)


@pytest.fixture
def gpu() -> Any:
    from autotune.models.cuda_device import CudaDevice

    if not torch.backends.cuda.is_built():
        pytest.skip("needs a GPU, and torch is built without CUDA")
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU, and torch finds none")
    return CudaDevice(torch.device("cuda", 0))


@pytest.mark.parametrize("graphed", [False, True], ids=["eager", "graphs"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_what_holds_of_every_device(rule: Rule, graphed: bool, gpu: Any) -> None:
    from autotune.models.cuda_device import Graphed, computing

    doubling: Compute = Graphed(double) if graphed else computing(double)
    rule(Under(gpu, doubling, computing(picky), (MOST_BYTES // 4,)))


def test_a_convolution_overlapped_in_turn_and_as_graphs_gives_the_same(gpu: Any) -> None:
    from autotune.models.cuda_device import Graphed, computing

    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 16, 3, padding=1).eval().cuda()

    def forward(arrays: dict[str, Any], rows: int) -> dict[str, Any]:
        return {"y": layer(arrays["x"]).relu()}

    rng = np.random.default_rng(0)
    images = [rng.random((1, 3, 64, 64), np.float32) for _ in range(40)]
    with torch.inference_mode():
        right = [layer(torch.from_numpy(one).cuda()).relu().cpu().numpy() for one in images]
    for compute in (computing(forward), Graphed(forward)):
        for overlap in (True, False):
            source, replica = LiveSource(), on_device(gpu, compute, overlap)
            futures = [source.submit({"x": one}) for one in images]
            source.close()
            for thread in start_replicas([replica], source, 8, 0.0):
                thread.join(timeout=120)
            for future, answer in zip(futures, right, strict=True):
                found = future.result(timeout=120)["y"]
                np.testing.assert_allclose(found, answer, rtol=1e-2, atol=1e-3)  # TF32, maybe


def test_copies_are_hidden_behind_a_longer_computation(gpu: Any) -> None:
    from autotune.models.cuda_device import computing

    weight = torch.rand(4096, 4096, device="cuda")

    def forward(arrays: dict[str, Any], rows: int) -> dict[str, Any]:
        whole = arrays["x"].reshape(rows, -1, 4096)
        for _ in range(40):
            whole = whole @ weight / 2048
        return {"y": whole.mean(1)}

    source, replica = LiveSource(), Overlapped(gpu, computing(forward))
    replica({"x": np.ones((1, 1024 * 4096), np.float32)})
    futures = [source.submit({"x": np.ones((1, 1024 * 4096), np.float32)}) for _ in range(30)]
    source.close()
    for thread in start_replicas([replica], source, 1, 0.0):
        thread.join(timeout=120)
    assert all(future.result(timeout=120)["y"].shape == (1, 4096) for future in futures)
    assert replica.transfer.hidden_share > 0.5


def test_one_graph_is_captured_for_each_size(gpu: Any) -> None:
    from autotune.models.cuda_device import Graphed

    graphed = Graphed(double)
    replica = Overlapped(gpu, graphed)
    for rows in (1, 4, 1, 4, 2):
        assert (replica({"x": np.full((rows, 3), rows, np.float32)})["y"] == 2 * rows).all()
    assert graphed.captured == 3


def test_want_of_memory_while_computing_fails_its_batch_only(gpu: Any) -> None:
    from autotune.models.cuda_device import computing

    def greedy(arrays: dict[str, Any], rows: int) -> dict[str, Any]:
        if rows == 3:
            torch.empty(MOST_BYTES, dtype=torch.uint8, device="cuda")
        return double(arrays, rows)

    for overlap in (True, False):
        replica = on_device(gpu, computing(greedy), overlap)
        before_bytes = torch.cuda.memory_allocated()
        for _ in range(5):
            with pytest.raises(OutOfDeviceMemory, match="out of memory"):
                replica({"x": np.ones((3, 4), np.float32)})
        assert (replica({"x": np.ones((2, 4), np.float32)})["y"] == 2).all()
        assert torch.cuda.memory_allocated() - before_bytes < 1 << 20


def test_types_that_numpy_lacks_come_back_as_float32(gpu: Any) -> None:
    from autotune.models.cuda_device import computing

    def narrow(arrays: dict[str, Any], rows: int) -> dict[str, Any]:
        return {"y": arrays["x"].to(torch.bfloat16)}

    found = Overlapped(gpu, computing(narrow))({"x": np.ones((2, 2), np.float32)})["y"]
    assert found.dtype == np.float32


def test_what_needs_no_gpu_holds_without_one() -> None:
    from autotune.models.cuda_device import CudaDevice

    device = CudaDevice(torch.device("cpu"))
    whole = device.empty((4, 2), np.dtype(np.uint8))
    device.first(whole, 2)[:] = 7
    assert (whole.dtype, whole[:2].tolist()) == (torch.uint8, [[7, 7]] * 2)
    with pytest.raises(TypeError, match="object"):
        device.empty((1,), np.dtype(object))


def test_computing_is_done_in_inference_mode_and_says_what_memory_it_lacked() -> None:
    from autotune.models.cuda_device import computing

    def greedy(arrays: dict[str, Any], rows: int) -> dict[str, Any]:
        if rows > 1:
            raise torch.cuda.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0"
            )
        return {"inference": torch.is_inference_mode_enabled()}

    compute = computing(greedy)
    assert compute({}, 1)["inference"]
    with pytest.raises(OutOfDeviceMemory, match=r"out of memory: 20\.00 GiB more"):
        compute({}, 2)
