"""`autotune schema`: the JSON Schema of the tuned file, or of a fleet's."""

from typing import Annotated

import typer


def schema(
    fleet: Annotated[bool, typer.Option("--fleet", help="Of MODEL.fleet.json instead.")] = False,
) -> None:
    """Print the JSON Schema of model.autotune.json."""
    from autotune import config_file, fleet_file

    path = fleet_file.SCHEMA_PATH if fleet else config_file.SCHEMA_PATH
    typer.echo(path.read_text(), nl=False)
