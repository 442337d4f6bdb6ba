"""A page of pictures and tables, self-contained: no request leaves it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import NamedTuple

from autotune.present.document import Document, as_html
from autotune.reports.chart import Chart
from autotune.reports.markup import escaped, figure, script_data

HERE = Path(__file__).parent


class Words(NamedTuple):
    """What stands on a page beside pictures and tables."""

    what: str
    """What made it: `autotune plan`."""
    title: str
    sentence: str
    """The answer."""
    more: str
    asked: str
    tables: str
    """Heading of the tables."""
    facts: str
    """Heading of the facts."""


def tables_page(
    words: Words,
    pictures: Sequence[Chart],
    tables: Document,
    facts: Mapping[str, str],
    style: str = "",
) -> str:
    """Return the whole page."""
    import vl_convert

    script = (HERE / "plan_page.js").read_text()
    return Template((HERE / "tables_page.html").read_text()).substitute(
        title=escaped(f"{words.title}: {words.what}"),
        style=(HERE / "page.css").read_text(),
        own_style=style,
        what=escaped(words.what),
        model=escaped(words.title),
        sentence=escaped(words.sentence),
        more=escaped(words.more),
        asked=escaped(words.asked),
        pictures="\n".join(figure(chart) for chart in pictures),
        tables_heading=escaped(words.tables),
        tables=as_html(tables),
        facts_heading=escaped(words.facts),
        facts="".join(f"<dt>{escaped(k)}</dt><dd>{escaped(v)}</dd>" for k, v in facts.items()),
        specs=script_data({chart.name: chart.spec for chart in pictures}),
        script=vl_convert.javascript_bundle(script).replace("</script", "<\\/script"),
    )
