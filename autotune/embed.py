"""The tuned file in a user's own server: its configuration, session options, or whole engine.

The one public door to the engine. The runtime is imported when it is first needed.
"""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from autotune import config_file, model_file
from autotune.config_file import PolicyEntry, Status, TunedFile
from autotune.errors import StaleError, UsageError
from autotune.present.answer import answer_page
from autotune.present.document import Document
from autotune.present.in_python import page_in_python, speaks_python
from autotune.present.shown import Shown
from autotune.spec import ServingConfig
from autotune.stale import stale_because

if TYPE_CHECKING:
    import onnxruntime
    import pandas as pd

    from autotune.engine.follow import Level
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
    tuned = Tuned(config_file.read(Path(path)), stale, Path(path))
    if stale != "ignore":
        located = None if model is None else model_file.locate(os.fspath(model))
        reasons = stale_because(tuned.file, located)
        if reasons:
            _say_stale(f"{path}: {'; '.join(reasons)}: search again", stale)
    return tuned


class Tuned(Shown):
    """A tuned file in use: what `search` returns and `load` reads.

    `print(tuned)` shows the answer, a notebook shows it as a table.
    """

    def __init__(self, file: TunedFile, stale: Stale = "warn", path: Path | None = None) -> None:
        """Wrap the records of a file.

        Args:
            file: the records.
            stale: what to do about a load or a model that it was not made for.
            path: where it lies; None: nowhere yet.
        """
        self.file = file
        """Everything that the file holds, as plain frozen records."""
        self.path = path
        """Where it was read or written; None: nowhere yet."""
        self._stale = stale

    @property
    def status(self) -> Status:
        """`"complete"`, `"slo_not_met"` or `"interrupted"`."""
        return self.file.status

    @property
    def exit_code(self) -> int:
        """What `autotune search` exits with: 0 complete, 1 SLO not met, 130 interrupted."""
        return {"complete": 0, "slo_not_met": 1, "interrupted": 130}[self.status]

    def __repr__(self) -> str:
        """The answer in one line."""
        file, top = self.file, self.file.policy[-1]
        return (
            f"<autotune.Tuned: {file.model.name}, {file.slo}, {file.recommended.describe()} "
            f"recommended, {len(file.policy)} loads up to {top.load_rps:g} requests/s, "
            f"{file.status}>"
        )

    def _page(self, wide: bool) -> Document:
        return page_in_python(answer_page(self.file, with_intervals=wide))

    def to_json(self) -> str:
        """Return the text of the file."""
        return config_file.to_json(self.file)

    @speaks_python
    def save(self, output: str | os.PathLike[str]) -> Path:
        """Write the file, whole or not at all; return where.

        Raises:
            UsageError: the place cannot be written, or holds something else than a tuned file.
        """
        path = Path(output)
        config_file.check_writable(path)
        config_file.write(path, self.file)
        self.path = path
        return path

    @speaks_python
    def report(self, output: str | os.PathLike[str]) -> Path:
        """Write one HTML page that needs no network: pictures, facts and every trial.

        Raises:
            UsageError: the place cannot be written.
        """
        from autotune.reports.page import page
        from autotune.reports.writing import write_report

        return write_report(Path(output), page(self.file).encode())

    def to_pandas(self) -> "pd.DataFrame":
        """Return the policy as a table, a row for each load."""
        from autotune.frames import policy_frame

        return policy_frame(self.file)

    def trials(self) -> "pd.DataFrame":
        """Return every measurement as a table, a row each, in the order in which they ended."""
        from autotune.frames import trials_frame

        return trials_frame(self.file)

    def front(self) -> "pd.DataFrame":
        """Return the configurations that no other beats in load, cores and CPU time at once."""
        from autotune.frames import front_frame

        return front_frame(self.file)

    def trade_offs(self) -> "pd.DataFrame":
        """Return, by load, what no other beats in latency, energy and cores per request at once."""
        from autotune.frames import trade_offs_frame

        return trade_offs_frame(self.file)

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
            "search again for that load",
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

    @speaks_python
    def open(
        self,
        model: str | os.PathLike[str],
        load_rps: float | None = None,
        trust_pickle: bool = False,
        *,
        max_queued: int = 1024,
        follow: bool = False,
    ) -> "LiveEngine":
        """Load the model's replicas and start serving: `submit(inputs) -> Future`.

        Args:
            model: a path, `package:file` or `package.module:function` as on the command line.
            load_rps: the load to serve; None: the recommended configuration. With `follow`, only
                what to begin with.
            trust_pickle: load a pickled torch module, which runs code that the file names.
            max_queued: as many requests may wait; `submit` rejects others with QueueFullError.
                A queue is worth having as long as its end is still answered in time: latency
                allowed x requests/s served.
            follow: change to the policy's configuration for the load as it is, whenever that
                changes; see `autotune.engine.follow.Rule`. Sessions are opened beside those that
                serve, of which the last used stay open, so memory for two is needed.

        Raises:
            ModelError: the model cannot be found or loaded.
            UsageError: this process was not started as the configuration needs it (with `follow`,
                any of the policy), `max_queued` is not at least 1, or with `follow` the model does
                not take the requests that the file was made with.

        Warns:
            StaleWarning: it is not the model that was tuned.
        """
        from autotune.engine.live import Admission, LiveEngine
        from autotune.given import make_model
        from autotune.models.live_replicas import LiveReplicas, open_following
        from autotune.promise import loading_of, request_shapes

        if max_queued < 1:
            raise UsageError(f"max_queued={max_queued}: must be at least 1")
        loading = loading_of(self.file, trust_pickle)
        spec = make_model(os.fspath(model), request_shapes(self.file), None, None, 0, loading)
        path = Path(spec.path)
        if self._stale != "ignore" and model_file.sha256(path) != self.file.model.sha256:
            text = f"{path}: is not the model that was tuned ({self.file.model.name})"
            _say_stale(text, self._stale)
        config, following = self.config(load_rps), None
        if follow:
            levels = levels_of(self.file.policy)
            start = _level_of(levels, config, load_rps)
            for level in levels:
                _demand_environment(level.config, self.file.runtime)
            config = levels[start].config
            replicas, following = open_following(spec, levels, start)
        else:
            _demand_environment(config, self.file.runtime)
            replicas = LiveReplicas(spec, config.session_shape)
        infers, upkeep = replicas.prepared
        return LiveEngine(
            infers,
            config.max_batch_size,
            config.batch_timeout_ms / 1000,
            Admission(max_queued, replicas.names),
            upkeep,
            following,
        )


def levels_of(policy: Sequence[PolicyEntry]) -> "list[Level]":
    """Return the policy with each configuration once: up to the highest load in a row it is for."""
    from autotune.engine.follow import Level

    levels = [Level(entry.load_rps, entry.config) for entry in policy]
    return [
        one
        for one, above in zip(levels, [*levels[1:], None], strict=True)
        if above is None or above.config != one.config
    ]


def _level_of(levels: "Sequence[Level]", config: ServingConfig, load_rps: float | None) -> int:
    """Return the position of the level for a load; of the highest with `config` where none is."""
    from autotune.engine.follow import level_for

    if load_rps is not None:
        return level_for(levels, load_rps)
    places = [place for place, level in enumerate(levels) if level.config == config]
    return places[-1] if places else len(levels) - 1


def _say_stale(text: str, stale: Stale) -> None:
    if stale == "error":
        raise StaleError(text)
    if stale == "warn":
        warnings.warn(text, StaleWarning, stacklevel=3)


def _demand_environment(config: ServingConfig, runtime: str) -> None:
    """Refuse what this process cannot do any more: a runtime reads some things when it is loaded.

    Raises:
        UsageError: a variable is not set as the configuration needs it.
    """
    from autotune.runtime_environment import environment_of, is_torch

    if config.replicas_as == "processes":  # which are started as they need it
        return
    needed = environment_of(is_torch(runtime), config.session_shape)
    missing = [f"{name}={value}" for name, value in needed.items() if os.environ.get(name) != value]
    if missing:
        raise UsageError(
            f"{config.describe()}: start Python with {' '.join(missing)} in its environment"
        )
