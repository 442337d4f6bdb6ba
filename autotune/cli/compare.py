"""`autotune compare`: two tuned files, what changed, and whether it is more than noise."""

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli import completions
from autotune.cli.options import CsvOption, JsonOption
from autotune.cli.show import demand_one


def compare(
    a: Annotated[
        Path,
        typer.Argument(
            metavar="A",
            help="A file that `autotune search` wrote.",
            autocompletion=completions.tuned_files,
        ),
    ],
    b: Annotated[
        Path,
        typer.Argument(
            metavar="B", help="Another, to hold against it.", autocompletion=completions.tuned_files
        ),
    ],
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """Say what changed from one tuned file to another, and whether it is more than noise.

    Before and after, two versions of a model, two machines. Latencies are compared where both
    files measured at the same load, answers at all loads. Where arrivals or requests are not the
    same, nothing is compared.
    """
    from autotune import config_file, tabular
    from autotune.comparison.files import compare_files

    demand_one(json, csv)
    found = compare_files(config_file.read(a), config_file.read(b))
    if json:
        typer.echo(tabular.to_json(found), nl=False)
    elif csv:
        from autotune import rows

        typer.echo(tabular.to_csv(rows.comparison_rows(found), rows.COMPARISON), nl=False)
    else:
        from autotune.cli.page import print_page
        from autotune.present.compared import comparison_page

        print_page(comparison_page(found, (str(a), str(b))))
