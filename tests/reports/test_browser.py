"""The page in a real browser: it draws, sorts, filters and copies, and asks the network nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from drawn import DRAWN, NASTY_DRAWN
from nasty import ALL, tuned_of
from playwright.sync_api import Browser, Page, sync_playwright

from autotune.reports import page as report_page
from autotune.reports.charts import charts

NAMES = ("chromium", "google-chrome", "chromium-browser")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
SIZES = ((360, 740), (820, 1180), (1440, 900))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("report")
    paths = folder / "plain.html", folder / "nasty.html"
    for path, tuned in zip(paths, (DRAWN, NASTY_DRAWN), strict=True):
        path.write_text(report_page(tuned))
    return paths


def _opened(
    browser: Browser, path: Path, size: tuple[int, int], scheme: Literal["light", "dark"]
) -> tuple[Page, list[str]]:
    """The page once it has drawn, and all that it complained of or asked for."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on(
        "request",
        lambda asked: None if asked.url == path.as_uri() else complaints.append(asked.url),
    )
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-drawn]")
    return page, complaints


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_picture_has_marks_and_fits_the_window(
    browser: Browser,
    files: tuple[Path, Path],
    size: tuple[int, int],
    scheme: Literal["light", "dark"],
) -> None:
    for path in files:
        page, complaints = _opened(browser, path, size, scheme)
        assert complaints == []
        for chart in charts(DRAWN):
            shapes = page.locator(f"[data-chart={chart.name}] .role-mark :is(path, line, rect)")
            assert shapes.count() > 0, chart.name
            box = page.locator(f"[data-chart={chart.name}] svg").bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= size[0] + 1, chart.name
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        page.close()


def _column(page: Page, place: int) -> list[str]:
    cells = page.locator(f"#trials tbody tr:not([hidden]) td:nth-child({place})")
    return cells.all_text_contents()


def test_the_table_sorts_and_filters(browser: Browser, files: tuple[Path, Path]) -> None:
    page, _ = _opened(browser, files[0], SIZES[2], "light")
    heading = page.locator("#trials th", has_text="predicted ms")
    before = _column(page, 4)
    heading.locator("button").click()
    ascending = [float(text.replace(",", "")) for text in _column(page, 4)]
    assert ascending == sorted(ascending)
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.locator("button").click()
    assert [float(text.replace(",", "")) for text in _column(page, 4)] == ascending[::-1]
    page.locator("#trials input").fill("confirm  overload")
    wanted = [
        trial
        for trial in DRAWN.trials
        if trial.phase == "confirm" and trial.measured is not None and trial.measured.diverged
    ]
    assert len(_column(page, 1)) == len(wanted) < len(before)
    assert page.locator("#trials output").text_content() == f"{len(wanted)} shown"
    page.close()


def test_a_button_copies_the_command(browser: Browser, files: tuple[Path, Path]) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(files[0].as_uri())
    page.locator(".copy").first.click()
    page.wait_for_selector("text=copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("autotune measure magika: ")
    context.close()


def test_the_heat_map_shows_other_knobs_and_loads(
    browser: Browser, files: tuple[Path, Path]
) -> None:
    page, complaints = _opened(browser, files[0], SIZES[2], "light")
    chart = page.locator("[data-chart=lattice]")
    before = chart.locator("svg").inner_html()
    chart.locator("select").nth(1).select_option(label="max batch size")
    page.wait_for_function(
        "before => document.querySelector('[data-chart=lattice] svg').innerHTML !== before",
        arg=before,
    )
    assert "up: max batch size" in (chart.locator("svg").text_content() or "")
    assert complaints == []
    page.close()


def test_names_meant_to_run_as_code_run_nothing(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "nasty.html"
    path.write_text(report_page(tuned_of(ALL)))
    page, complaints = _opened(browser, path, SIZES[2], "light")
    page.locator(".copy").first.hover()
    assert complaints == []  # no dialog, no request, no error
    assert page.locator("script").count() == 2
    assert page.locator("img, iframe, object, embed, a, link").count() == 0
    page.close()
