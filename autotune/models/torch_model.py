"""Torch models as inference functions: loaded by what they are, in inference mode."""

import ctypes
import json
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch

from autotune.engine.device import Compute
from autotune.engine.overlap import on_device
from autotune.engine.replica import Infer
from autotune.engine.source import Tensors
from autotune.errors import ModelError, UsageError
from autotune.models import torch_forms, torch_inputs
from autotune.models.kinds import FUNCTION, Kind
from autotune.models.torch_errors import explain_torch, shorten
from autotune.models.torch_inputs import BATCH, Argument, Inputs
from autotune.models.torch_package import device_of_package
from autotune.models.torch_tensors import as_array, as_tensor, tensors_of
from autotune.models.torch_threads import use_interop_threads, use_threads
from autotune.models.user_function import build
from autotune.spec import ModelSpec, SessionShape
from autotune.units import format_shape

Forward = Callable[..., Any]
_load_script: Any = torch.jit.load


class Replica(NamedTuple):
    """One loaded model; see `autotune.models.loading.Loaded`."""

    infer: Infer
    inputs: Inputs
    forks: bool
    weight_bytes: dict[str, float]


class _Model(NamedTuple):
    """What was loaded, before it is wrapped."""

    forward: Forward
    inputs: Inputs
    forks: bool = False
    channels_last: bool = False
    casts: Mapping[str, torch.dtype] = MappingProxyType({})
    """Types that numpy does not have, by input."""
    weight_bytes: Mapping[str, float] = MappingProxyType({})
    """By type; empty: not known."""


def open_model(spec: ModelSpec, kind: Kind, shape: SessionShape, number: int) -> Replica:
    """Load the model for replica `number` of a configuration, on the CPU or a GPU.

    Raises:
        ModelError: it cannot be loaded, brought into the form that is asked for, or put there.
        UsageError: what a request is said to be does not fit.
    """
    name = spec.function or spec.path
    try:
        device = place_of(shape, number)
        use_threads(shape.intra_op_threads)
        if number == 0:
            torch_forms.forget_compiled()
        with warnings.catch_warnings():
            # torch warns of its own parts, and of TorchScript: nobody here can mend that.
            warnings.simplefilter("ignore")
            model = _OPEN[kind](spec, shape, device)
        if model.forks:
            use_interop_threads(shape)
    except UsageError:
        raise
    except ModelError as error:
        named = str(error).startswith(f"{name}: ")
        raise error if named else ModelError(f"{name}: {error}") from None
    except Exception as error:
        raise ModelError(f"{name}: {explain_torch(error) or shorten(str(error))}") from None
    infer = _as_infer(model, shape, device)
    return Replica(infer, model.inputs, model.forks, dict(model.weight_bytes))


def place_of(shape: SessionShape, number: int) -> torch.device:
    """Return where replica `number` computes: GPUs in turn.

    Raises:
        ModelError: torch cannot compute there; the message says what is missing.
    """
    if shape.provider == "cpu":
        return torch.device("cpu")
    if shape.provider != "cuda":
        raise ModelError(f"torch has no provider {shape.provider}: it computes on cpu or cuda")
    if torch.version.cuda is None:
        raise ModelError(
            f"torch {torch.__version__} is built without CUDA: install one with it to use a GPU"
        )
    if not torch.cuda.is_available():
        raise ModelError(f"no GPU can be used here: {_missing_of_gpu()}")
    if (there := torch.cuda.device_count()) < shape.devices:
        raise ModelError(f"{shape.devices} GPUs are asked for, and torch sees {there}")
    return torch.device("cuda", number % shape.devices)


def _missing_of_gpu() -> str:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver (libcuda.so.1 is missing)"
    return "the NVIDIA driver finds no GPU, or is too old for this torch"


def _open_program(spec: ModelSpec, shape: SessionShape, device: torch.device) -> _Model:
    program = torch.export.load(spec.path)
    if device.type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    inputs = torch_inputs.of_program(program, spec)
    fakes = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"]
    taken = fakes[len(fakes) - len(inputs.infos) :]
    casts = {
        info.name: fake.dtype
        for info, fake in zip(inputs.infos, taken, strict=True)
        if fake.dtype == torch.bfloat16
    }
    if shape.form == "exported":
        forward = torch_forms.ahead_of_time(spec, shape, device, lambda: program)
        return _Model(_refusing(forward, inputs), inputs, casts=casts)
    module = program.module()
    weight_bytes = _weight_bytes(module)
    channels_last = _channels_last(module, spec)
    forward = torch_forms.compiled(module) if shape.form == "compiled" else module
    return _Model(
        forward, inputs, channels_last=channels_last, casts=casts, weight_bytes=weight_bytes
    )


def _open_function(spec: ModelSpec, shape: SessionShape, device: torch.device) -> _Model:
    built = build(spec.function or "", spec.seed)
    return _of_module(built.module, built.example, spec, shape, device)


def _open_pickled(spec: ModelSpec, shape: SessionShape, device: torch.device) -> _Model:
    module = torch.load(spec.path, map_location=device, weights_only=False)
    if not isinstance(module, torch.nn.Module):
        raise ModelError(
            f"holds a {type(module).__name__}, and no module: name the function that builds it, "
            f"{FUNCTION}"
        )
    return _of_module(module, None, spec, shape, device)


def _of_module(
    module: torch.nn.Module,
    example: Any,
    spec: ModelSpec,
    shape: SessionShape,
    device: torch.device,
) -> _Model:
    module = module.eval().to(device)
    inputs = torch_inputs.of_module(module, example, spec)
    if shape.form == "exported":
        forward = torch_forms.ahead_of_time(
            spec, shape, device, lambda: torch_forms.export(module, inputs, spec, device)
        )
        return _Model(_refusing(forward, inputs), inputs)
    channels_last = _channels_last(module, spec)
    forward = torch_forms.compiled(module) if shape.form == "compiled" else module
    weight_bytes = _weight_bytes(module)
    return _Model(forward, inputs, channels_last=channels_last, weight_bytes=weight_bytes)


def _open_script(spec: ModelSpec, shape: SessionShape, device: torch.device) -> _Model:
    _demand_as_given(shape, "TorchScript")
    module = _load_script(spec.path, map_location=device).eval()
    inputs = torch_inputs.of_script(module, spec)
    forks = "prim::fork" in str(module.inlined_graph)
    channels_last = _channels_last(module, spec)
    weight_bytes = _weight_bytes(module)
    return _Model(
        module, inputs, forks=forks, channels_last=channels_last, weight_bytes=weight_bytes
    )


def _open_package(spec: ModelSpec, shape: SessionShape, device: torch.device) -> _Model:
    _demand_as_given(shape, "a package of AOTInductor")
    made_for = device_of_package(spec.path)
    if made_for != device.type:
        raise ModelError(
            f"the package was compiled for {made_for}, and it is to run on {device.type}"
        )
    forward = torch_forms.load_package(spec.path, device, shape.cuda_graphs)
    places, keywords = json.loads(forward.loader.get_call_spec()[0])[1]["children_spec"]
    if any(one["type"] is not None for one in places["children_spec"] + keywords["children_spec"]):
        raise ModelError("takes nested inputs: autotune feeds plain tensors, one by one")
    names = json.loads(keywords["context"])
    inputs = torch_inputs.of_package(len(places["children_spec"]), names, spec)
    return _Model(_refusing(forward, inputs), inputs)


_OPEN: dict[Kind, Callable[[ModelSpec, SessionShape, torch.device], _Model]] = {
    "exported": _open_program,
    "function": _open_function,
    "pickled": _open_pickled,
    "script": _open_script,
    "aoti": _open_package,
}


def _demand_as_given(shape: SessionShape, what: str) -> None:
    if shape.form != "as_given":
        raise ModelError(f"is {what}, which has no form {shape.form!r}")


def _channels_last(module: torch.nn.Module, spec: ModelSpec) -> bool:
    """Lay the module's images out with their channels last, if it has any."""
    weights = [*module.parameters(), *module.buffers()]
    if not spec.channels_last or all(weight.dim() != 4 for weight in weights):
        return False
    _to: Any = module.to
    _to(memory_format=torch.channels_last)
    return True


def _weight_bytes(module: torch.nn.Module) -> dict[str, float]:
    """Return the bytes of a module's parameters and buffers by type: `float32`."""
    sizes: dict[str, float] = {}
    for weight in (*module.parameters(), *module.buffers()):
        name = str(weight.dtype).removeprefix("torch.")
        sizes[name] = sizes.get(name, 0.0) + weight.numel() * weight.element_size()
    return sizes


def _refusing(forward: Forward, inputs: Inputs) -> Forward:
    """Check what is passed: compiled ahead of time, it would read beyond a tensor's end."""
    infos = {info.name: info for info in inputs.infos}

    def checked(*places: torch.Tensor, **named: torch.Tensor) -> Any:
        given = dict(zip(infos, places, strict=False)) | named
        for name, tensor in given.items():
            wanted = infos[name].shape
            if len(wanted) != tensor.dim() or any(
                isinstance(dim, int) and dim != size
                for dim, size in zip(wanted, tensor.shape, strict=True)
            ):
                raise ValueError(
                    f"input {name!r} is {format_shape(tensor.shape)}, and was exported as "
                    f"{format_shape(wanted)}"
                )
        return forward(*places, **named)

    return checked


def _as_infer(model: _Model, shape: SessionShape, device: torch.device) -> Infer:
    compute = _as_compute(model, shape)
    if device.type == "cuda":
        from autotune.models.cuda_device import CudaDevice, Graphed, computing

        on_gpu = Graphed(compute) if shape.cuda_graphs else computing(compute)
        return on_device(CudaDevice(device), on_gpu, shape.overlap)
    threads = shape.intra_op_threads

    def infer(inputs: Tensors) -> Tensors:
        use_threads(threads)
        tensors = {name: as_tensor(array) for name, array in inputs.items()}
        with torch.inference_mode():
            outputs = compute(tensors, 0)
        return {name: as_array(tensor) for name, tensor in outputs.items()}

    return infer


def _as_compute(model: _Model, shape: SessionShape) -> Compute:
    """Wrap `forward` as a function of tensors by name, on any device."""
    forward, arguments = model.forward, model.inputs.arguments
    rows_open = {info.name for info in model.inputs.infos if info.shape[:1] == [BATCH]}
    to_mark = rows_open if shape.form == "compiled" else set()

    def feed(argument: Argument, tensor: torch.Tensor) -> torch.Tensor:
        if (dtype := model.casts.get(argument.name)) is not None:
            tensor = tensor.to(dtype)
        if argument.name in to_mark:
            torch_forms.mark_rows(tensor)
        images = model.channels_last and tensor.dim() == 4
        layout = torch.channels_last if images else torch.contiguous_format
        return tensor.contiguous(memory_format=layout)

    def compute(tensors: dict[str, torch.Tensor], rows: int) -> dict[str, torch.Tensor]:
        fed = [(one, feed(one, tensors[one.name])) for one in arguments]
        places = [tensor for one, tensor in fed if not one.by_name]
        named = {one.name: tensor for one, tensor in fed if one.by_name}
        return tensors_of(forward(*places, **named))

    return compute
