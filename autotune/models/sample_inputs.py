"""What one request to the model looks like: shapes settled, arrays made or read."""

import math
import zipfile
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.bounded_file import open_regular
from autotune.engine.source import Tensors
from autotune.errors import ModelError, UsageError, did_you_mean
from autotune.probes.memory import available_memory_bytes
from autotune.records import InputInfo
from autotune.spec import ModelSpec, RequestKind
from autotune.units import format_shape

SAMPLE_COUNT = 4
"""Different generated requests that take turns, so that no run sees only one input."""

LARGEST_BYTES = 1 << 46
"""Of arrays, where nobody says how much memory there is."""

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


def type_name(dtype: npt.DTypeLike) -> str:
    """Return an array's type in the notation of `InputInfo`: `tensor(float)`."""
    wanted = np.dtype(dtype)
    named = (name for name, one in _DTYPES.items() if np.dtype(one) == wanted)
    return next(named, f"tensor({wanted.name})")


class RequestMix(NamedTuple):
    """Requests to feed, of one kind or several: see `autotune.request_mix.draw_samples`."""

    samples: list[Tensors]
    """Those of a kind stand together, in the order of the kinds."""
    kinds: list[int]
    """The kind of each sample."""
    weights: list[float]
    """The share of each kind, summing to 1."""

    def of_kind(self, kind: int) -> list[Tensors]:
        """The samples of one kind, at least one."""
        return [one for one, of in zip(self.samples, self.kinds, strict=True) if of == kind]


def make_request_mix(
    inputs: list[InputInfo], spec: ModelSpec, own: Tensors | None = None
) -> RequestMix:
    """Return requests of every kind: the user's, the model's own, or generated from the seed.

    Floats are uniform in [0, 1), integers 0 or 1 (a token, a mask, a class: valid for most),
    texts "a". Data-dependent models deserve `--input`. Of a model's own request there are copies
    with the values of its floats in another order, so that no run sees only one input.

    Args:
        inputs: what the model takes.
        spec: what requests are like.
        own: one request that the model brings along, taken where nobody says what one is.

    Raises:
        UsageError: `--shape`, `--input` or a line of `--requests` do not fit the model.
        ModelError: an input's type or an open dimension cannot be settled.
    """
    if spec.input_file is not None and spec.shapes:
        raise UsageError("--shape and --input both say what a request is: give one of them")
    if not inputs:
        raise ModelError("the model takes no input, so there is nothing to request of it")
    _check_types(inputs, spec)
    rng = np.random.default_rng(spec.seed)
    mix = RequestMix([], [], [kind.weight for kind in spec.kinds])
    for number, kind in enumerate(spec.kinds):
        samples = _of_kind(inputs, kind, rng, own)
        mix.samples.extend(samples)
        mix.kinds.extend([number] * len(samples))
    return mix


def make_samples(
    inputs: list[InputInfo], spec: ModelSpec, own: Tensors | None = None
) -> list[Tensors]:
    """Return the samples of `make_request_mix` alone."""
    return make_request_mix(inputs, spec, own).samples


def uses_own(kind: RequestKind, own: Tensors | None) -> bool:
    """Whether requests of a kind are the one that the model brings along."""
    return own is not None and kind.input_file is None and not kind.shapes


def _check_types(inputs: list[InputInfo], spec: ModelSpec) -> None:
    types = {info.name: info for info in inputs}
    for name, given in spec.dtypes.items():
        if name not in types:
            raise UsageError(
                f"type {given} of {name!r}: the model has no such input; it has "
                f"{', '.join(types)}{did_you_mean(name, types)}"
            )
        wanted = np.dtype(_dtype(types[name])).name
        if given != wanted:
            raise UsageError(f"type {given} of input {name!r}: the model wants {wanted}")


def _of_kind(
    inputs: list[InputInfo], kind: RequestKind, rng: np.random.Generator, own: Tensors | None
) -> list[Tensors]:
    if kind.input_file is not None:
        return [_read(inputs, Path(kind.input_file), kind.origin or "--input")]
    if own is not None and uses_own(kind, own):
        return [own, *_shuffled(own, rng)]
    shapes = settle_shapes(inputs, kind.shapes, kind.origin or "--shape", own)
    _demand_room(inputs, shapes)
    return [
        {info.name: _generate(info, shapes[info.name], rng) for info in inputs}
        for _ in range(SAMPLE_COUNT)
    ]


def _demand_room(inputs: list[InputInfo], shapes: dict[str, tuple[int, ...]]) -> None:
    """Refuse to make what there is no memory for, which the kernel would grant and then kill for.

    Raises:
        ModelError: an input is too large.
    """
    room_bytes = available_memory_bytes()
    for info in inputs:
        # Numbers are drawn as 64 bits each.
        taken_bytes = SAMPLE_COUNT * 8 * math.prod(shapes[info.name])
        if taken_bytes > (LARGEST_BYTES if room_bytes is None else room_bytes):
            raise ModelError(
                f"input {info.name!r} of {format_shape(shapes[info.name])} is too large: "
                f"{SAMPLE_COUNT} such requests take {taken_bytes / 1e9:,.3g} GB"
            )


def _shuffled(own: Tensors, rng: np.random.Generator) -> list[Tensors]:
    """Only floats: whole numbers may be places, lengths or classes, whose order has a meaning."""
    if not any(array.dtype.kind == "f" and array.size > 1 for array in own.values()):
        return []
    return [
        {
            name: rng.permutation(array.ravel()).reshape(array.shape)
            if array.dtype.kind == "f"
            else array
            for name, array in own.items()
        }
        for _ in range(SAMPLE_COUNT - 1)
    ]


def settle_shapes(
    inputs: list[InputInfo],
    given: dict[str, list[int]],
    where: str = "--shape",
    own: Tensors | None = None,
) -> dict[str, tuple[int, ...]]:
    """Return each input's shape in one request; `where` they were given, for complaints.

    An open first dimension is the batch: 1 per request. Every other open dimension must be
    given, unless it bears the name of one that is known already, or the model's `own` request
    has it.

    Raises:
        UsageError: a given shape contradicts the model, or names no input of it.
        ModelError: a dimension stays open; the message is the option to add.
    """
    names = [info.name for info in inputs]
    for name in given:
        if name not in names:
            raise UsageError(
                f"{where} {name}=...: the model has no input {name!r}; it has {', '.join(names)}"
                f"{did_you_mean(name, names)}"
            )
    known: dict[str, int] = {}
    for info in inputs:
        if info.name in given:
            _learn(info, given[info.name], known, where)
        elif info.shape and isinstance(info.shape[0], str) and info.shape[0] != "?":
            known.setdefault(info.shape[0], 1 if own is None else own[info.name].shape[0])
    shapes: dict[str, tuple[int, ...]] = {}
    unsettled, example = [], []
    for info in inputs:
        shape: list[int | str] = [*given.get(info.name, _settled(info, known, own))]
        shapes[info.name] = tuple(d if isinstance(d, int) else -1 for d in shape)
        if any(isinstance(d, str) for d in shape):
            unsettled.append(f"{info.name} {format_shape(shape)}")
            guess = [d if isinstance(d, int) else _EXAMPLE[len(shape) == 4] for d in shape]
            example.append(f"{info.name}={format_shape(guess)}")
    if unsettled:
        raise ModelError(_advice(unsettled, example, where))
    return shapes


def _advice(unsettled: list[str], example: list[str], where: str) -> str:
    text = f"the model leaves dimensions open ({', '.join(unsettled)}): say what one request has"
    if where != "--shape":
        return f"{where} {text}, for example {' '.join(example)}"
    options = " ".join(f"--shape {shape}" for shape in example)
    return f"{text}, for example {options}, or give real data with --input inputs.npz"


def _settled(info: InputInfo, known: dict[str, int], own: Tensors | None) -> list[int | str]:
    shape = [_settle(axis, dim, known) for axis, dim in enumerate(info.shape)]
    if own is None:
        return shape
    sizes = own[info.name].shape
    return [size if isinstance(dim, str) else dim for dim, size in zip(shape, sizes, strict=True)]


def _settle(axis: int, dim: int | str, known: dict[str, int]) -> int | str:
    if isinstance(dim, int):
        return dim
    if axis == 0:
        return known.get(dim, 1)
    return known.get(dim, dim)


def _learn(info: InputInfo, shape: list[int], known: dict[str, int], where: str) -> None:
    text = f"{where} {info.name}={format_shape(shape)}"
    wanted = format_shape(info.shape) or "a scalar"
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


_SINGLE = b"\x93NUMPY"
_ONE_ARRAY = "holds a single array; save one per input name with np.savez"
_NO_ARCHIVE = "is not a readable .npz file of plain arrays (np.savez makes one)"


def read_arrays(path: Path, where: str) -> Tensors:
    """Return the arrays of an .npz file; `where` it was given, for complaints.

    Raises:
        UsageError: it cannot be read, holds something else, or more than there is memory for.
    """
    try:
        with open_regular(path, LARGEST_BYTES) as file:
            if not zipfile.is_zipfile(file):
                file.seek(0)
                single = file.read(len(_SINGLE)) == _SINGLE
                raise UsageError(f"{where} {path}: {_ONE_ARRAY if single else _NO_ARCHIVE}")
            file.seek(0)
            _demand_unpackable(file, f"{where} {path}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        if all(isinstance(array, np.ndarray) for array in arrays.values()):
            return arrays
        raise UsageError(f"{where} {path}: {_NO_ARCHIVE}")
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"{where} {path}: cannot be read: {error.strerror or error}") from None
    except Exception:
        raise UsageError(f"{where} {path}: {_NO_ARCHIVE}") from None


def _demand_unpackable(file: IO[bytes], where: str) -> None:
    """Refuse an archive that would fill the memory.

    Raises:
        UsageError: it would. No more is unpacked of a member than it says itself to hold.
    """
    with zipfile.ZipFile(file) as archive:
        held_bytes = sum(member.file_size for member in archive.infolist())
    room_bytes = available_memory_bytes()
    if held_bytes > (LARGEST_BYTES if room_bytes is None else room_bytes):
        raise UsageError(f"{where}: holds {held_bytes / 1e9:,.3g} GB, for which there is no memory")


def _read(inputs: list[InputInfo], path: Path, where: str) -> Tensors:
    arrays = read_arrays(path, where)
    names = [info.name for info in inputs]
    if missing := [name for name in names if name not in arrays]:
        raise UsageError(f"{where} {path}: lacks input {missing[0]!r}; the model has {names}")
    if extra := [name for name in arrays if name not in names]:
        raise UsageError(f"{where} {path}: the model has no input {extra[0]!r}; it has {names}")
    for info in inputs:
        _check(info, arrays[info.name], f"{where} {path}")
    return arrays


def _check(info: InputInfo, array: npt.NDArray[np.generic], text: str) -> None:
    wanted = np.dtype(_dtype(info))
    if array.dtype != wanted and not (wanted.kind == "O" and array.dtype.kind == "U"):
        raise UsageError(f"{text}: {info.name!r} is {array.dtype}; the model wants {wanted}")
    fits = len(array.shape) == len(info.shape) and all(
        isinstance(dim, str) or dim == size
        for size, dim in zip(array.shape, info.shape, strict=True)
    )
    if not fits:
        raise UsageError(
            f"{text}: {info.name!r} has shape {format_shape(array.shape)}; "
            f"the model wants {format_shape(info.shape)}"
        )
