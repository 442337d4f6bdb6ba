"""`autotune export`: a tuned file -> files in a server's own words."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli import completions
from autotune.cli.options import LoadOption
from autotune.cli.promise import entry_for
from autotune.errors import UsageError

if TYPE_CHECKING:
    from autotune.exports.exporters import Export


def export(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="A file that `autotune search` wrote.",
            autocompletion=completions.tuned_files,
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="SERVER", help="The server; see --list.", autocompletion=completions.servers
        ),
    ] = None,
    load: LoadOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The model that the server shall load, as named for `search`.",
            autocompletion=completions.models,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FOLDER", help="Folder to write. [default: MODEL-SERVER]"
        ),
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
    from autotune.exports.exporters import EXPORTERS

    if list:
        from autotune.cli.page import print_page
        from autotune.present.exported import servers_page

        print_page(servers_page(EXPORTERS))
        return
    if file is None or to is None:
        raise UsageError("say what and to which server: autotune export FILE --to SERVER")
    from autotune import config_file
    from autotune.exports.exporters import export as render
    from autotune.exports.exporters import exporter
    from autotune.exports.tuned import deployment_of, entry_to_deploy, model_to_deploy

    exporter(to)
    tuned = config_file.read(file)
    path = model_to_deploy(tuned, model)
    entry = entry_to_deploy(tuned) if load is None else entry_for(tuned, load, file)
    deployment = deployment_of(tuned, entry, path)
    exported = render(to, deployment)
    folder = output or Path(f"{deployment.name}-{to}")
    exported.deliver(folder, force)
    typer.echo(
        f"{deployment.config.describe()}, for up to {deployment.load_rps:g} requests/s, "
        f"{deployment.slo}"
    )
    _tell(folder, exported)


def _tell(folder: Path, exported: "Export") -> None:
    from autotune.cli.foreign import clean

    for name in exported.files:
        typer.echo(f"  {clean(str(folder / name))}")
    for text in exported.not_carried:
        typer.echo(clean(f"not carried: {text}"))
    typer.echo(clean(f"next, in {folder}:"))
    for text in exported.next_steps:
        typer.echo(f"  {clean(text)}")
