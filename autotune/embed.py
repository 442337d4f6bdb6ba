"""The tuned file in a user's own server: its configuration, session options, or whole engine.

The one public door to the engine. The runtime is imported when it is first needed.
"""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from autotune import config_file, model_file
from autotune.config_file import TunedFile
from autotune.errors import StaleError
from autotune.spec import ServingConfig
from autotune.stale import stale_because

if TYPE_CHECKING:
    import onnxruntime

    from autotune.engine.live import LiveEngine


class StaleWarning(UserWarning):
    """The file was made for another model, machine, runtime or load than it is used for."""


Stale = Literal["warn", "error", "ignore"]


def load(
    path: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    stale: Stale = "warn",
) -> "Tuned":
    """Read a tuned file and compare it with this machine and runtime, and with the model.

    Args:
        path: the file.
        model: a path, or `package:file` as on the command line; None: `Tuned.open` compares it.
        stale: what to do about a file that was made for others.

    Raises:
        ConfigFileError: it cannot be read, or is no tuned file of a known version.
        ModelError: there is no such model.
        StaleError: it was made for others, with `stale="error"`.

    Warns:
        StaleWarning: it was made for others, with `stale="warn"`.
    """
    tuned = Tuned(config_file.read(Path(path)), stale)
    if stale != "ignore":
        located = None if model is None else model_file.locate(os.fspath(model))
        reasons = stale_because(tuned.file, located)
        if reasons:
            _say_stale(f"{path}: {'; '.join(reasons)}: search again", stale)
    return tuned


class Tuned:
    """A tuned file in use."""

    def __init__(self, file: TunedFile, stale: Stale = "warn") -> None:
        """Wrap a file that was read."""
        self.file = file
        self._stale = stale

    def config(self, load_rps: float | None = None) -> ServingConfig:
        """Return the configuration for a load in requests/s; without one, the recommended.

        The policy's entry is the lowest whose load is at least `load_rps`; above the highest
        load that was answered for, the highest entry's, with a warning.

        Warns:
            StaleWarning: the load is above all that were answered for (an error or nothing, as
                `load` was told).
        """
        if load_rps is None:
            return self.file.recommended
        entry = self.file.entry_for(load_rps)
        if entry is not None:
            return entry.config
        top = self.file.policy[-1]
        _say_stale(
            f"{load_rps:g} requests/s is above the highest load tuned for ({top.load_rps:g}): "
            "search again with --load",
            self._stale,
        )
        return top.config

    def session_options(self, load_rps: float | None = None) -> "onnxruntime.SessionOptions":
        """Return ONNX Runtime's options for one replica of `config(load_rps)`.

        Replicas and batching are not options of a session: see `config`, or use `open`.
        """
        from autotune.models.onnx_model import session_options

        return session_options(self.config(load_rps).session_shape)

    def lit_api_kwargs(self, load_rps: float | None = None) -> dict[str, Any]:
        """Return the arguments of LitServe's `LitAPI(...)` for `config(load_rps)`."""
        config = self.config(load_rps)
        return {
            "max_batch_size": config.max_batch_size,
            "batch_timeout": config.batch_timeout_ms / 1000,
        }

    def lit_server_kwargs(self, load_rps: float | None = None) -> dict[str, Any]:
        """Return those of `LitServer(api, ...)`; `setup` opens a session with `session_options`."""
        return {"accelerator": "cpu", "workers_per_device": self.config(load_rps).replicas}

    def ray_deployment_kwargs(self, load_rps: float | None = None) -> dict[str, Any]:
        """Return the arguments of Ray's `@serve.deployment(...)` for `config(load_rps)`."""
        return {"num_replicas": self.config(load_rps).replicas}

    def ray_batch_kwargs(self, load_rps: float | None = None) -> dict[str, Any]:
        """Return those of `@serve.batch(...)`."""
        config = self.config(load_rps)
        return {
            "max_batch_size": config.max_batch_size,
            "batch_wait_timeout_s": config.batch_timeout_ms / 1000,
        }

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
        if self._stale != "ignore" and model_file.sha256(path) != self.file.model.sha256:
            text = f"{path}: is not the model that was tuned ({self.file.model.name})"
            _say_stale(text, self._stale)
        config = self.config(load_rps)
        infers = [
            as_infer(open_session(str(path), config.session_shape)) for _ in range(config.replicas)
        ]
        return LiveEngine(infers, config.max_batch_size, config.batch_timeout_ms / 1000)


def _say_stale(text: str, stale: Stale) -> None:
    if stale == "error":
        raise StaleError(text)
    if stale == "warn":
        warnings.warn(text, StaleWarning, stacklevel=3)
