"""Pieces of HTML that pages have in common."""

import html
import json
from typing import Any

from autotune.reports.chart import Chart, drawable
from autotune.tabular import printable


def escaped(text: str) -> str:
    """Return HTML that shows a text as it is; what no page shows, or in another place, escaped."""
    return html.escape(printable(text))


def script_data(value: Any) -> str:
    """Return JSON that stands in a script element whatever its texts are."""
    return json.dumps(drawable(value), allow_nan=False).replace("<", "\\u003c")


def figure(chart: Chart) -> str:
    """Return the place of a picture, with its title and how to read it."""
    return (
        f'<figure id="{chart.name}"><h2>{escaped(chart.title)}</h2>'
        f'<div class="chart" data-chart="{chart.name}" role="img" '
        f'aria-label="{escaped(chart.title)}"></div>'
        f"<figcaption>{escaped(chart.reading)}</figcaption></figure>"
    )
