import struct
import xml.etree.ElementTree as ET

import pytest
from drawn import DRAWN, NASTY_DRAWN

from autotune.errors import UsageError
from autotune.reports import choose, png, svg
from autotune.reports.charts import charts
from autotune.reports.picture import SCALE, WIDTH_PX


def test_a_png_is_sharp_enough_for_a_slide() -> None:
    data = png(choose(DRAWN, "latency"))
    assert data.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", data[16:24])
    assert WIDTH_PX * SCALE <= width < 1.3 * WIDTH_PX * SCALE
    assert height > 300


@pytest.mark.parametrize("name", [chart.name for chart in charts(DRAWN)])
def test_an_svg_is_well_formed_and_titled(name: str) -> None:
    for tuned in (DRAWN, NASTY_DRAWN):
        root = ET.fromstring(svg(choose(tuned, name)))
        assert root.tag.endswith("svg")
        texts = ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("text")]
        title = "p99, ms, at" if name == "lattice" else choose(tuned, name).title
        assert any(title in text for text in texts)


def test_an_unknown_picture_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no picture 'latncy'.*choose latency, policy"):
        choose(DRAWN, "latncy")
