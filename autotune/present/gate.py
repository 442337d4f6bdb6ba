"""A check as a page: verdict first, then the evidence."""

from autotune.present.cells import cpu_ms, share, value
from autotune.present.document import BLANK, Column, Document, Line, Row, Table, Tone
from autotune.records import Summary
from autotune.stages.gate import GateAnswer, GateReport, NoiseFloor
from autotune.units import format_cores, format_rps

SAYS: dict[GateAnswer, str] = {
    "holds": "holds",
    "slo_missed": "the SLO is missed",
    "regression": "regression against the file",
    "undecided": "undecided",
    "stale": "made for another model, machine or runtime",
}
_TONES: dict[GateAnswer, Tone] = {"holds": "good", "undecided": "doubt"}


def gate_page(report: GateReport) -> Document:
    """Return the verdict, why, what to do, and the numbers."""
    head = (
        f"{report.model} at {format_rps(report.load_rps)} requests/s, SLO {report.slo}, "
        f"{report.config.describe()}, {format_cores(report.machine.cores_usable)}, "
        f"{report.runtime}"
    )
    word = SAYS[report.answer]
    answer = f"{word[0].upper()}{word[1:]}: {'; '.join(report.reasons)}"
    return [
        Line(head, "dim"),
        Line(answer, _TONES.get(report.answer, "bad")),
        *(Line(f"-> {text}") for text in report.next_steps),
        *(Line(f"note: {text}") for text in report.notes),
        BLANK,
        _table(report),
        BLANK,
        *(Line(text, "dim") for text in _evidence(report)),
    ]


def _table(report: GateReport) -> Table:
    columns = (
        Column("", right=False),
        Column("p50 ms", spare=1),
        Column("p95 ms", spare=1),
        *map(Column, (f"p{report.slo.percentile:g} ms", "in SLO", "CPU ms")),
    )
    rows = [Row(["now", *_cells(report.measured)])]
    if report.promised is not None:
        rows.insert(0, Row(["in the file", *_cells(report.promised)], "dim"))
    if report.default is not None:
        rows.append(Row(["runtime default", *_cells(report.default)], "dim"))
    return Table(columns, rows)


def _cells(one: Summary) -> list[str]:
    percentiles = (one.p50, one.p95, one.objective)
    return [*map(value, percentiles), share(one.slo_attainment), cpu_ms(one)]


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
    lines += [f"Disturbed: {clause}." for clause in report.measured.disturbed]
    lines.append(
        f"{report.measured.requests:,} requests in {report.rounds} rounds, {report.seconds:.0f} s."
    )
    return lines


def _ratio(floor: NoiseFloor) -> str:
    if floor.ratio is None:
        return f"p{floor.percentile:.4g} cannot be compared, requests were lost"
    ends = f" [{floor.low:.2f}-{floor.high:.2f}]" if floor.low and floor.high else ""
    return f"p{floor.percentile:.4g} x{floor.ratio:.2f}{ends}"
