"""What has been measured here, as tables: tuned files, and all that was measured for them."""

from itertools import chain

from autotune.catalogue import Catalogue
from autotune.config_file import TunedFile
from autotune.present.cells import as_tone
from autotune.present.document import BLANK, Column, Document, Line, Row, Table
from autotune.present.trials import trials_page
from autotune.rows import file_row
from autotune.tabular import Value
from autotune.units import format_ms, format_rps

_COLUMNS = (
    Column("file, and what it recommends", right=False, wraps=True),
    Column("up to"),
    Column("p99 ms"),
    Column("default"),
)


def catalogue_page(found: Catalogue) -> Document:
    """Return two rows a file, the newest search first; what all have in common is said once."""
    details = [_details(tuned) for _, tuned in found.files]
    shared = [
        what
        for what, text in details[0].items()
        if len(details) > 1 and all(one[what] == text for one in details)
    ]
    rows: list[Row] = []
    for (path, tuned), one in zip(found.files, details, strict=True):
        row = file_row(path, tuned)
        numbers = [_rate(row["up_to_rps"]), _ms(row["p99_ms"]), _ms(row["default_p99_ms"])]
        more = [text for what, text in one.items() if what not in shared]
        rows.append(Row([f"{path}", *numbers], as_tone(row["up_to_rps"] is not None)))
        rows.append(Row([f"  {'; '.join(filter(None, more))}", "", "", ""], "dim"))
    legend = "p99 there, and the runtime's default's. -: not measured, or requests were lost."
    common = "; ".join(filter(None, (details[0][what] for what in shared)))
    if common:
        legend = f"All {len(details)}: {common}. {legend}"
    return [Table(_COLUMNS, rows), Line(legend, "dim")]


def all_trials_page(found: Catalogue) -> Document:
    """Return every measurement, file by file."""
    pages = ([Line(str(path), "strong"), *trials_page(tuned), BLANK] for path, tuned in found.files)
    return list(chain.from_iterable(pages))[:-1]


def _rate(load_rps: Value) -> str:
    return f"{format_rps(load_rps)}/s" if isinstance(load_rps, float) else "-"


def _ms(value: Value) -> str:
    return format_ms(value) if isinstance(value, float) else "-"


def _details(tuned: TunedFile) -> dict[str, str]:
    """What else there is to know of a file, in words; empty where it is as usual."""
    machine, search = tuned.machine, tuned.search
    return {
        "recommended": tuned.recommended.describe(),
        "model": tuned.model.name,
        "slo": f"{tuned.slo}",
        "status": {"complete": "", "slo_not_met": "SLO not met"}.get(tuned.status, tuned.status),
        "objective": "" if search.objective == "latency" else f"for {search.objective}",
        "arrivals": "" if tuned.arrivals == "poisson" else tuned.arrivals,
        "when": search.started_at[:16].replace("T", " "),
        "cost": f"{search.seconds:.0f} s, {len(tuned.trials)} trials",
        "machine": f"{machine.cores_usable} cores of {machine.cpu}",
        "runtime": tuned.runtime,
        "target": "" if tuned.target is None else f"through {tuned.target.describe()}",
    }
