"""`autotune doctor`: say what about this machine will spoil measurements."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from autotune.doctor.finding import Finding

_STYLES = {"spoils": "red", "note": "yellow", "unknown": "dim", "ok": "green"}


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the findings alone.")] = False,
) -> int:
    """Say what about this machine will spoil measurements, and what to do about it."""
    from autotune.doctor.examine import examine

    findings = examine()
    if json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(findings), indent=2).decode())
    else:
        print_findings(findings)
    return int(any(one.level == "spoils" for one in findings))


def print_findings(findings: "list[Finding]") -> None:
    """Print a table of the findings and the sentence that sums them up."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from autotune.doctor.finding import verdict

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("level", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("found, and what to do")
    for one in findings:
        table.add_row(one.level, one.check, escape(one.found), style=_STYLES[one.level])
        if one.remedy:
            table.add_row("", "", escape(f"-> {one.remedy}"))
    console = Console(highlight=False, soft_wrap=False)
    console.print(table)
    console.print()
    console.print(verdict(findings), style="bold", markup=False)
