"""The answer as a person reads it."""

from rich.console import Console
from rich.table import Table

from autotune.config_file import PolicyEntry, TunedFile
from autotune.records import Percentile, Summary
from autotune.spec import RUNTIME_DEFAULT
from autotune.units import format_ms, format_percent, format_rps

_NARROW = 100
"""Columns below which intervals move out of the table."""


def print_answer(tuned: TunedFile) -> None:
    """Print the policy beside the default, then the sentence."""
    console = Console(highlight=False, soft_wrap=False)
    console.print(_table(tuned, with_intervals=console.width >= _NARROW))
    console.print(_legend(tuned), style="dim")
    if tuned.status == "interrupted":
        console.print("Interrupted: this is the best so far, not a finished search.")
    for line in (_prediction(tuned), _front(tuned)):
        if line:
            console.print(line, style="dim", markup=False)
    if tuned.search.max_risk is not None:
        console.print(_caution(tuned), markup=False)
    console.print()
    console.print(tuned.summary, style="bold", markup=False)


def _table(tuned: TunedFile, with_intervals: bool) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("load", justify="right", no_wrap=True)
    table.add_column("configuration", min_width=16)
    for name in ("p50", "p95", "p99"):
        table.add_column(f"{name} ms", justify="right")
    table.add_column("in SLO", justify="right", no_wrap=True)
    table.add_column("CPU ms", justify="right", no_wrap=True)
    table.add_column("SLO", no_wrap=True)
    for entry in tuned.policy:
        _add_entry(table, entry, with_intervals)
    return table


def _add_entry(table: Table, entry: PolicyEntry, with_intervals: bool) -> None:
    load = f"{format_rps(entry.load_rps)}/s"
    name = entry.config.describe()
    if entry.measured is None:
        cells = ["-", "-", f"~{format_ms(entry.predicted_ms)}", "-", "-", "predicted"]
        table.add_row(load, name, *cells, style="green" if entry.meets_slo else "red")
        return
    style = "green" if entry.meets_slo else "red"
    table.add_row(load, name, *_cells(entry.measured, with_intervals), style=style)
    if entry.default is not None and entry.config != RUNTIME_DEFAULT:
        table.add_row("", "runtime default", *_cells(entry.default, with_intervals), style="dim")


def _cells(summary: Summary, with_intervals: bool) -> list[str]:
    return [
        _percentile(summary.p50, with_intervals),
        _percentile(summary.p95, with_intervals),
        _percentile(summary.p99, with_intervals),
        f"{format_percent(summary.slo_attainment)} %",
        format_ms(summary.cpu_s_per_request * 1e3),
        _slo(summary),
    ]


def _slo(summary: Summary) -> str:
    mark = " *" if summary.disturbed else ""
    if summary.diverged:
        return f"overload{mark}"
    if summary.slo_verdict == "undecided":
        return f"{'met?' if summary.meets_slo else 'missed?'}{mark}"
    return f"{summary.slo_verdict}{mark}"


def _percentile(one: Percentile, with_interval: bool) -> str:
    value = format_ms(one.value_ms) if one.value_ms is not None else "lost"
    if not with_interval or one.value_ms is None:
        return value
    low = format_ms(one.low_ms) if one.low_ms is not None else "0"
    return f"{value} [{low}-{format_ms(one.high_ms) if one.high_ms is not None else '?'}]"


def _legend(tuned: TunedFile) -> str:
    shown = [side for entry in tuned.policy for side in (entry.measured, entry.default) if side]
    spoilt = [clause for side in shown for clause in side.disturbed]
    mark = f" *: disturbed: {spoilt[0]}; see autotune doctor." if spoilt else ""
    return (
        f"{tuned.model.name}, SLO {tuned.slo}, arrivals {tuned.arrivals}, "
        f"{tuned.machine.cores_usable} usable cores, {tuned.runtime}. "
        "Brackets: 95 % interval, ? where the requests cannot bound it. "
        "met/missed: proven at 95 %; with ?: the estimate only. CPU ms: per request." + mark
    )


def _prediction(tuned: TunedFile) -> str:
    error = tuned.search.prediction
    if error is None or error.p50 is None or error.profile_only is None:
        return ""
    met, missed = error.capacity_met_rps, error.capacity_missed_rps
    capacity = f"met up to {format_rps(met)}/s" if met else "met at no load"
    capacity += f", missed at {format_rps(missed)}/s" if missed else ""
    return (
        f"Prediction, median factor off: p50 x{error.p50:.2f}, p{tuned.slo.percentile:g} "
        f"x{error.profile_only:.2f} by the profile alone and x{error.objective:.2f} as corrected "
        f"while measuring. Capacity: {format_rps(error.predicted_capacity_rps)}/s predicted; "
        f"{capacity}."
    )


def _front(tuned: TunedFile) -> str:
    """What may be traded: of each number of cores, what sustains most, and what costs least."""
    lines = [
        f"  {format_rps(one.load_rps)}/s: {one.config.describe()}, "
        f"{one.cores} core{'s' if one.cores > 1 else ''}, "
        f"{format_ms(one.cpu_s_per_request * 1e3)} CPU ms"
        for one in tuned.front
    ]
    if len(lines) < 2:
        return ""
    return "\n".join(["Measured within the SLO, and beaten by nothing else in all three:", *lines])


def _caution(tuned: TunedFile) -> str:
    count = tuned.search.violations
    measured = sum(trial.measured is not None for trial in tuned.trials)
    return (
        f"Safe: only what was predicted to miss the SLO with less than "
        f"{100 * (tuned.search.max_risk or 0):g} % chance was tried; {count} of {measured} "
        f"measurement{'s' if measured != 1 else ''} missed it."
    )
