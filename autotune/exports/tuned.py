"""From a tuned file to what is exported."""

import re
from pathlib import Path

from autotune import model_file
from autotune.config_file import PolicyEntry, TunedFile
from autotune.errors import UsageError
from autotune.exports.deployment import Deployment, safe_name
from autotune.runtime_environment import is_torch

MODEL_FILE = "model.onnx"
"""Where handlers look for the model, beside themselves, where nobody said where it lies."""
TORCH_FILE = "model.pt2"
"""Likewise for a torch model, whose content tells what it is."""
_SUFFIXES = (".onnx", ".ort", ".pt2", ".pth", ".pt", ".ts")


def entry_to_deploy(tuned: TunedFile) -> PolicyEntry:
    """Return the highest load for which the recommended configuration meets the SLO.

    Where it meets it at none, its highest.
    """
    mine = [entry for entry in tuned.policy if entry.config == tuned.recommended]
    meeting = [entry for entry in mine if entry.meets_slo]
    return (meeting or mine or tuned.policy)[-1]


def model_to_deploy(tuned: TunedFile, name: str | None) -> Path | None:
    """Return where the model lies, if a person says so.

    Raises:
        ModelError: there is no such model.
        UsageError: it is not the one that was tuned.
    """
    if name is None:
        return None
    source = model_file.locate_function(name)
    path = model_file.locate(name) if source is None else source[0]
    if model_file.sha256(path) != tuned.model.sha256:
        raise UsageError(f"--model {name}: is not the model that was tuned ({tuned.model.name})")
    return path


def deployment_of(tuned: TunedFile, entry: PolicyEntry, model_path: Path | None) -> Deployment:
    """Return the deployment of one entry's configuration, for up to its load.

    Args:
        tuned: the file.
        entry: one of its policy.
        model_path: where the model lies; None: beside the exported files.

    Raises:
        UsageError: the file names a function that python could not import.
    """
    _demand_function(tuned.model.function)
    shapes = list(tuned.model.request_shapes.values())
    rows = shapes[0][0] if tuned.model.batchable and shapes and shapes[0] else 1
    return Deployment(
        name=safe_name(_plain_name(tuned.model.name)),
        model_path=_place(tuned, model_path),
        model_sha256=tuned.model.sha256,
        config=entry.config,
        load_rps=entry.load_rps,
        slo=tuned.slo,
        cores=tuned.machine.cores_usable,
        memory_mib=entry.measured.peak_memory_mib if entry.measured is not None else None,
        rows_per_request=rows,
        batchable=tuned.model.batchable,
        made_by=f"autotune, model sha256 {tuned.model.sha256[:12]}",
        runtime=tuned.runtime,
        function=tuned.model.function,
        channels_last=tuned.model.channels_last,
        inputs=tuned.model.inputs,
        request_shapes=tuned.model.request_shapes,
    )


def _demand_function(function: str | None) -> None:
    """Exported files import it, and next steps name it."""
    parts = None if function is None else re.split("[.:]", function)
    if parts is not None and not (
        all(part.isidentifier() for part in parts) and re.fullmatch(r"[^:]+:[^.:]+", function or "")
    ):
        raise UsageError(f"the tuned file's function {function!r} is no package.module:function")


def _place(tuned: TunedFile, model_path: Path | None) -> str:
    """Return where a server finds the model; a function is found by its name."""
    if tuned.model.function is not None:
        return ""
    if model_path is not None:
        return str(model_path.absolute())
    return TORCH_FILE if is_torch(tuned.runtime) else MODEL_FILE


def _plain_name(name: str) -> str:
    """`models/a.onnx` is `a`, `package:` is `package`, `package:part/b.onnx` is `b`."""
    last = name.rstrip(":/").replace("\\", "/").rpartition("/")[2]
    last = last.rpartition(":")[2] or last
    suffix = next((one for one in _SUFFIXES if last.endswith(one)), "")
    return last.removesuffix(suffix)
