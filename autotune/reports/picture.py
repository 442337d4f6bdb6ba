"""Single pictures for slides and READMEs, drawn without a browser."""

from autotune.config_file import TunedFile
from autotune.errors import UsageError, did_you_mean
from autotune.reports.chart import Chart, Spec, drawable
from autotune.reports.charts import charts

WIDTH_PX = 760
SCALE = 2
"""Pixels of a PNG per pixel of the drawing: sharp on slides."""


def choose(tuned: TunedFile, name: str) -> Chart:
    """Return a picture by its name.

    Raises:
        UsageError: there is none of that name, or the file has no data for it.
    """
    made = {chart.name: chart for chart in charts(tuned)}
    if name not in made:
        choose_one = f"choose {', '.join(made)}{did_you_mean(name, made)}"
        raise UsageError(f"there is no picture {name!r} of this file: {choose_one}")
    return made[name]


def png(chart: Chart) -> bytes:
    """Return a picture as PNG, on white."""
    import vl_convert

    return vl_convert.vegalite_to_png(_standing_alone(chart), scale=SCALE)


def svg(chart: Chart) -> str:
    """Return a picture as SVG, on white."""
    import vl_convert

    return vl_convert.vegalite_to_svg(_standing_alone(chart))


def _standing_alone(chart: Chart) -> Spec:
    """The chart with a width, and a title where it has none of its own."""
    title = {"text": chart.title, "anchor": "start", "offset": 12}
    legend = {"orient": "top", "title": None, "columns": 4, "labelLimit": 0}
    config = {"legend": legend, "view": {"stroke": None}}
    background = {"background": "white", "padding": 12}
    spec: Spec = drawable(chart.spec)
    return {"title": title, **spec, "width": WIDTH_PX, "config": config, **background}
