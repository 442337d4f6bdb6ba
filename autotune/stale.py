"""Whether a tuned file still speaks of this model, this machine and this runtime."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from autotune import model_file
from autotune.config_file import TunedFile
from autotune.probes.machine import Machine, this_machine

_MACHINE = {
    "cpu": "CPU",
    "architecture": "architecture",
    "cores_usable": "usable cores",
    "cpu_quota": "CPU quota",
    "gpus": "GPUs",
}
_RUNTIMES = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"),
    "torch": ("torch",),
}
"""Packages that bring a runtime."""


def stale_because(tuned: TunedFile, model: Path | None = None) -> list[str]:
    """Return a clause for each thing that differs from what the file was made for; none: it holds.

    Args:
        tuned: the file.
        model: the model that it is used for; None: not compared.

    Raises:
        OSError: the model cannot be read.
    """
    reasons = []
    if model is not None and model_file.sha256(model) != tuned.model.sha256:
        reasons.append(f"{model}: is not the model that was tuned ({tuned.model.name})")
    return reasons + _machine_changes(tuned.machine) + _runtime_changes(tuned.runtime)


def _machine_changes(there: Machine) -> list[str]:
    here = this_machine(with_gpus=bool(there.gpus))
    return [
        f"tuned with {name} {getattr(there, field)}, here it is {getattr(here, field)}"
        for field, name in _MACHINE.items()
        if getattr(here, field) != getattr(there, field)
    ]


def _runtime_changes(there: str) -> list[str]:
    name, _, tuned_with = there.partition(" ")
    for package in _RUNTIMES.get(name, ()):
        try:
            installed = version(package)
        except PackageNotFoundError:
            continue
        if installed != tuned_with:
            return [f"tuned with {there}, here it is {package} {installed}"]
        return []
    return []  # no runtime here: whatever loads the file runs the model elsewhere
