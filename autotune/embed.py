"""The tuned file in a user's own server: its configuration, session options, or whole engine.

The one public door to the engine. The runtime is imported when it is first needed.
"""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from autotune import config_file, model_file
from autotune.config_file import TunedFile
from autotune.probes.machine import this_machine
from autotune.spec import ServingConfig

if TYPE_CHECKING:
    import onnxruntime

    from autotune.engine.live import LiveEngine


class StaleWarning(UserWarning):
    """The file was made for another model, machine or load than it is used for."""


def load(path: str | os.PathLike[str]) -> "Tuned":
    """Read a tuned file; warns where this machine differs from the one it was made on.

    Raises:
        ConfigFileError: it cannot be read, or is no tuned file of a known version.

    Warns:
        StaleWarning: another machine.
    """
    tuned = Tuned(config_file.read(Path(path)))
    here, there = this_machine(), tuned.file.machine
    for field in ("cpu", "cores_usable", "cpu_quota"):
        if getattr(here, field) != getattr(there, field):
            _warn_stale(
                f"{path}: tuned with {field} = {getattr(there, field)}, "
                f"here it is {getattr(here, field)}: search again on this machine"
            )
    return tuned


class Tuned:
    """A tuned file in use."""

    def __init__(self, file: TunedFile) -> None:
        """Wrap a file that was read."""
        self.file = file

    def config(self, load_rps: float | None = None) -> ServingConfig:
        """Return the configuration for a load in requests/s; without one, the recommended.

        The policy's entry is the lowest whose load is at least `load_rps`; above the highest
        load that was answered for, the highest entry's, with a warning.

        Warns:
            StaleWarning: the load is above all that were answered for.
        """
        if load_rps is None:
            return self.file.recommended
        for entry in self.file.policy:
            if load_rps <= entry.load_rps:
                return entry.config
        top = self.file.policy[-1]
        _warn_stale(
            f"{load_rps:g} requests/s is above the highest load tuned for ({top.load_rps:g}): "
            "search again with --load"
        )
        return top.config

    def session_options(self, load_rps: float | None = None) -> "onnxruntime.SessionOptions":
        """Return ONNX Runtime's options for one replica of `config(load_rps)`.

        Replicas and batching are not options of a session: see `config`, or use `open`.
        """
        from autotune.models.onnx_model import session_options

        return session_options(self.config(load_rps).session_shape)

    def open(self, model: str | os.PathLike[str], load_rps: float | None = None) -> "LiveEngine":
        """Load the model's replicas and start serving: `submit(inputs) -> Future`.

        Args:
            model: a path, or `package:file` as on the command line.
            load_rps: the load to serve; None: the recommended configuration.

        Raises:
            ModelError: the model cannot be found or loaded.

        Warns:
            StaleWarning: it is not the model that was tuned.
        """
        from autotune.engine.live import LiveEngine
        from autotune.models.onnx_model import as_infer, open_session

        path = model_file.locate(os.fspath(model))
        if model_file.sha256(path) != self.file.model.sha256:
            _warn_stale(f"{path}: is not the model that was tuned ({self.file.model.name})")
        config = self.config(load_rps)
        infers = [
            as_infer(open_session(str(path), config.session_shape)) for _ in range(config.replicas)
        ]
        return LiveEngine(infers, config.max_batch_size, config.batch_timeout_ms / 1000)


def _warn_stale(text: str) -> None:
    warnings.warn(text, StaleWarning, stacklevel=3)
