"""Small torch models in every kind of file that there is."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

AUTO = torch.export.Dim.AUTO


class Conv(nn.Module):
    """`images` [n, 3, 16, 16] -> [n, 4]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.features(images).mean((2, 3))
        scores: torch.Tensor = self.head(pooled)
        return scores


class Attention(nn.Module):
    """`ids` and `mask` [n, length] int64 -> logits [n, 3], and hidden states as bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(50, 16)
        self.mix = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> dict[str, Any]:
        x = self.words(ids)
        if mask is not None:
            x = x * mask.unsqueeze(-1)
        y, _ = self.mix(x, x, x)
        return {"logits": self.head(y.mean(1)), "hidden": (y.to(torch.bfloat16), None)}


class Leaky(nn.Module):
    """Each answer depends on its neighbours in the batch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0, keepdim=True) + x.mean()


_fork: Any = torch.jit.fork
_wait: Any = torch.jit.wait


class Forked(nn.Module):
    """Two operators that may run side by side."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        other = _fork(torch.relu, x)
        joined: torch.Tensor = _wait(other)
        return torch.sigmoid(x) + joined


class Pair(nn.Module):
    """Takes a list of tensors, and a number."""

    def forward(self, pair: list[torch.Tensor], times: int) -> torch.Tensor:
        return pair[0] * times


class Layout(nn.Module):
    """Says for each image whether its channels are last."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        last = images.is_contiguous(memory_format=torch.channels_last)
        return torch.full((images.shape[0],), float(last))


FUNCTIONS = """
import torch
from torch_models import Attention, Conv, Layout

def conv():
    return Conv()

def attention():
    ids = torch.randint(0, 50, (2, 7))
    return Attention(), {"ids": ids, "mask": torch.ones(2, 7, dtype=torch.int64)}

def random_weights():
    return torch.nn.Linear(4, 4), torch.rand(1, 4)

def nested():
    return Conv(), {"images": [torch.rand(1, 3, 16, 16)]}

def fails():
    raise RuntimeError("no weights here")

def leaves():
    raise SystemExit("done")

def layout():
    return Layout(), torch.ones(2, 3, 4, 4)

def layout():
    return Layout(), torch.ones(2, 3, 4, 4)

def number():
    return 3
"""
"""The source of functions that build modules."""


@contextmanager
def quiet() -> Iterator[None]:
    """Torch warns of TorchScript, and of its own parts, while it saves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def images(rows: int = 1) -> torch.Tensor:
    return torch.rand(rows, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def exported(
    path: Path, module: nn.Module, args: tuple[Any, ...], shapes: Any = None, **named: Any
) -> Path:
    with quiet(), torch.no_grad():
        program = torch.export.export(module.eval(), args, named, dynamic_shapes=shapes)
        torch.export.save(program, path)
    return path


def exported_conv(path: Path, least: int = 1, most: int = 64) -> Path:
    batch = torch.export.Dim("batch", min=least, max=most)
    return exported(path, Conv(), (images(max(2, least)),), {"images": {0: batch}})


def exported_attention(path: Path) -> Path:
    ids = torch.randint(0, 50, (2, 7), generator=torch.Generator().manual_seed(1))
    return exported(
        path,
        Attention(),
        (ids,),
        ({0: AUTO, 1: AUTO}, {0: AUTO, 1: AUTO}),
        mask=torch.ones_like(ids),
    )


def scripted(path: Path, module: nn.Module) -> Path:
    with quiet():
        script: Any = torch.jit.script(module.eval())
        script.save(path)
    return path


def saved(path: Path, what: object, zipped: bool = True, protocol: int = 2) -> Path:
    """By `torch.save`: a pickled module, or weights alone."""
    torch.save(what, path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    return path


def functions(folder: Path, name: str) -> str:
    """Write a module of functions, by a name that no test has imported yet; return the name."""
    assert name not in sys.modules
    (folder / f"{name}.py").write_text(FUNCTIONS)
    return name
