"""A check as a person reads it: verdict first, then the evidence."""

from rich.console import Console
from rich.table import Table

from autotune.cli.ci import SAYS
from autotune.records import Percentile, Summary
from autotune.stages.gate import GateReport, NoiseFloor
from autotune.units import format_ms, format_percent, format_rps

_STYLES = {"holds": "bold green", "undecided": "bold yellow"}


def print_gate(report: GateReport) -> None:
    """Print the verdict, why, what to do, and the numbers."""
    console = Console(highlight=False, soft_wrap=False)

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, markup=False)

    say(
        f"{report.model} at {format_rps(report.load_rps)} requests/s, SLO {report.slo}, "
        f"{report.config.describe()}, {report.machine.cores_usable} usable cores, "
        f"{report.runtime}",
        "dim",
    )
    style = _STYLES.get(report.answer, "bold red")
    word = SAYS[report.answer]
    say(f"{word[0].upper()}{word[1:]}: {'; '.join(report.reasons)}", style)
    for text in report.next_steps:
        say(f"-> {text}")
    for text in report.notes:
        say(f"note: {text}")
    console.print()
    console.print(_table(report))
    console.print()
    for text in _evidence(report):
        say(text, "dim")


def _table(report: GateReport) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("")
    for name in ("p50 ms", "p95 ms", f"p{report.slo.percentile:g} ms", "in SLO", "CPU ms"):
        table.add_column(name, justify="right", no_wrap=True)
    if report.promised is not None:
        table.add_row("in the file", *_cells(report.promised), style="dim")
    table.add_row("now", *_cells(report.measured))
    if report.default is not None:
        table.add_row("runtime default", *_cells(report.default), style="dim")
    return table


def _cells(one: Summary) -> list[str]:
    return [
        _value(one.p50),
        _value(one.p95),
        _value(one.objective),
        f"{format_percent(one.slo_attainment)} %",
        format_ms(1e3 * one.cpu_s_per_request),
    ]


def _value(one: Percentile) -> str:
    return format_ms(one.value_ms) if one.value_ms is not None else "lost"


def _evidence(report: GateReport) -> list[str]:
    lines = []
    if report.execution is not None:
        one = report.execution
        lines.append(
            f"One execution: {one.now_ms:.3g} ms of CPU time, {one.file_ms:.3g} ms in the file: "
            f"x{one.ratio:.2f} [{one.low:.2f}-{one.high:.2f}]; the machine itself: "
            f"x{one.machine_ratio:.2f}."
        )
    lines.append(f"Noise floor, it against itself: {_ratio(report.noise_floor)}.")
    if report.against_default is not None:
        lines.append(f"Against the runtime's default: {_ratio(report.against_default)}.")
    for clause in report.measured.disturbed:
        lines.append(f"Disturbed: {clause}.")
    lines.append(
        f"{report.measured.requests:,} requests in {report.rounds} rounds, {report.seconds:.0f} s."
    )
    return lines


def _ratio(floor: NoiseFloor) -> str:
    if floor.ratio is None:
        return f"p{floor.percentile:.4g} cannot be compared, requests were lost"
    bounds = f" [{floor.low:.2f}-{floor.high:.2f}]" if floor.low and floor.high else ""
    return f"p{floor.percentile:.4g} x{floor.ratio:.2f}{bounds}"
