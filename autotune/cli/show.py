"""`autotune show`: print a tuned file again."""

from typing import Annotated

import typer

from autotune.cli.options import FileArgument


def show(
    file: FileArgument,
    json: Annotated[bool, typer.Option("--json", help="Print the file itself.")] = False,
) -> None:
    """Print a tuned file as `autotune search` did."""
    from autotune import config_file

    tuned = config_file.read(file)
    if json:
        typer.echo(config_file.to_json(tuned), nl=False)
        return
    from autotune.cli.table import print_answer

    print_answer(tuned)
