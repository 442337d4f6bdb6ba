"""What a fleet's search found: machine types beside each other."""

from collections.abc import Iterator

from autotune.config_file import PolicyEntry
from autotune.fleet_file import FleetFile, MachineResult
from autotune.present.cells import as_tone, cpu_ms, met, value
from autotune.present.document import BLANK, Column, Document, Line, Row, Table
from autotune.tabular import printable
from autotune.units import format_ms, format_rps

_WORDS = {
    "complete": "complete",
    "slo_not_met": "SLO not met",
    "interrupted": "interrupted",
    "missing": "missing",
}


def types_page(fleet: FleetFile) -> Document:
    """Return the types with what is best at each load, what is missing, and the sentence."""
    return [
        _table(fleet),
        Line(_legend(fleet), "dim"),
        *_remarks(fleet),
        BLANK,
        Line(fleet.summary, "strong"),
    ]


def capacity_rps(machine: MachineResult) -> float | None:
    """Return the highest load that was measured to meet the SLO; None: none was."""
    policy = [] if machine.tuned is None else machine.tuned.policy
    met = (one.load_rps for one in policy if one.meets_slo and one.measured is not None)
    return max(met, default=None)


def _table(fleet: FleetFile) -> Table:
    columns = (
        Column("machine type", right=False, wraps=True),
        Column("capacity"),
        Column("load"),
        Column("configuration", right=False, wraps=True),
        Column(f"p{fleet.slo.percentile:g} ms"),
        Column("CPU ms", spare=1),
        Column("SLO", right=False),
    )
    return Table(columns, [row for one in fleet.machines for row in _rows(one)])


def _rows(machine: MachineResult) -> Iterator[Row]:
    name = printable(machine.type) + (" *" if machine.disturbed else "")
    if machine.tuned is None:
        yield Row([name, "-", "-", "missing", "-", "-", "-"], "bad")
        return
    capacity = capacity_rps(machine)
    first = [name, "none" if capacity is None else f"{format_rps(capacity)}/s"]
    for entry in machine.tuned.policy:
        yield Row([*first, *_cells(entry)], as_tone(entry.meets_slo))
        first = ["", ""]


def _cells(entry: PolicyEntry) -> list[str]:
    load, name = f"{format_rps(entry.load_rps)}/s", entry.config.describe()
    seen = entry.measured
    if seen is None:
        return [load, name, f"~{format_ms(entry.predicted_ms)}", "-", "predicted"]
    return [load, name, value(seen.objective), cpu_ms(seen), met(seen)]


def _legend(fleet: FleetFile) -> str:
    mark = " *: disturbed, see below." if any(one.disturbed for one in fleet.machines) else ""
    return (
        f"{printable(fleet.model)}, SLO {fleet.slo}, arrivals {fleet.arrivals}. Capacity: the "
        "highest load measured to meet the SLO. met/missed: proven at 95 %; with ?: the estimate "
        f"only. CPU ms: per request.{mark}"
    )


def _remarks(fleet: FleetFile) -> Iterator[Line]:
    for one in fleet.machines:
        name = printable(one.type)
        if one.reason is not None:
            yield Line(f"{name} is {_WORDS[one.status]}: {printable(one.reason)}.", "bad")
        for note in one.notes:
            yield Line(f"{name}: {printable(note)}.", "doubt")
        if one.disturbed is not None:
            yield Line(f"{name}: its answer is disturbed: {printable(one.disturbed)}.", "doubt")
