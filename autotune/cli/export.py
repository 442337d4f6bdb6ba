"""`autotune export`: a tuned file -> files in a server's own words."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli.options import LoadOption
from autotune.cli.promise import entry_for
from autotune.errors import UsageError

if TYPE_CHECKING:
    from autotune.export.exporters import Export


def export(
    file: Annotated[
        Path | None, typer.Argument(help="A file that `autotune search` wrote.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="The server; see --list.")] = None,
    load: LoadOption = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model that the server shall load, as named for `search`."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder to write. [default: MODEL-SERVER]"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files of the same names.")
    ] = False,
    list: Annotated[
        bool, typer.Option("--list", help="Show which server carries which knob, and how.")
    ] = False,
) -> None:
    """Write a tuned configuration in a server's own words.

    Without --load it is the one that the file recommends. What the server cannot express is said.
    """
    from autotune.export.exporters import EXPORTERS

    if list:
        from autotune.cli.export_table import print_servers

        print_servers(EXPORTERS)
        return
    if file is None or to is None:
        raise UsageError("say what and to which server: autotune export FILE --to SERVER")
    from autotune import config_file, model_file
    from autotune.export.exporters import export as render
    from autotune.export.exporters import exporter
    from autotune.export.tuned import deployment_of, entry_to_deploy

    exporter(to)
    tuned = config_file.read(file)
    path = model_file.locate(model) if model is not None else None
    if path is not None and model_file.sha256(path) != tuned.model.sha256:
        raise UsageError(f"--model {model}: is not the model that was tuned ({tuned.model.name})")
    entry = entry_to_deploy(tuned) if load is None else entry_for(tuned, load, file)
    deployment = deployment_of(tuned, entry, path)
    exported = render(to, deployment)
    folder = output or Path(f"{deployment.name}-{to}")
    _write(folder, exported, force)
    typer.echo(
        f"{deployment.config.describe()}, for up to {deployment.load_rps:g} requests/s, "
        f"{deployment.slo}"
    )
    _tell(folder, exported)


def _write(folder: Path, exported: "Export", force: bool) -> None:
    """Write an export into a folder.

    Raises:
        UsageError: files of these names are there and shall not be replaced, or the folder
            cannot be written; nothing is written then.
    """
    there = sorted(name for name in exported.files if (folder / name).exists())
    if there and not force:
        raise UsageError(
            f"-o {folder}: holds {', '.join(there)} already: name another folder, or replace "
            "with --force"
        )
    try:
        exported.write_to(folder)
    except OSError as error:
        raise UsageError(f"-o {folder}: cannot be written: {error.strerror}") from None


def _tell(folder: Path, exported: "Export") -> None:
    for name in exported.files:
        typer.echo(f"  {folder / name}")
    for text in exported.not_carried:
        typer.echo(f"not carried: {text}")
    typer.echo(f"next, in {folder}:")
    for text in exported.next_steps:
        typer.echo(f"  {text}")
