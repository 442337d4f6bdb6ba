"""Arrays as tensors and back: types by ONNX's names, copies only where they cannot be helped."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from autotune.engine.source import Array
from autotune.errors import ModelError

_NAMES = {
    torch.float32: "float",
    torch.float64: "double",
    torch.float16: "float16",
    torch.bfloat16: "float",
    torch.bool: "bool",
    **{getattr(torch, f"int{bits}"): f"int{bits}" for bits in (8, 16, 32, 64)},
    **{getattr(torch, f"uint{bits}"): f"uint{bits}" for bits in (8, 16, 32, 64)},
}
"""numpy has no bfloat16: it is fed, and given back, as float32."""

DTYPES = {
    "float32": "tensor(float)",
    "float64": "tensor(double)",
    "float16": "tensor(float16)",
    "bool": "tensor(bool)",
    **{f"int{bits}": f"tensor(int{bits})" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"tensor(uint{bits})" for bits in (8, 16, 32, 64)},
}
"""Types by numpy's names, in the notation of `InputInfo`."""


def type_of(dtype: torch.dtype) -> str:
    """Return a type in the notation of `InputInfo`: `tensor(float)`."""
    return f"tensor({_NAMES.get(dtype, str(dtype).removeprefix('torch.'))})"


def as_tensor(array: Array) -> torch.Tensor:
    """Return the array's own memory as a tensor; a copy where torch cannot take it."""
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        return torch.from_numpy(array.copy())
    return torch.from_numpy(array)


def as_array(tensor: torch.Tensor) -> Array:
    """Return a tensor in the host's memory as an array, without a copy where it lies there."""
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.to(torch.float32)
    array: Array = tensor.numpy(force=True)
    return array


def tensors_of(outputs: Any) -> dict[str, torch.Tensor]:
    """Return what `forward` returned by name.

    One tensor is `output`; those of a tuple or list `output_0` and so on; those of a dict or named
    tuple bear its keys. Nested ones bear both names: `output_0_keys`.

    Raises:
        ModelError: there is something else among them.
    """
    if isinstance(outputs, torch.Tensor):
        return {"output": outputs}
    return dict(_walk("", outputs))


def _walk(name: str, value: Any) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, bool | int | float):
        yield name or "output", torch.as_tensor(value)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _walk(f"{name}_{key}" if name else str(key), one)
    elif isinstance(value, tuple | list):
        fields = getattr(value, "_fields", range(len(value)))
        for field, one in zip(fields, value, strict=True):
            plain = f"output_{field}" if isinstance(field, int) else field
            yield from _walk(f"{name}_{field}" if name else plain, one)
    elif value is not None:  # An optional output that is not there.
        raise ModelError(
            f"output {name or 'output'!r} is a {type(value).__name__}: autotune takes tensors, and "
            "tuples, lists and dicts of them"
        )
