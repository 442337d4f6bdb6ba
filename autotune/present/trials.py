"""Every measurement of a tuned file as a table, a row each."""

from autotune.config_file import Trial, TunedFile
from autotune.present.cells import as_tone, cpu_ms, share, value
from autotune.present.document import Column, Document, Line, Row, Table
from autotune.units import format_rps

_COLUMNS = (
    Column("load"),
    Column("configuration", right=False, wraps=True),
    Column("p50 ms"),
    Column("p95 ms", spare=1),
    Column("p99 ms"),
    Column("in SLO"),
    Column("CPU ms", spare=1),
    Column("", right=False),
)


def trials_page(tuned: TunedFile) -> Document:
    """Return the table, in order, and what its last column says."""
    rows = list(map(_row, tuned.trials))
    legend = (
        f"{tuned.model.name}, SLO {tuned.slo}: {len(rows)} measurements in order; confirm: in "
        "rounds with the runtime's default; *: disturbed. More of each with --csv."
    )
    return [Table(_COLUMNS, rows), Line(legend, "dim")]


def _row(trial: Trial) -> Row:
    load, config = f"{format_rps(trial.load_rps)}/s", trial.config.describe()
    phase = "confirm" if trial.phase == "confirm" else ""
    found = trial.measured
    if found is None:
        failed = f"{config}: failed: {trial.failure.kind}" if trial.failure else config
        return Row([load, failed, "-", "-", "-", "-", "-", phase], "bad")
    marks = (phase, "overload" if found.diverged else "", "*" if found.disturbed else "")
    cells = [
        *map(value, (found.p50, found.p95, found.p99)),
        share(found.slo_attainment),
        cpu_ms(found),
        " ".join(filter(None, marks)),
    ]
    return Row([load, config, *cells], as_tone(found.meets_slo))
