"""A fleet's search as one self-contained HTML page: a table, and a section a machine type."""

from base64 import b64encode

from autotune.fleet_file import FleetFile, MachineResult
from autotune.present.answer import answer_page
from autotune.present.document import as_html
from autotune.present.machine_types import types_page
from autotune.reports.chart import Chart
from autotune.reports.charts import charts
from autotune.reports.frame import Head, framed
from autotune.reports.markup import escaped
from autotune.reports.picture import svg

PICTURES = ("latency", "policy")
"""Of each machine type; the report of `FILE#TYPE` has them all."""


def fleet_report(fleet: FleetFile) -> str:
    """Return the whole page."""
    table = f'<section id="types"><div class="wide">{as_html(types_page(fleet))}</div></section>'
    head = Head("autotune report: machine types", fleet.model, fleet.summary)
    return framed(head, "\n".join([table, *map(_section, fleet.machines)]))


def _section(machine: MachineResult) -> str:
    head = f"<section><h2>{escaped(machine.type)}</h2>"
    tuned = machine.tuned
    if tuned is None:
        return f"{head}<p>Missing: {escaped(machine.reason or '')}.</p></section>"
    figures = "".join(_figure(chart) for chart in charts(tuned) if chart.name in PICTURES)
    table = as_html(answer_page(tuned, with_intervals=True))
    return f'{head}<div class="wide">{table}</div>{figures}</section>'


def _figure(chart: Chart) -> str:
    """Return a picture as an image: drawings side by side would share their names."""
    data = b64encode(svg(chart).encode()).decode()
    return (
        f'<figure><img alt="{escaped(chart.title)}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{escaped(chart.reading)}</figcaption></figure>"
    )
