"""All servers that a configuration can be exported to."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from autotune.errors import UsageError, did_you_mean
from autotune.exports.bentoml import BENTOML
from autotune.exports.deployment import Deployment, Exporter, not_carried
from autotune.exports.kserve import KSERVE
from autotune.exports.litserve import LITSERVE
from autotune.exports.mlserver import MLSERVER
from autotune.exports.onnxruntime import ONNXRUNTIME
from autotune.exports.openvino import OPENVINO
from autotune.exports.rayserve import RAYSERVE
from autotune.exports.tfserving import TFSERVING
from autotune.exports.torchserve import TORCHSERVE
from autotune.exports.triton import TRITON, TRITON_PYTHON

EXPORTERS: Mapping[str, Exporter] = {
    "onnxruntime": ONNXRUNTIME,
    "triton": TRITON,
    "triton-python": TRITON_PYTHON,
    "litserve": LITSERVE,
    "bentoml": BENTOML,
    "rayserve": RAYSERVE,
    "mlserver": MLSERVER,
    "tfserving": TFSERVING,
    "torchserve": TORCHSERVE,
    "kserve": KSERVE,
    "openvino": OPENVINO,
}


class Export(NamedTuple):
    """A configuration in a server's words."""

    files: dict[str, str]
    """Relative path -> text."""
    not_carried: list[str]
    """What the server cannot express, a line each."""
    next_steps: list[str]

    def deliver(self, folder: Path, force: bool) -> None:
        """Write the files below a person's folder.

        Raises:
            UsageError: files of these names are there and shall not be replaced, or the folder
                cannot be written; nothing is written then.
        """
        there = sorted(name for name in self.files if (folder / name).exists())
        if there and not force:
            raise UsageError(
                f"-o {folder}: holds {', '.join(there)} already: name another folder, or replace "
                "with --force"
            )
        try:
            self.write_to(folder)
        except OSError as error:
            raise UsageError(f"-o {folder}: cannot be written: {error.strerror}") from None

    def write_to(self, folder: Path) -> None:
        """Write the files below a folder, which is made where it is missing.

        Raises:
            OSError: one of them cannot be written.
        """
        for name, text in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def exporter(name: str) -> Exporter:
    """Return the exporter of a server.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in EXPORTERS:
        raise UsageError(
            f"there is no server {name!r}: choose one of {', '.join(EXPORTERS)}"
            f"{did_you_mean(name, EXPORTERS)}"
        )
    return EXPORTERS[name]


def export(name: str, deployment: Deployment) -> Export:
    """Return a configuration in the words of a server.

    Raises:
        UsageError: there is no server of this name, or it cannot run the model as it was tuned.
    """
    one = exporter(name)
    _demand_fit(one, deployment)
    return Export(one.files(deployment), not_carried(one, deployment), one.next_steps(deployment))


def _demand_fit(one: Exporter, deployment: Deployment) -> None:
    provider = deployment.config.provider
    if deployment.is_torch and not one.torch:
        fit = [name for name, other in EXPORTERS.items() if other.torch]
        what = "a torch model"
    elif provider not in one.providers:
        fit = [name for name, other in EXPORTERS.items() if provider in other.providers]
        what = f"the model with {provider}, as it was tuned"
    else:
        return
    raise UsageError(f"{one.title} cannot run {what}: export it to one of {', '.join(fit)}")
