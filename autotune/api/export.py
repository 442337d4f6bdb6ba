"""`autotune.export`: a tuned file -> files in a server's own words."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from autotune.api import asked
from autotune.api.asked import PathLike
from autotune.embed import Tuned
from autotune.exports.deployment import Deployment, Exporter
from autotune.exports.exporters import EXPORTERS, Export, exporter
from autotune.exports.exporters import export as render
from autotune.exports.tuned import deployment_of, entry_to_deploy, model_to_deploy
from autotune.present.document import Document
from autotune.present.exported import export_page, servers_page
from autotune.present.in_python import speaks_python
from autotune.present.shown import Shown
from autotune.promise import entry_at

if TYPE_CHECKING:
    import pandas as pd


class ExportResult(Shown):
    """Files in a server's own words, what these cannot express, and what to do with them."""

    def __init__(self, server: str, deployment: Deployment, exported: Export) -> None:
        """Hold an export."""
        self.server = server
        """As named for `export`."""
        self.deployment = deployment
        """What is exported: configuration, load, SLO, model."""
        self.files: dict[str, str] = exported.files
        """Relative path -> text."""
        self.not_carried: list[str] = exported.not_carried
        """What the server cannot express, a line each."""
        self.next_steps: list[str] = exported.next_steps
        """What to do with the files, a line each."""
        self.folder: Path | None = None
        """Where they were written; None: nowhere yet."""
        self._exported = exported

    @speaks_python
    def save(self, output: PathLike, *, force: bool = False) -> list[Path]:
        """Write the files below a folder, which is made where it is missing; return where.

        Raises:
            UsageError: files of these names are there and `force` is false, or the folder cannot
                be written.
        """
        folder = Path(asked.path(output, "output"))
        self._exported.deliver(folder, force)
        self.folder = folder
        return [folder / name for name in self.files]

    def to_pandas(self) -> "pd.DataFrame":
        """Return the knobs: the value of each, how the server carries it, and by what."""
        from autotune.api.frames import export_frame

        return export_frame(exporter(self.server), self.deployment)

    def __repr__(self) -> str:
        """The export in one line."""
        return (
            f"<autotune.ExportResult: {self.deployment.config.describe()} for {self.server}, "
            f"{len(self.files)} files, {len(self.not_carried)} knobs not carried>"
        )

    def _page(self, wide: bool) -> Document:
        return export_page(self.deployment, self._exported, self.folder)


class Servers(Shown):
    """The servers that a configuration can be exported to, and which knob each carries."""

    def __init__(self, exporters: Mapping[str, Exporter]) -> None:
        """Hold them by name."""
        self._exporters = exporters

    @property
    def names(self) -> list[str]:
        """What `export(to=...)` takes."""
        return list(self._exporters)

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each server and knob: how it is carried, and by what."""
        from autotune.api.frames import servers_frame

        return servers_frame(self._exporters)

    def __repr__(self) -> str:
        """The names."""
        return f"<autotune.Servers: {', '.join(self.names)}>"

    def _page(self, wide: bool) -> Document:
        return servers_page(self._exporters)


def list_servers() -> Servers:
    """Return which servers `export` knows, and which knob each carries.

    print(autotune.list_servers())
    """
    return Servers(EXPORTERS)


@speaks_python
def export(
    file: PathLike | Tuned,
    *,
    to: str,
    load_rps: float | None = None,
    model: PathLike | None = None,
    output: PathLike | None = None,
    force: bool = False,
) -> ExportResult:
    """Put a tuned configuration into a server's own words.

        exported = autotune.export("model.autotune.json", to="triton", output="repository")
        print(exported)  # what was written, what is not carried, what to do next

    Args:
        file: a tuned file, or what `search` or `load` returned.
        to: the server, one of `autotune.list_servers().names`.
        load_rps: the load to serve in requests/s; None: what the file recommends.
        model: the model that the server shall load, as named for `search`; None: files name a
            model beside them.
        output: the folder to write; None: nothing is written, see `ExportResult.save`.
        force: whether files of the same names may be replaced.

    Returns:
        The result; `files` are texts by name.

    Raises:
        ConfigFileError: the file cannot be read.
        UsageError: there is no such server, the load is above all that were tuned for, it is not
            the model that was tuned, or the folder cannot be written.
        ModelError: there is no such model.
    """
    exporter(to)
    tuned, name = asked.tuned_file(file)
    path = model_to_deploy(tuned, None if model is None else asked.path(model, "model"))
    entry = entry_to_deploy(tuned)
    if load_rps is not None:
        asked_rps = asked.load(load_rps, "load_rps")
        entry = entry_at(tuned, asked_rps, name, f"load_rps={load_rps!r}")
    deployment = deployment_of(tuned, entry, path)
    result = ExportResult(to, deployment, render(to, deployment))
    if output is not None:
        result.save(output, force=force)
    return result
