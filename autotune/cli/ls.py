"""`autotune ls`: what has been measured here."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli.options import CsvOption, JsonOption, TrialsOption
from autotune.cli.show import demand_one

if TYPE_CHECKING:
    from autotune.catalogue import Catalogue
    from autotune.tabular import Columns, Row


def ls(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDER",
            help="Folders to look through, or tuned files. [default: this folder]",
            show_default=False,
        ),
    ] = None,
    trials: TrialsOption = False,
    json: JsonOption = False,
    csv: CsvOption = False,
) -> None:
    """List the tuned files here and in the folders below, the newest search first.

    Beneath folders, files whose names end with .autotune.json; hidden folders, virtual
    environments and installed packages are passed by.
    """
    from autotune.catalogue import catalogue
    from autotune.tabular import printable, to_csv, to_json

    demand_one(json, csv)
    places = folders or [Path()]
    found = catalogue(places)
    for problem in found.problems:
        typer.echo(f"warning: {printable(problem)}", err=True)
    if json or csv:
        rows, columns = _rows(found, trials)
        typer.echo(to_json(rows) if json else to_csv(rows, columns), nl=False)
    elif not found.files:
        where = ", ".join(map(str, places))
        typer.echo(
            f"no tuned file beneath {printable(where)}; `autotune search` writes one", err=True
        )
    else:
        from autotune.cli.page import print_page
        from autotune.present.catalogued import all_trials_page, catalogue_page

        print_page(all_trials_page(found) if trials else catalogue_page(found))


def _rows(found: "Catalogue", trials: bool) -> "tuple[list[Row], Columns]":
    from autotune import rows

    if not trials:
        return [rows.file_row(path, tuned) for path, tuned in found.files], rows.FILES
    return rows.all_trial_rows(found.files), rows.ALL_TRIALS
