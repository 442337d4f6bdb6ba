"""Traits of torch models, in every kind of file that there is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402
from torch_models import (  # noqa: E402
    AUTO,
    Attention,
    Conv,
    exported,
    exported_conv,
    functions,
    images,
    saved,
    scripted,
)

from autotune.models.inspect_model import inspect_model  # noqa: E402
from autotune.models.torch_work import Work, graph_sha256, measure_work  # noqa: E402
from autotune.spec import ModelSpec  # noqa: E402
from autotune.traits import ModelTraits  # noqa: E402

Make = Callable[[Path], ModelSpec]
IMAGES = {"images": [1, 3, 16, 16]}


def as_exported(folder: Path) -> ModelSpec:
    return ModelSpec(path=str(exported_conv(folder / "m.pt2")))


def as_script(folder: Path) -> ModelSpec:
    return ModelSpec(path=str(scripted(folder / "m.ts", Conv())), shapes=IMAGES)


def as_pickle(folder: Path) -> ModelSpec:
    path = saved(folder / "m.pt", Conv())
    return ModelSpec(path=str(path), shapes=IMAGES, trust_pickle=True)


def as_function(folder: Path) -> ModelSpec:
    name = functions(folder, "modules_with_traits")
    path = folder / f"{name}.py"
    return ModelSpec(path=str(path), function=f"{name}:conv", shapes=IMAGES)


def inspected(spec: ModelSpec) -> ModelTraits:
    return inspect_model(spec).traits


@pytest.mark.parametrize("make", [as_exported, as_script, as_pickle, as_function])
def test_a_model_has_the_same_traits_in_every_file(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = inspected(make(tmp_path))
    assert found.work["Conv"] == 2 * 8 * 8 * 8 * 27
    assert found.work["Gemm"] == 2 * 8 * 4
    assert found.operators["Conv"] == found.operators["Gemm"] == 1
    # The input's layout, convolution, normalisation, activation, mean, linear: views are none.
    assert (found.depth, found.nodes) == (6, 6)
    counted = 8 * 3 * 9 + 8 + 4 * 8 + 8 * 4 + 4
    assert found.weight_bytes == 4 * counted + 8  # and the number of batches seen
    assert found.dtype == "float32"
    assert found.activation_bytes is not None
    assert found.activation_bytes >= 4 * 3 * 8 * 64
    assert found.batch_axes == 1
    assert (found.graph_sha256 is not None) == (make is as_exported)


def other_weights(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        parameter.data += 1
    return module


class Scaled(nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.linear, self.scale = nn.Linear(4, 4), scale

    def forward(self, x: Any) -> Any:
        return self.linear(x) * self.scale


def test_an_exported_graph_is_known_again_with_new_weights(tmp_path: Path) -> None:
    def sha256(name: str, module: nn.Module, *open_axes: int) -> str:
        shapes = (dict.fromkeys(open_axes, AUTO),)
        path = exported(tmp_path / name, module, (torch.rand(2, 3, 4),), shapes)
        return graph_sha256(str(path))

    first = sha256("a.pt2", Scaled(2.0), 0)
    assert sha256("b.pt2", other_weights(Scaled(2.0)), 0) == first
    assert sha256("c.pt2", Scaled(3.0), 0) != first
    assert sha256("d.pt2", Scaled(2.0), 0, 1) != first


def work_of(module: nn.Module, *inputs: Any) -> Work:
    def infer(request: Any) -> Any:
        with torch.inference_mode():
            module(*inputs)
        return request

    return measure_work(infer, {})


def test_layers_that_torch_fuses_are_counted() -> None:
    lstm = work_of(nn.LSTM(5, 6), torch.rand(7, 2, 5))
    assert lstm.flops["LSTM"] == 2 * 7 * 2 * 4 * 6 * (5 + 6)
    encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    before = torch.backends.mha.get_fastpath_enabled()
    found = work_of(encoder, torch.rand(1, 5, 16))
    assert torch.backends.mha.get_fastpath_enabled() == before
    products = 2 * 5 * (16 * 48 + 16 * 16 + 2 * 16 * 32)
    attention = 4 * 5 * 5 * 16
    assert products + attention <= sum(found.flops.values()) <= 2 * (products + attention)


def test_a_failing_model_leaves_torch_as_it_was() -> None:
    before = torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(RuntimeError):
        work_of(nn.Linear(4, 4), torch.rand(1, 3))
    assert torch.backends.mha.get_fastpath_enabled() == before
    assert work_of(Conv().eval(), images()).operators["Conv"] == 1


def test_attention_counts_its_length() -> None:
    ids = torch.from_numpy(np.zeros((1, 20), np.int64))
    short = work_of(Attention().eval(), ids[:, :10])
    long = work_of(Attention().eval(), ids)
    assert sum(long.flops.values()) > 2 * sum(short.flops.values())
    assert long.depth == short.depth
