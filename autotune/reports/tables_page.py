"""A page of pictures and tables, self-contained: no request leaves it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import NamedTuple

from autotune.present.document import Document, as_html
from autotune.reports.chart import Chart
from autotune.reports.frame import Head, drawing, figures, framed
from autotune.reports.markup import escaped

HERE = Path(__file__).parent
_STYLE = """\
@media (min-width: 30rem) { dl { grid-template-columns: fit-content(14rem) minmax(0, 1fr); } }
.wide table { min-width: 44rem; }
"""


class Words(NamedTuple):
    """What stands on a page beside pictures and tables."""

    head: Head
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
    main = Template((HERE / "tables_page.html").read_text()).substitute(
        pictures=figures(pictures),
        tables_heading=escaped(words.tables),
        tables=as_html(tables),
        facts_heading=escaped(words.facts),
        facts="".join(f"<dt>{escaped(k)}</dt><dd>{escaped(v)}</dd>" for k, v in facts.items()),
    )
    return framed(words.head, main, _STYLE + style, drawing(pictures))
