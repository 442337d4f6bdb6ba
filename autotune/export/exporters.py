"""All servers that a configuration can be exported to."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from autotune.errors import UsageError
from autotune.export.bentoml import BENTOML
from autotune.export.deployment import Deployment, Exporter, not_carried
from autotune.export.kserve import KSERVE
from autotune.export.litserve import LITSERVE
from autotune.export.mlserver import MLSERVER
from autotune.export.onnxruntime import ONNXRUNTIME
from autotune.export.openvino import OPENVINO
from autotune.export.rayserve import RAYSERVE
from autotune.export.tfserving import TFSERVING
from autotune.export.torchserve import TORCHSERVE
from autotune.export.triton import TRITON, TRITON_PYTHON

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
        raise UsageError(f"there is no server {name!r}: choose one of {', '.join(EXPORTERS)}")
    return EXPORTERS[name]


def export(name: str, deployment: Deployment) -> Export:
    """Return a configuration in the words of a server.

    Raises:
        UsageError: there is no server of this name.
    """
    one = exporter(name)
    return Export(one.files(deployment), not_carried(one, deployment), one.next_steps(deployment))
