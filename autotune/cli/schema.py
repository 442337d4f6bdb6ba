"""`autotune schema`: the JSON Schema of the tuned file."""

import typer


def schema() -> None:
    """Print the JSON Schema of model.autotune.json."""
    from autotune.config_file import SCHEMA_PATH

    typer.echo(SCHEMA_PATH.read_text(), nl=False)
