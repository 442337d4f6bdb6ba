"""What pages have in common: head, styles, and the script that draws. No request leaves them."""

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import NamedTuple

from autotune.reports.chart import Chart
from autotune.reports.markup import escaped, figure, script_data

HERE = Path(__file__).parent
_SCRIPT_SOURCE = "script-src 'unsafe-inline' 'unsafe-eval';"
_NO_SCRIPT = (
    '<noscript><p class="note">The pictures are drawn by the script in this page; the tables below '
    "need none.</p></noscript>"
)


class Head(NamedTuple):
    """How a page begins."""

    what: str
    """What made it: `autotune plan`."""
    about: str
    sentence: str
    """The answer."""
    more: str = ""
    asked: str = ""


def framed(head: Head, main: str, style: str = "", scripts: str = "") -> str:
    """Return a whole page around HTML, with `drawing` as its scripts or none at all."""
    return Template((HERE / "frame.html").read_text()).substitute(
        {name: escaped(text) for name, text in head._asdict().items()},
        script_source=_SCRIPT_SOURCE if scripts else "",
        title=escaped(f"{head.about}: {head.what}"),
        style=(HERE / "page.css").read_text() + style,
        no_script=_NO_SCRIPT if scripts else "",
        main=main,
        scripts=scripts,
    )


def figures(charts: Sequence[Chart]) -> str:
    """Return the places of pictures."""
    drawn = "\n".join(map(figure, charts))
    return f'<div class="figures">\n{drawn}\n</div>'


def drawing(charts: Sequence[Chart], script: str = "") -> str:
    """Return the scripts that draw pictures, after another one."""
    import vl_convert

    specs = script_data({chart.name: chart.spec for chart in charts})
    draw = (HERE / "pictures.js").read_text()
    bundle = vl_convert.javascript_bundle(script + draw).replace("</script", "<\\/script")
    return (
        f'<script type="application/json" id="specs">{specs}</script>\n'
        f'<script type="module">\n{bundle}\n</script>'
    )
