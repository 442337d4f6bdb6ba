"""One replica of the tuned torch model, opened as knobs.json says.

Written by `autotune export`, as tuned_model.py. Needs numpy and torch, and the package that defines
the model where knobs.json names a function. Requests, batches and answers stand in v2_batches.py.

Where the model was tuned as compiled ahead of time (`"form": "exported"`), `python tuned_model.py`
does that once and leaves compiled.pt2 here.
"""

import hashlib
import importlib
import inspect
import os
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils import _pytree
from v2_batches import FOLDER, Batches, Declared, Tensors, threads
from v2_batches import KNOBS as KNOBS

COMPILED = "compiled.pt2"

_untyped: Any = torch  # some of it says nothing of its types
_THREADS_AS_TOLD: dict[str, Any] = {"cpp.dynamic_threads": True}
_ENOUGH_WORK = 1 << 20
"""Elements that torch splits among all its threads."""
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Loaded(NamedTuple):
    """The model, and how it wants to be called."""

    forward: Any
    positional: list[str]
    """Inputs in order; the others are passed by name."""
    channels_last: bool = False
    casts: Mapping[str, torch.dtype] = {}
    """Types that numpy does not have, by input."""
    native: bool = False
    """Whether it is native code, which would read beyond the end of an input that is too small."""


class Replica(Batches):
    """The model, loaded once. One batch at a time: every server here sees to that."""

    def __init__(self, knobs: dict[str, Any] = KNOBS) -> None:
        """Load the model; count the threads with which OpenMP begins its first work."""
        self.knobs, self.own = knobs, threading.local()
        self.device = torch.device("cuda" if knobs["provider"] == "cuda" else "cpu")
        self._use_threads()
        before = threads()
        torch.ones(_ENOUGH_WORK).add_(1)
        self.session_threads = threads() - before
        if knobs["execution_mode"] == "parallel":
            torch.set_num_interop_threads(knobs["inter_op_threads"])
        self.loaded = load(knobs, self.device)
        if knobs["form"] == "compiled":
            for batch in sorted({1, 2, knobs["max_batch_size"]}):
                self.run(example(knobs, batch))

    def run(self, inputs: Tensors) -> Tensors:
        """Execute one batch."""
        self._use_threads()
        if self.loaded.native:
            demand_sizes(inputs, self.knobs)
        fed = {one["name"]: self._feed(one["name"], inputs) for one in self.knobs["inputs"]}
        places = [fed.pop(name) for name in self.loaded.positional]
        with torch.inference_mode():
            return dict(walk("", self.loaded.forward(*places, **fed)))

    def declared(self) -> tuple[list[Declared], list[Declared]]:
        """Return inputs and outputs; outputs as of a run, with their first dimension left open."""
        inputs = [Declared(one["name"], one["dtype"], one["shape"]) for one in self.knobs["inputs"]]
        outputs = self.run(example(self.knobs, 1))
        return inputs, [
            Declared(name, f"tensor({_WORDS.get(array.dtype.name, array.dtype.name)})", shape)
            for name, array in outputs.items()
            for shape in [["batch", *array.shape[1:]] if array.ndim else []]
        ]

    def _use_threads(self) -> None:
        """Each thread has a number of its own, and a server may run the model in any."""
        count = self.knobs["intra_op_threads"]
        if count and getattr(self.own, "count", None) != count:
            torch.set_num_threads(count)
            self.own.count = count

    def _feed(self, name: str, inputs: Tensors) -> torch.Tensor:
        array = np.require(inputs[name], requirements=["C", "W"])
        tensor = torch.from_numpy(array).to(self.device, self.loaded.casts.get(name))
        if self.loaded.channels_last and tensor.dim() == 4:
            return tensor.contiguous(memory_format=torch.channels_last)
        return tensor


_WORDS = {"float32": "float", "float64": "double"}


def load(knobs: dict[str, Any], device: torch.device) -> Loaded:
    """Load the model in the form that was tuned."""
    if knobs["form"] != "exported":
        loaded = load_as_given(knobs, device)
        if knobs["form"] == "compiled":
            return loaded._replace(forward=torch.compile(loaded.forward, options=_THREADS_AS_TOLD))
        return loaded
    path = FOLDER / COMPILED
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `python {Path(__file__).name}` here once")
    return of_package(path, knobs, device)


def load_as_given(knobs: dict[str, Any], device: torch.device) -> Loaded:
    """Load what the file holds, or what the function builds."""
    if knobs["function"] is not None:
        return of_module(build(knobs["function"]).eval().to(device), knobs)
    path = FOLDER / knobs["model"]  # an absolute path stays what it is
    match kind_of(path):
        case "program":
            return of_program(torch.export.load(path), knobs, device)
        case "package":
            return of_package(path, knobs, device)
        case "script":
            script = _untyped.jit.load(path, map_location=device).eval()
            return Loaded(script, [], channels_last(script, knobs))
    # A pickle runs code: only the very file that was trusted when it was tuned.
    if hashlib.sha256(path.read_bytes()).hexdigest() != knobs["model_sha256"]:
        raise ValueError(f"{path}: is a pickle, and not the one that was tuned")
    return of_module(torch.load(path, map_location=device, weights_only=False).eval(), knobs)


def kind_of(path: Path) -> str:
    """Tell by its content what a file holds."""
    names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
    inner = [name.partition("/")[2] for name in names]
    if any(name.startswith("models/") and name.endswith(".json") for name in inner):
        return "program"
    if any(name.startswith("data/aotinductor/") for name in inner):
        return "package"
    return "script" if any(name.startswith("code/") for name in inner) else "pickle"


def build(function: str) -> Any:
    """Import `package.module`, call the function, and return the module that it builds."""
    name, _, attribute = function.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    torch.manual_seed(0)
    made = getattr(importlib.import_module(name), attribute)()
    return made[0] if isinstance(made, tuple) else made


def of_module(module: Any, knobs: dict[str, Any]) -> Loaded:
    """Wrap a module: what its `forward` cannot take by name is passed in order."""
    parameters = inspect.signature(module.forward).parameters
    names = [one["name"] for one in knobs["inputs"]]
    by_name = {name for name in names if name in parameters}
    if len(by_name) < len(names):  # some are taken by *args, so all before them are in order
        by_name = {name for name in by_name if parameters[name].kind is _BY_NAME[1]}
    positional = [name for name in names if name not in by_name]
    return Loaded(module, positional, channels_last(module, knobs))


def of_program(program: Any, knobs: dict[str, Any], device: torch.device) -> Loaded:
    """Wrap a program of `torch.export`."""
    if device.type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    module = program.module()
    values = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"]
    names = [one["name"] for one in knobs["inputs"]]
    casts = {
        name: value.dtype
        for name, value in zip(names, values[len(values) - len(names) :], strict=True)
        if value.dtype == torch.bfloat16
    }
    count = program.call_spec.in_spec.children()[0].num_children
    return Loaded(module, names[:count], channels_last(module, knobs), casts)


def of_package(path: Path, knobs: dict[str, Any], device: torch.device) -> Loaded:
    """Wrap a package of AOTInductor."""
    index = 0 if device.type == "cuda" else -1
    package = torch._inductor.aoti_load_package(str(path), device_index=index)
    spec = _pytree.treespec_loads(package.loader.get_call_spec()[0])
    count = spec.children()[0].num_children
    return Loaded(package, [one["name"] for one in knobs["inputs"]][:count], native=True)


def channels_last(module: Any, knobs: dict[str, Any]) -> bool:
    """Lay images out with their channels last, as they were tuned, if there are any."""
    weights = [*module.parameters(), *module.buffers()]
    if not knobs["channels_last"] or all(weight.dim() != 4 for weight in weights):
        return False
    module.to(memory_format=torch.channels_last)
    return True


def demand_sizes(inputs: Tensors, knobs: dict[str, Any]) -> None:
    """Refuse inputs of other sizes than the model has."""
    for one in knobs["inputs"]:
        shape, wanted = inputs[one["name"]].shape, one["shape"]
        fits = len(shape) == len(wanted) and all(
            size == fixed
            for size, fixed in zip(shape, wanted, strict=True)
            if isinstance(fixed, int)
        )
        if not fits:
            raise ValueError(f"input {one['name']!r} is {list(shape)}, not {wanted}")


def example(knobs: dict[str, Any], requests: int) -> Tensors:
    """Return so many requests in one batch, of zeros."""
    dtypes = {word: name for name, word in _WORDS.items()}
    inputs: Tensors = {}
    for one in knobs["inputs"]:
        word = one["dtype"].removeprefix("tensor(").removesuffix(")")
        first = [requests * size for size in one["request"][:1]]
        inputs[one["name"]] = np.zeros([*first, *one["request"][1:]], dtypes.get(word, word))
    return inputs


def walk(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of an answer by name, as `autotune search` named them."""
    if isinstance(value, torch.Tensor):
        plain = value.to(torch.float32) if value.dtype == torch.bfloat16 else value
        yield name or "output", plain.numpy(force=True)
    elif isinstance(value, bool | int | float):
        yield name or "output", np.asarray(value)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from walk(f"{name}_{key}" if name else str(key), one)
    elif isinstance(value, tuple | list):
        for field, one in zip(getattr(value, "_fields", range(len(value))), value, strict=True):
            plain_name = f"output_{field}" if isinstance(field, int) else field
            yield from walk(f"{name}_{field}" if name else plain_name, one)


def export(knobs: dict[str, Any], device: torch.device) -> Any:
    """Return the model as a program of `torch.export`, the rows of a batch left open."""
    if knobs["function"] is None and kind_of(FOLDER / knobs["model"]) == "program":
        program = torch.export.load(FOLDER / knobs["model"])
        if device.type == "cpu":
            return program
        from torch.export.passes import move_to_device_pass

        return move_to_device_pass(program, device)
    loaded = load_as_given({**knobs, "channels_last": False}, device)
    batch = 2 if knobs["max_batch_size"] > 1 else 1
    fed = {name: torch.from_numpy(one).to(device) for name, one in example(knobs, batch).items()}
    shapes = _untyped.export.dynamic_shapes.ShapesCollection()
    for tensor in fed.values() if batch > 1 else []:
        shapes[tensor] = {0: torch.export.Dim.AUTO}
    places = tuple(fed.pop(name) for name in loaded.positional)
    dynamic = shapes.dynamic_shapes(loaded.forward, places, fed)
    return torch.export.export(loaded.forward, places, fed, dynamic_shapes=dynamic)


def compile_ahead(knobs: dict[str, Any] = KNOBS) -> None:
    """Compile the model with AOTInductor into a package beside this file."""
    device = torch.device("cuda" if knobs["provider"] == "cuda" else "cpu")
    path = str(FOLDER / COMPILED)
    torch._inductor.aoti_compile_and_package(
        export(knobs, device), package_path=path, inductor_configs=_THREADS_AS_TOLD
    )


if __name__ == "__main__":
    if KNOBS["form"] != "exported":
        raise SystemExit(f"there is nothing to compile: the form is {KNOBS['form']}")
    compile_ahead()
