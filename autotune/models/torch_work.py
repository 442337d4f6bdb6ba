"""What one request makes a torch model compute, seen operator by operator as it runs."""

import hashlib
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakTensorKeyDictionary

from autotune.engine.replica import Infer
from autotune.engine.source import Tensors

_NAMES = {
    **dict.fromkeys(("convolution", "_convolution"), "Conv"),
    **dict.fromkeys(("mm", "bmm", "baddbmm"), "MatMul"),
    "addmm": "Gemm",
    "mkldnn_rnn_layer": "LSTM",
    "relu": "Relu",
    "gelu": "Gelu",
    "_softmax": "Softmax",
    "native_layer_norm": "LayerNormalization",
    "embedding": "Gather",
}
"""Operators of ATen by the names that ONNX has for the same."""


class Work(NamedTuple):
    """Of one request; see `autotune.models.onnx_work.Work`."""

    operators: dict[str, int]
    flops: dict[str, float]
    written_bytes: float
    depth: int
    """Operators on the longest chain."""


def measure_work(infer: Infer, request: Tensors) -> Work:
    """Run a request in this thread and return what its operators did; views cost nothing.

    FLOPs of products, convolutions and attention are counted as `torch.utils.flop_counter` does,
    those of other operators as one for each element of their outputs.

    Raises:
        Exception: whatever the model raises.
    """
    watch = _Watch()
    # The fast path is one operator that says nothing of what it does.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with watch:
            infer(request)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return Work(
        operators=dict(sorted(watch.operators.items())),
        flops=dict(sorted(watch.flops.items())),
        written_bytes=watch.written_bytes,
        depth=watch.depth,
    )


def graph_sha256(path: str) -> str:
    """Return the hash of an exported program's graph: operators, numbers in it, and shapes.

    Raises:
        Exception: whatever torch raises that cannot load it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own parts
        program = torch.export.load(path)
    hashed = hashlib.sha256()
    for node in program.graph.nodes:
        value = node.meta.get("val")
        like = [(str(one.dtype), tuple(map(str, one.shape))) for one in _tensors(value)]
        hashed.update(repr((node.op, str(node.target), node.args, node.kwargs, like)).encode())
    return hashed.hexdigest()


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.operators: Counter[str] = Counter()
        self.flops: dict[str, float] = {}
        self.written_bytes = 0.0
        self.depth = 0
        self._depths: Any = WeakTensorKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _plain(func) not in _KNOWN:
            # In inference mode what is made of other operators arrives in one piece.
            with self:
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        returned = func(*args, **kwargs)
        outputs = list(_tensors(returned))
        depth = max((self._depths.get(one, 0) for one in _tensors((args, kwargs))), default=0)
        is_view = any(
            one.alias_info is not None and not one.alias_info.is_write
            for one in func._schema.returns
        )
        if not is_view and any(one.numel() for one in outputs):
            depth += 1
            self._count(func, (args, kwargs), returned)
        for output in outputs:
            self._depths[output] = depth
        self.depth = max(self.depth, depth)
        return returned

    def _count(self, func: Any, given: tuple[Any, Any], returned: Any) -> None:
        args, kwargs = given
        packet, plain = func.overloadpacket, _plain(func)
        name = _NAMES.get(plain, plain)
        outputs = list(_tensors(returned))
        flops = float(sum(output.numel() for output in outputs))
        if (known := _KNOWN.get(plain)) is not None:
            flops = known(args)
        elif packet in flop_registry:
            flops = float(flop_registry[packet](*args, **kwargs, out_val=returned))
        self.operators[name] += 1
        self.flops[name] = self.flops.get(name, 0.0) + flops
        self.written_bytes += sum(one.numel() * one.element_size() for one in outputs)


def _plain(func: Any) -> str:
    return str(func.overloadpacket).removeprefix("aten.")


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _attention(args: Any) -> float:
    """`query` (batch, heads, length, size), `key`, `value`."""
    query: torch.Tensor = args[0]
    key: torch.Tensor = args[1]
    return 4.0 * math.prod(query.shape) * int(key.shape[-2])


def _recurrent(args: Any) -> float:
    """`input` (steps, batch, features), then weights of the input and of the state."""
    given: list[torch.Tensor] = args[:3]
    steps, batch = given[0].shape[:2]
    return 2.0 * steps * batch * (given[1].numel() + given[2].numel())


_KNOWN: dict[str, Callable[[Any], float]] = {
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "mkldnn_rnn_layer": _recurrent,
}
