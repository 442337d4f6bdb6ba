"""A plan's pictures and its page: what they draw, that they stand alone, and a real browser."""

import json
import re
import shutil
import struct
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from msgspec.structs import replace
from nasty import ALL, filled
from planned_fleet import PLAN, SPIKE, UNMET, load_rps
from playwright.sync_api import Browser, sync_playwright

from autotune.errors import UsageError
from autotune.planning.records import Plan
from autotune.reports import plan_series as series
from autotune.reports.picture import WIDTH_PX, png, svg
from autotune.reports.plan_charts import choose_picture, overview, plan_charts
from autotune.reports.plan_page import plan_page
from autotune.reports.plan_writing import write_plan

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
NO_DATES = replace(PLAN, trace=replace(PLAN.trace, began=None))
NASTY = filled(NO_DATES, ALL)
BARE = replace(UNMET, policies=[replace(UNMET.policies[0], series=[])])


def test_the_rows_are_the_plan_s() -> None:
    rows = series.load_rows(PLAN)
    assert {row["policy"] for row in rows} == {one.kind for one in PLAN.policies}
    mine = [row for row in rows if row["policy"] == "spill_over"]
    assert mine[SPIKE]["load_rps"] == load_rps(SPIKE)
    assert mine[SPIKE]["spilled"] > 0.5
    assert mine[0]["at"] == "2026-11-02T00:00:00"
    machines = [row for row in series.machine_rows(PLAN) if row["policy"] == "spill_over"]
    assert sum(row["machines"] for row in machines) == sum(
        sum(one.machines) for one in PLAN.policies[5].series
    )
    costs = {row["policy"]: row["meets"] for row in series.cost_rows(PLAN)}
    assert costs["spill_over"] == series.CHOSEN
    assert costs["reactive_hpa"] == series.MISSED
    assert costs["oracle"] == series.BOUND


def test_a_long_course_is_thinned_and_loses_no_peak() -> None:
    policy = PLAN.policies[0]
    long = replace(policy, series=[*policy.series] * 10)
    rows = series.load_rows(replace(PLAN, policies=[long]))
    assert len(rows) == series.MOST_MOMENTS
    assert max(row["load_rps"] for row in rows) == load_rps(SPIKE)


def test_of_many_types_most_are_one() -> None:
    many = replace(
        PLAN,
        types=[replace(PLAN.types[0], name=f"t{n}") for n in range(9)],
        policies=[
            replace(
                PLAN.policies[0],
                most_machines=[1] * 9,
                machine_hours=[float(n) for n in range(9)],
                series=[replace(one, machines=[1] * 9) for one in PLAN.policies[0].series],
            )
        ],
    )
    assert series.type_names(many) == ["t8", "t7", "t6", "t5", series.OTHERS]
    assert sum(row["machines"] for row in series.machine_rows(many)) == 9 * len(
        PLAN.policies[0].series
    )


@pytest.mark.parametrize("plan", [PLAN, UNMET, NO_DATES, NASTY], ids=["met", "not", "bare", "evil"])
def test_every_picture_is_drawn_and_titled(plan: Plan) -> None:
    for chart in [overview(plan), *plan_charts(plan)]:
        root = ET.fromstring(svg(chart))
        texts = {"".join(node.itertext()) for node in root.iter() if node.tag.endswith("text")}
        assert any(chart.title[:20] in text for text in texts), chart.name
        assert json.loads(json.dumps(chart.spec)) == chart.spec


def test_a_png_is_sharp_enough_for_a_slide() -> None:
    data = png(choose_picture(PLAN, "overview"))
    width, height = struct.unpack(">II", data[16:24])
    assert 2 * WIDTH_PX <= width < 2.6 * WIDTH_PX
    assert height > 2 * 600


def test_where_a_function_serves_all_the_overview_has_no_machines() -> None:
    alone = [
        replace(one, most_machines=[0] * len(PLAN.types), least_machines=[0] * len(PLAN.types))
        for one in PLAN.policies
    ]
    assert len(overview(PLAN).spec["vconcat"]) == 3
    assert len(overview(replace(PLAN, policies=alone)).spec["vconcat"]) == 2


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no picture 'lod' .*choose overview, load.*mean 'load'"):
        choose_picture(PLAN, "lod")
    with pytest.raises(UsageError, match="no policy that can be drawn"):
        choose_picture(BARE, "overview")
    assert [chart.name for chart in plan_charts(BARE)] == ["costs"]


@pytest.mark.parametrize("plan", [PLAN, UNMET, NASTY, BARE], ids=["met", "not", "evil", "bare"])
def test_the_page_stands_alone_and_runs_nothing_of_strangers(plan: Plan) -> None:
    page = plan_page(plan)
    assert page.count("<script") == page.count("</script>") == 2
    specs = re.search(r'<script type="application/json" id="specs">(.*?)</script>', page, re.S)
    assert specs is not None
    assert set(json.loads(specs[1])) == {chart.name for chart in plan_charts(plan)}
    shown = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.findall(r"<(?:img|iframe|object|embed|a|link)\b", shown)


def test_a_plan_is_written_whole_and_never_like_a_tuned_file(tmp_path: Path) -> None:
    path = write_plan(tmp_path / "plan.json", PLAN)
    assert json.loads(path.read_text())["format"] == "autotune-plan"
    with pytest.raises(UsageError, match="is named like a tuned file"):
        write_plan(tmp_path / "x.autotune.json", PLAN)
    with pytest.raises(UsageError, match=r"-o .*: cannot be written: No such file"):
        write_plan(tmp_path / "none" / "plan.json", PLAN)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_draws_it_at_every_width_and_one_choice_holds_for_all(tmp_path: Path) -> None:
    path, evil = tmp_path / "plan.html", tmp_path / "evil.html"
    path.write_text(plan_page(PLAN))
    evil.write_text(plan_page(NASTY))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width in (360, 820, 1440):
            _fits(browser, path, width)
        _fits(browser, evil, 820)
        page = browser.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-drawn]")
        machines = page.locator("[data-chart=machines] svg")
        before = machines.inner_html()
        page.locator("[data-chart=load] select").select_option(label="fixed, for the peak")
        page.wait_for_function(
            "b => document.querySelector('[data-chart=machines] svg').innerHTML !== b", arg=before
        )
        browser.close()


def _fits(browser: Browser, path: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda a: None if a.url == path.as_uri() else said.append(a.url))
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-drawn]")
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for box in page.locator("[data-chart] svg").all():
        bounds = box.bounding_box()
        assert bounds is not None
        assert bounds["x"] + bounds["width"] <= width + 1
    page.close()
