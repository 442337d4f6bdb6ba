"""What one request to the model looks like: shapes settled, arrays made or read."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from autotune.engine.source import Tensors
from autotune.errors import ModelError, UsageError
from autotune.outcome import InputInfo
from autotune.spec import ModelSpec

SAMPLE_COUNT = 4
"""Different generated requests that take turns, so that no run sees only one input."""

_EXAMPLE = {True: 224, False: 128}
"""A size to show in advice: for images, by their four dimensions, and for sequences."""

_DTYPES: dict[str, npt.DTypeLike] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


def make_samples(inputs: list[InputInfo], spec: ModelSpec) -> list[Tensors]:
    """Return requests for the model: the user's own, or generated from the seed.

    Floats are uniform in [0, 1), integers 0 or 1 (a token, a mask, a class: valid for most),
    texts "a". Data-dependent models deserve `--input`.

    Raises:
        UsageError: `--shape` or `--input` do not fit the model.
        ModelError: an input's type or an open dimension cannot be settled.
    """
    if spec.input_file is not None:
        if spec.shapes:
            raise UsageError("--shape and --input both say what a request is: give one of them")
        return [_read(inputs, Path(spec.input_file))]
    shapes = settle_shapes(inputs, spec.shapes)
    rng = np.random.default_rng(spec.seed)
    return [
        {info.name: _generate(info, shapes[info.name], rng) for info in inputs}
        for _ in range(SAMPLE_COUNT)
    ]


def settle_shapes(
    inputs: list[InputInfo], given: dict[str, list[int]]
) -> dict[str, tuple[int, ...]]:
    """Return each input's shape in one request.

    An open first dimension is the batch: 1 per request. Every other open dimension must be
    given, unless it bears the name of one that is known already.

    Raises:
        UsageError: a given shape contradicts the model, or names no input of it.
        ModelError: a dimension stays open; the message is the option to add.
    """
    names = [info.name for info in inputs]
    for name in given:
        if name not in names:
            raise UsageError(
                f"--shape {name}=...: the model has no input {name!r}; it has {', '.join(names)}"
            )
    known: dict[str, int] = {}
    for info in inputs:
        if info.name in given:
            _learn(info, given[info.name], known)
        elif info.shape and isinstance(info.shape[0], str) and info.shape[0] != "?":
            known.setdefault(info.shape[0], 1)
    shapes: dict[str, tuple[int, ...]] = {}
    unsettled, example = [], []
    for info in inputs:
        shape: list[int | str] = [_settle(i, d, known) for i, d in enumerate(info.shape)]
        if info.name in given:
            shape = [*given[info.name]]
        shapes[info.name] = tuple(d if isinstance(d, int) else -1 for d in shape)
        if any(isinstance(d, str) for d in shape):
            unsettled.append(f"{info.name} {'x'.join(map(str, shape))}")
            guess = [d if isinstance(d, int) else _EXAMPLE[len(shape) == 4] for d in shape]
            example.append(f"--shape {info.name}={'x'.join(map(str, guess))}")
    if unsettled:
        raise ModelError(
            f"the model leaves dimensions open ({', '.join(unsettled)}): say what one request has, "
            f"for example {' '.join(example)}, or give real data with --input inputs.npz"
        )
    return shapes


def _settle(axis: int, dim: int | str, known: dict[str, int]) -> int | str:
    if isinstance(dim, int):
        return dim
    if axis == 0:
        return known.get(dim, 1)
    return known.get(dim, dim)


def _learn(info: InputInfo, shape: list[int], known: dict[str, int]) -> None:
    text = f"--shape {info.name}={'x'.join(map(str, shape))}"
    wanted = "x".join(map(str, info.shape)) or "a scalar"
    if len(shape) != len(info.shape):
        raise UsageError(f"{text}: the model wants {len(info.shape)} dimensions: {wanted}")
    for size, dim in zip(shape, info.shape, strict=True):
        if isinstance(dim, int) and dim != size:
            raise UsageError(f"{text}: the model wants {wanted}")
        if isinstance(dim, str) and dim != "?" and known.setdefault(dim, size) != size:
            raise UsageError(f"{text}: {dim} is {known[dim]} elsewhere; the model wants {wanted}")


def _dtype(info: InputInfo) -> npt.DTypeLike:
    if info.dtype not in _DTYPES:
        raise ModelError(f"input {info.name!r} is of type {info.dtype}, which autotune cannot feed")
    return _DTYPES[info.dtype]


def _generate(
    info: InputInfo, shape: tuple[int, ...], rng: np.random.Generator
) -> npt.NDArray[np.generic]:
    dtype = np.dtype(_dtype(info))
    if dtype.kind == "O":
        return np.full(shape, "a", dtype=object)
    if dtype.kind == "f":
        return np.asarray(rng.random(shape), dtype=dtype)
    return np.asarray(rng.integers(0, 2, shape), dtype=dtype)


def _read(inputs: list[InputInfo], path: Path) -> Tensors:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise UsageError(
                    f"--input {path}: holds a single array; save one per input name with np.savez"
                )
            arrays: Tensors = {name: archive[name] for name in archive.files}
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"--input {path}: cannot be read: {error.strerror or error}") from None
    except Exception:
        raise UsageError(
            f"--input {path}: is not a readable .npz file of plain arrays (np.savez makes one)"
        ) from None
    names = [info.name for info in inputs]
    if missing := [name for name in names if name not in arrays]:
        raise UsageError(f"--input {path}: lacks input {missing[0]!r}; the model has {names}")
    if extra := [name for name in arrays if name not in names]:
        raise UsageError(f"--input {path}: the model has no input {extra[0]!r}; it has {names}")
    for info in inputs:
        _check(info, arrays[info.name], path)
    return arrays


def _check(info: InputInfo, array: npt.NDArray[np.generic], path: Path) -> None:
    wanted = np.dtype(_dtype(info))
    if array.dtype != wanted and not (wanted.kind == "O" and array.dtype.kind == "U"):
        raise UsageError(
            f"--input {path}: {info.name!r} is {array.dtype}; the model wants {wanted}"
        )
    fits = len(array.shape) == len(info.shape) and all(
        isinstance(dim, str) or dim == size
        for size, dim in zip(array.shape, info.shape, strict=True)
    )
    if not fits:
        raise UsageError(
            f"--input {path}: {info.name!r} has shape {'x'.join(map(str, array.shape))}; "
            f"the model wants {'x'.join(map(str, info.shape))}"
        )
