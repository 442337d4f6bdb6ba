import json

import pytest
import vl_convert
from drawn import DRAWN, NASTY_DRAWN
from msgspec.structs import replace
from promised import TUNED

from autotune.reports.chart import Chart
from autotune.reports.charts import charts

CHARTS = charts(DRAWN)


def test_everything_that_the_file_has_is_drawn() -> None:
    names = [chart.name for chart in CHARTS]
    distributions = [f"distribution-{place + 1}" for place in range(len(DRAWN.policy))]
    rest = ["parts", "trade-offs", "lattice", "regret", "prediction"]
    assert names == ["latency", "policy", *distributions, *rest]


def test_an_older_file_has_fewer_pictures() -> None:
    older = replace(TUNED, power=None, trade_offs=[])
    assert [c.name for c in charts(older)] == ["latency", "policy", "parts", "prediction"]


def test_energy_is_drawn_with_where_it_is_known_from() -> None:
    (chart,) = (one for one in CHARTS if one.name == "trade-offs")
    assert "energy by a model" in chart.reading
    assert TUNED.power is not None
    read = replace(TUNED, power=replace(TUNED.power, is_model=False, source="read of package-0"))
    (chart,) = (one for one in charts(read) if one.name == "trade-offs")
    assert "energy measured, the idle power's share included" in chart.reading
    assert "(read of package-0)" in chart.reading


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_a_picture_says_how_to_read_it_and_has_marks(chart: Chart) -> None:
    assert chart.reading.endswith(".")
    scene = vl_convert.vegalite_to_scenegraph({**chart.spec, "width": 400})
    assert _marks(scene["scenegraph"]) > 0


def _marks(item: object) -> int:
    """How many shapes of data a scene holds."""
    if isinstance(item, list):
        return sum(map(_marks, item))
    if not isinstance(item, dict):
        return 0
    own = item.get("role") == "mark" and item.get("marktype") not in ("group", "text")
    inner = _marks(item.get("items", []))
    return inner + (len(item.get("items", [])) if own else 0)


def test_the_slo_and_the_knee_are_marked() -> None:
    text = json.dumps(CHARTS[0].spec)
    assert f"SLO: {DRAWN.slo}" in text
    assert "SLO met up to" in text


def test_names_of_a_stranger_draw_as_they_are() -> None:
    for chart in charts(NASTY_DRAWN):
        vl_convert.vegalite_to_svg({**chart.spec, "width": 300})
