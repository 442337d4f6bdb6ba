"""`autotune doctor`: say what about this machine will spoil measurements."""

from typing import Annotated

import typer

from autotune.cli.exit_codes import ExitCode


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the findings alone.")] = False,
) -> int:
    """Say what about this machine will spoil measurements, and what to do about it."""
    from autotune.diagnosis.examine import examine
    from autotune.stages.traits import kept_traits

    findings = examine(kept_traits())
    if json:
        from autotune.tabular import to_json

        typer.echo(to_json(findings), nl=False)
    else:
        from autotune.cli.page import print_page
        from autotune.present.findings import findings_page

        print_page(findings_page(findings))
    spoilt = any(one.level == "spoils" for one in findings)
    return ExitCode.MISSED if spoilt else ExitCode.ANSWERED
