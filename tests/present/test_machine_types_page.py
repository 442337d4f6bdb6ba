"""Machine types beside each other, as text and as a page."""

from fleet_made import made_fleet, three_types
from msgspec import structs
from tuned_types import golden, made_type

from autotune.present.document import as_text
from autotune.present.machine_types import capacity_rps, types_page
from autotune.reports.types_page import fleet_report


def test_each_type_has_its_best_at_each_load_and_what_is_missing_its_reason() -> None:
    text = as_text(types_page(three_types()))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("a.large") and "60/s" in line for line in lines)
    assert any(line.startswith("b.large") and "120/s" in line for line in lines)
    assert "c.large is missing: no node is left." in text
    assert lines[-1].endswith("missing: c.large.")


def test_capacity_is_what_was_measured() -> None:
    measured, predicted = made_fleet({"a": golden()}), made_fleet({"a": made_type()})
    met = [one.load_rps for one in golden().policy if one.meets_slo and one.measured]
    assert capacity_rps(measured.machines[0]) == max(met)
    assert capacity_rps(predicted.machines[0]) is None


def test_what_disturbed_a_type_is_marked_and_said() -> None:
    fleet = three_types()
    marked = structs.replace(
        fleet.machines[0], disturbed="80 % of the measurements", notes=["a node was lost"]
    )
    text = as_text(types_page(structs.replace(fleet, machines=[marked, *fleet.machines[1:]])))
    assert "a.large *" in text
    assert "a.large: its answer is disturbed: 80 % of the measurements." in text
    assert "a.large: a node was lost." in text


def test_names_steer_nothing() -> None:
    evil = "<script>\x1b[31m"
    fleet = made_fleet({evil: made_type(), "b": evil})
    assert "\x1b" not in as_text(types_page(fleet))
    page = fleet_report(fleet)
    assert "<script" not in page
    assert "\x1b" not in page


def test_the_page_has_a_section_for_each_type_and_asks_for_nothing() -> None:
    page = fleet_report(made_fleet({"a.large": golden(), "c.large": "no node is left"}))
    assert page.count("<h2>") == 2
    assert "Missing: no node is left." in page
    assert page.count("data:image/svg+xml;base64,") == 2
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
