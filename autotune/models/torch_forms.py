"""The forms of a torch model: compiled as it runs, or exported and compiled ahead of time.

What is compiled ahead of time is kept in a folder, where all processes of one search find it.
"""

import atexit
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import torch

from autotune.engine.source import stack
from autotune.errors import ModelError
from autotune.model_file import sha256
from autotune.models.sample_inputs import make_samples
from autotune.models.torch_errors import explain_torch, shorten
from autotune.models.torch_inputs import BATCH, Inputs
from autotune.models.torch_tensors import as_tensor
from autotune.models.torch_threads import use_threads
from autotune.runtime_environment import COMPILED_FOLDER
from autotune.spec import ModelSpec, SessionShape

_THREADS_AS_TOLD: dict[str, Any] = {"cpp.dynamic_threads": True}
"""Kernels ask for the number of threads when they run, and not when they are compiled."""
_EACH_SHAPE = 64
"""Variants of a module that may be compiled: replicas times sizes, and some."""

_collection: Any = torch.export.ShapesCollection
_ahead_s = 0.0


def compiled(module: torch.nn.Module) -> Callable[..., Any]:
    """Return the module by `torch.compile`; it is compiled when it first runs.

    It is compiled anew for one row, and for several; `autotune.trial` runs both before it measures.
    Beyond the limit of variants torch would go on uncompiled and say nothing: here that is an
    error.
    """
    from torch import _dynamo

    _dynamo.config.recompile_limit = _EACH_SHAPE
    _dynamo.config.fail_on_recompile_limit_hit = True
    forward: Callable[..., Any] = torch.compile(module, options=_THREADS_AS_TOLD)
    return forward


def mark_rows(tensor: torch.Tensor) -> None:
    """Tell `torch.compile` that the number of rows will change.

    One row is always compiled for itself; the first time that there are several, for any number.
    """
    if tensor.shape[0] > 1:
        torch._dynamo.maybe_mark_dynamic(tensor, 0)


def forget_compiled() -> None:
    """Drop what `torch.compile` made for an earlier configuration of this process."""
    if "torch._dynamo" in sys.modules:
        torch._dynamo.reset()


def compiled_s() -> float:
    """Return the seconds that this process has spent compiling, in either way."""
    if "torch._dynamo" not in sys.modules:
        return _ahead_s
    spent: dict[str, float] = torch._dynamo.utils.calculate_time_spent()
    return _ahead_s + spent["total_wall_time"]


def export(
    module: torch.nn.Module, inputs: Inputs, spec: ModelSpec, device: torch.device
) -> torch.export.ExportedProgram:
    """Capture a module, with its first dimension open if it can run two requests at once.

    Raises:
        ModelError: `torch.export` cannot capture it.
    """
    one = make_samples(inputs.infos, spec, inputs.own)[0]
    with torch.no_grad():
        for rows, request in ((2, stack([one, one])), (1, one)):
            tensors = {name: as_tensor(array).to(device) for name, array in request.items()}
            places = tuple(tensors[a.name] for a in inputs.arguments if not a.by_name)
            named = {a.name: tensors[a.name] for a in inputs.arguments if a.by_name}
            if rows == 2:
                try:
                    module(*places, **named)
                except Exception:
                    continue  # It cannot be batched, and inspection says why.
            shapes = _collection()
            for info in inputs.infos if rows == 2 else []:
                if info.shape[:1] == [BATCH]:
                    shapes[tensors[info.name]] = {0: torch.export.Dim.AUTO}
            captured: torch.export.ExportedProgram = _captured(module, places, named, shapes)
            return captured
    raise ModelError("cannot be exported: it does not run on its sample input")


def _captured(module: torch.nn.Module, places: Any, named: Any, shapes: Any) -> Any:
    try:
        return torch.export.export(
            module, places, named, dynamic_shapes=shapes.dynamic_shapes(module, places, named)
        )
    except Exception as error:
        raise ModelError(
            f"torch.export cannot capture it: {explain_torch(error) or shorten(str(error))}"
        ) from None


def ahead_of_time(
    spec: ModelSpec,
    shape: SessionShape,
    device: torch.device,
    export: Callable[[], torch.export.ExportedProgram],
) -> Any:
    """Compile a program with AOTInductor, unless another process has, and load the package.

    Raises:
        ModelError: it cannot be exported or compiled.
    """
    global _ahead_s
    package = _folder() / f"{_key(spec, device)}.pt2"
    with package.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # The kernel lets go of it if this process dies.
        if not package.exists():
            started_s = time.perf_counter()
            use_threads(0)  # With one thread its kernels would be made for one.
            partial = package.with_suffix(".partial.pt2")
            torch._inductor.aoti_compile_and_package(
                export(), package_path=str(partial), inductor_configs=_THREADS_AS_TOLD
            )
            partial.rename(package)
            _ahead_s += time.perf_counter() - started_s
    return load_package(str(package), device, shape.cuda_graphs)


def load_package(path: str, device: torch.device, graphs: bool) -> Any:
    """Return a package of AOTInductor, which is native code, as a function.

    With `graphs` it does not look after its own work, which a CUDA graph cannot hold.
    """
    index = device.index if device.type == "cuda" else -1
    return torch._inductor.aoti_load_package(path, run_single_threaded=graphs, device_index=index)


def _key(spec: ModelSpec, device: torch.device) -> str:
    what = (spec, sha256(Path(spec.path)), device.type, str(torch.__version__))
    return hashlib.sha256(msgspec.json.encode(what)).hexdigest()


@cache
def _folder() -> Path:
    if (shared := os.environ.get(COMPILED_FOLDER)) is not None:
        return Path(shared)
    own = Path(tempfile.mkdtemp(prefix="autotune-compiled-"))
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return own
