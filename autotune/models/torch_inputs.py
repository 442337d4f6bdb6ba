"""The inputs of a torch model: their names, types and shapes, and the request it brings along.

An exported program says all of it. A module and TorchScript say only names: types and shapes come
from `--shape`, `--input`, or the example of the function that built it.
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from autotune.engine.source import Tensors
from autotune.errors import ModelError, UsageError, did_you_mean
from autotune.models.sample_inputs import read_arrays
from autotune.models.torch_package import wanted_by_package
from autotune.models.torch_tensors import DTYPES, as_array, type_of
from autotune.records import InputInfo
from autotune.spec import ModelSpec
from autotune.units import format_shape

BATCH = "batch"
"""What an open first dimension is called."""
_EXAMPLE = "1x3x224x224"


class Argument(NamedTuple):
    """One argument of `forward`."""

    name: str
    by_name: bool = False
    """Whether it is passed by its name."""
    required: bool = True


class Inputs(NamedTuple):
    """What a model takes."""

    arguments: list[Argument]
    """Those that are passed, in order."""
    infos: list[InputInfo]
    """In the same order."""
    own: Tensors | None
    """One request that the model brings along."""


Example = Mapping[str, torch.Tensor]


def of_module(module: torch.nn.Module, example: Any, spec: ModelSpec) -> Inputs:
    """Return what a module takes, from the signature of its `forward`.

    Raises:
        ModelError: nothing says what its inputs are like, or they are no plain tensors.
        UsageError: a type that was given does not exist.
    """
    arguments: list[Argument] = []
    for parameter in inspect.signature(module.forward).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            extra = len(example) - len(arguments) if isinstance(example, tuple) else 0
            arguments += [Argument(f"{parameter.name}_{i}") for i in range(max(0, extra))]
            continue
        optional = parameter.default is not parameter.empty
        keyword_only = parameter.kind is parameter.KEYWORD_ONLY
        arguments.append(Argument(parameter.name, optional or keyword_only, not optional))
    return _settled(arguments, _by_name(example, arguments, spec), spec)


def of_script(module: torch.jit.ScriptModule, spec: ModelSpec) -> Inputs:
    """Return what TorchScript takes, from the schema of its `forward`; raises as `of_module`."""
    forward: Any = module.forward
    arguments = []
    for argument in forward.schema.arguments[1:]:  # The first is the module itself.
        optional = argument.has_default_value()
        if str(argument.type) in ("Tensor", "Optional[Tensor]"):
            arguments.append(Argument(argument.name, optional, not optional))
        elif not optional:
            raise ModelError(
                f"{spec.path}: its input {argument.name!r} is of type {argument.type}: autotune "
                "feeds tensors only; script a module that takes tensors"
            )
    return _settled(arguments, {}, spec)


def of_package(count: int, keywords: Sequence[str], spec: ModelSpec) -> Inputs:
    """Return what an AOTInductor package takes, as far as it says.

    The `count` without a keyword are named `input`, or `input_0` and so on. Raises as `of_module`.
    """
    names = ["input"] if count == 1 else [f"input_{i}" for i in range(count)]
    arguments = [Argument(name) for name in names] + [Argument(name, True) for name in keywords]
    wanted = wanted_by_package(spec.path)
    if wanted is None or len(wanted) != len(arguments):
        return _settled(arguments, {}, spec)
    infos = [
        InputInfo(
            name=argument.name,
            dtype=type_of(getattr(torch, one.dtype)),
            shape=[
                (f"dim_{axis}" if axis else BATCH) if size is None else size
                for axis, size in enumerate(one.shape)
            ],
        )
        for argument, one in zip(arguments, wanted, strict=True)
    ]
    return Inputs(arguments, infos, None)


def of_program(program: torch.export.ExportedProgram, spec: ModelSpec) -> Inputs:
    """Return what an exported program takes, with its example as a request of its own.

    Raises:
        ModelError: it takes something else than plain tensors.
        UsageError: a size that was given lies outside of what the program allows.
    """
    places, keywords = program.call_spec.in_spec.children()
    names = list(program.graph_signature.user_inputs)
    nested = [spec_ for spec_ in (*places.children(), *keywords.children()) if not spec_.is_leaf()]
    if nested or any(not isinstance(name, str) for name in names):
        raise ModelError(
            f"{spec.path}: the program takes nested or constant inputs: autotune feeds plain "
            "tensors; export a module that takes them one by one"
        )
    meta = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    fakes = [meta[name] for name in names]
    if odd := [name for name, fake in zip(names, fakes, strict=True) if not _is_tensor(fake)]:
        raise ModelError(f"{spec.path}: input {odd[0]!r} is no tensor: autotune feeds tensors only")
    count = places.num_children
    shown = _names(program, names)
    arguments = [Argument(name, by_name=i >= count) for i, name in enumerate(shown)]
    arguments[count:] = [Argument(name, True) for name in keywords.context]
    infos = [
        InputInfo(name=argument.name, dtype=type_of(fake.dtype), shape=_dims(fake.shape))
        for argument, fake in zip(arguments, fakes, strict=True)
    ]
    sizes = _sizes(program, fakes)
    _check_sizes(spec, infos, sizes)
    own = _own(program, arguments, fakes, sizes)
    return Inputs(arguments, infos, own)


Sizes = list[list[tuple[int, float] | None]]
"""Per input and dimension: the least and the most that is allowed; None: it is fixed."""


def _is_tensor(fake: object) -> bool:
    return isinstance(fake, torch.Tensor)


def _names(program: torch.export.ExportedProgram, names: list[str]) -> list[str]:
    """A placeholder is called otherwise than its argument where that is the name of a builtin."""
    parameters = list(inspect.signature(program.module().forward).parameters)
    return parameters if len(parameters) == len(names) else names


def _dims(shape: Sequence[Any]) -> list[int | str]:
    first = [BATCH if not isinstance(size, int) else size for size in shape[:1]]
    return [*first, *(size if isinstance(size, int) else str(size) for size in shape[1:])]


def _sizes(program: torch.export.ExportedProgram, fakes: Sequence[torch.Tensor]) -> Sizes:
    return [[_allowed(program, size) for size in fake.shape] for fake in fakes]


def _allowed(program: torch.export.ExportedProgram, size: Any) -> tuple[int, float] | None:
    if isinstance(size, int):
        return None
    allowed = program.range_constraints.get(size.node.expr)
    if allowed is None:
        return 1, float("inf")
    # torch assumes 2 or more of whatever may be several, and yet lets 1 pass.
    lower = int(allowed.lower)
    return (lower if lower > 2 else 1), float(allowed.upper)


def _check_sizes(spec: ModelSpec, infos: list[InputInfo], sizes: Sizes) -> None:
    for kind in spec.kinds:
        for info, allowed in zip(infos, sizes, strict=True):
            given = kind.shapes.get(info.name, [])
            if len(given) != len(allowed):
                continue  # `settle_shapes` says so.
            for axis, (size, limits) in enumerate(zip(given, allowed, strict=True)):
                if limits is not None and not limits[0] <= size <= limits[1]:
                    upper = f"to {limits[1]:g}" if limits[1] < 2**62 else "upwards"
                    raise UsageError(
                        f"{kind.origin or '--shape'} {info.name}={format_shape(given)}: the "
                        f"program allows {limits[0]} {upper} for dimension {axis}, not {size}"
                    )


def _own(
    program: torch.export.ExportedProgram,
    arguments: list[Argument],
    fakes: Sequence[torch.Tensor],
    sizes: Sizes,
) -> Tensors | None:
    if program.example_inputs is None:
        return None
    places, keywords = program.example_inputs
    tensors = [*places, *(keywords[a.name] for a in arguments[len(places) :])]
    own = {}
    for argument, tensor, allowed in zip(arguments, tensors, sizes, strict=True):
        if not isinstance(tensor, torch.Tensor) or isinstance(tensor, type(fakes[0])):
            return None  # Shapes without values were saved in place of an example.
        rows = allowed[0] if allowed else None
        own[argument.name] = as_array(tensor if rows is None else tensor[: rows[0]])
    return own


def _by_name(example: Any, arguments: list[Argument], spec: ModelSpec) -> dict[str, torch.Tensor]:
    """Return a function's example inputs by the names of the module's arguments."""
    where = f"{spec.function or spec.path}: its example inputs"
    if example is None:
        return {}
    names = [argument.name for argument in arguments]
    if isinstance(example, Mapping):
        named = dict(example)
    else:
        values = list(example) if isinstance(example, tuple | list) else [example]
        if len(values) > len(names):
            raise ModelError(f"{where} are {len(values)}, and forward takes {len(names)}")
        named = dict(zip(names, values, strict=False))
    for name, value in named.items():
        if name not in names:
            hint = did_you_mean(str(name), names)
            raise ModelError(f"{where} name {name!r}, which forward does not take{hint}")
        if isinstance(value, np.ndarray):
            named[name] = torch.from_numpy(value)
        elif not isinstance(value, torch.Tensor):
            raise ModelError(
                f"{where}: {name!r} is a {type(value).__name__}: autotune feeds plain tensors only"
            )
    return named


def _settled(arguments: list[Argument], example: Example, spec: ModelSpec) -> Inputs:
    given = [_given(kind.shapes, kind.input_file, kind.origin) for kind in spec.kinds]
    named = {*spec.dtypes, *example, *(name for one in given for name in one)}
    used = [one for one in arguments if one.required or one.name in named]
    if not used:
        names = ", ".join(argument.name for argument in arguments)
        raise ModelError(
            f"{spec.function or spec.path}: all inputs of forward are optional ({names}): name "
            "those that a request has with --shape NAME=SHAPE, or give them with --input inputs.npz"
        )
    shapes = {one.name: _shape(one.name, given, example) for one in used}
    if unknown := [name for name, shape in shapes.items() if shape is None]:
        options = " ".join(f"--shape {name}={_EXAMPLE}" for name in unknown)
        raise ModelError(
            f"{spec.function or spec.path}: does not say which shapes its inputs have "
            f"({', '.join(unknown)}): say what one request has, for example {options}, or give "
            "real data with --input inputs.npz"
        )
    types = {one.name: _type(one.name, spec, given, example) for one in used}
    infos = [
        InputInfo(name=name, dtype=types[name], shape=shape or []) for name, shape in shapes.items()
    ]
    complete = all(one.name in example for one in used)
    own = {name: _one_request(example[name]) for name in shapes} if complete else None
    return Inputs(used, infos, own)


class _Given(NamedTuple):
    shape: list[int]
    dtype: str | None


def _given(shapes: dict[str, list[int]], file: str | None, origin: str | None) -> dict[str, _Given]:
    if file is None:
        return {name: _Given(shape, None) for name, shape in shapes.items()}
    arrays = read_arrays(Path(file), origin or "--input")
    return {name: _Given(list(array.shape), array.dtype.name) for name, array in arrays.items()}


def _shape(name: str, given: list[dict[str, _Given]], example: Example) -> list[int | str] | None:
    """Return what all kinds of requests have in common; None where one of them says nothing.

    The first dimension is taken to be open, and the others to be as they are given.
    """
    own = list(example[name].shape) if name in example else None
    shapes = [one[name].shape if name in one else own for one in given]
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    if len({len(shape) for shape in known}) > 1:
        raise UsageError(
            f"input {name!r} has {' and '.join(format_shape(shape) for shape in known)}: all kinds "
            "of requests must have the same number of dimensions"
        )
    rest = [sizes[0] if len(set(sizes)) == 1 else "?" for sizes in zip(*known, strict=True)]
    return [BATCH, *rest[1:]] if rest else []


def _type(name: str, spec: ModelSpec, given: list[dict[str, _Given]], example: Example) -> str:
    read = next((one[name].dtype for one in given if name in one and one[name].dtype), None)
    dtype = spec.dtypes.get(name) or read
    if dtype is None:
        return type_of(example[name].dtype if name in example else torch.float32)
    if dtype not in DTYPES:
        raise UsageError(f"input {name!r}: there is no type {dtype!r}{did_you_mean(dtype, DTYPES)}")
    return DTYPES[dtype]


def _one_request(tensor: torch.Tensor) -> "np.ndarray[Any, np.dtype[Any]]":
    return as_array(tensor[:1] if tensor.ndim else tensor)
