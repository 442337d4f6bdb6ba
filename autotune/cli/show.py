"""`autotune show`: print a tuned file again, or its tables."""

from typing import TYPE_CHECKING, Annotated

import typer

from autotune.cli.options import OUTPUT, CsvOption, FileArgument, TrialsOption
from autotune.errors import UsageError

if TYPE_CHECKING:
    from autotune.config_file import TunedFile


def show(
    file: FileArgument,
    trials: TrialsOption = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the file itself.", rich_help_panel=OUTPUT)
    ] = False,
    csv: CsvOption = False,
) -> None:
    """Print a tuned file as `autotune search` did, or as tables.

    As CSV, the policy has two rows a load: the configuration chosen and the runtime's default. Of
    a file for several machine types or models, all are shown; `FILE#NAME` is one of them.
    """
    from autotune import config_file, fleet_file, tabular
    from autotune.cli.fleet import print_fleet
    from autotune.cli.together import print_together
    from autotune.file_head import format_of
    from autotune.together import file as together_file

    demand_one(json, csv)
    kind = format_of(file)
    if kind in (fleet_file.FORMAT, together_file.FORMAT):
        if csv or trials:
            raise UsageError(f"{file}: holds several tuned files: name one, like {file}#NAME")
        if kind == together_file.FORMAT:
            return print_together(together_file.read(file), json)
        return print_fleet(fleet_file.read(file), json)
    tuned = config_file.read(file)
    if json:
        typer.echo(tabular.terminal_safe(config_file.to_json(tuned)), nl=False)
    elif csv:
        _print_csv(tuned, trials)
    elif trials:
        from autotune.cli.page import print_page
        from autotune.present.trials import trials_page

        print_page(trials_page(tuned))
    else:
        from autotune.cli.page import print_answer

        print_answer(tuned)


def demand_one(json: bool, csv: bool) -> None:
    """Refuse two formats at once.

    Raises:
        UsageError: both are asked for.
    """
    if json and csv:
        raise UsageError("--json and --csv both say how to print: give one of them")


def _print_csv(tuned: "TunedFile", trials: bool) -> None:
    from autotune import rows, tabular

    if trials:
        text = tabular.to_csv(rows.trial_rows(tuned), rows.TRIALS)
    else:
        text = tabular.to_csv(rows.policy_rows(tuned), rows.POLICY)
    typer.echo(text, nl=False)
