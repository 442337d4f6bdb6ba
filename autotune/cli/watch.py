"""`autotune watch`: does the deployed policy still fit what is observed?"""

from pathlib import Path
from typing import Annotated

import typer

from autotune.cli.exit_codes import WATCHED
from autotune.cli.options import FileArgument, JsonOption
from autotune.units import parse_share


def watch(
    file: FileArgument,
    observed: Annotated[
        Path,
        typer.Option(
            metavar="CSV",
            help="Requests in order of arrival: arrived_s (seconds, or ISO 8601) and latency_ms "
            "(empty, inf or lost where there was no answer), by header or as the first columns.",
        ),
    ],
    false_alarms: Annotated[
        str,
        typer.Option(
            metavar="SHARE", help="Chance of any false alarm in the whole record, at most."
        ),
    ] = "1%",
    tolerance: Annotated[
        str,
        typer.Option(
            metavar="SHARE",
            help="Latencies and loads may be so much above what the file promises.",
        ),
    ] = "10%",
    json: JsonOption = False,
) -> int:
    """Say whether a deployed policy still fits what is observed, and what to measure again.

    Nothing is measured: requests that a service logged are held against the file. The policy is
    taken to be in use as the file has it, each configuration up to its load.
    """
    from autotune import config_file
    from autotune.drift.judge import Watched, judge
    from autotune.observed import read_observed

    tuned = config_file.read(file)
    report = judge(
        Watched(
            tuned=tuned,
            file=str(file),
            observed=read_observed(observed, "--observed"),
            source=str(observed),
            false_alarms=parse_share(false_alarms, "--false-alarms"),
            tolerance=parse_share(tolerance, "--tolerance"),
        )
    )
    if json:
        from autotune.tabular import to_json

        typer.echo(to_json(report), nl=False)
    else:
        from autotune.cli.page import print_page
        from autotune.present.watched import watched_page

        print_page(watched_page(report, tuned))
    return WATCHED[report.answer]
