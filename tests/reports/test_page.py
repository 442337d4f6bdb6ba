import json
import re
from html.parser import HTMLParser

import pytest
from drawn import DRAWN, NASTY, NASTY_DRAWN
from msgspec.structs import replace
from promised import TUNED

from autotune.records import Percentile
from autotune.reports.chart import drawable
from autotune.reports.charts import charts
from autotune.reports.page import page

PAGE = page(DRAWN)


class _Seen(HTMLParser):
    """Elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._code = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._code = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._code = False

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.words.append(data)


def test_the_page_holds_all_it_needs() -> None:
    for _, attributes in _Seen(PAGE).elements:
        assert not {"src", "href", "srcset", "action"} & set(attributes)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', PAGE)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert "@import" not in PAGE[: PAGE.index("</style>")]


def test_the_answer_comes_first_and_every_trial_is_in_the_table() -> None:
    words = " ".join(_Seen(PAGE).words)
    first = DRAWN.summary.split(". ")[0]
    assert words.index(first) < words.index("Latency against load")
    assert DRAWN.summary in " ".join(words.split())
    assert PAGE.count("<tr title=") == len(DRAWN.trials)
    for fact in (DRAWN.machine.cpu, DRAWN.runtime, DRAWN.model.sha256[:16], "seed"):
        assert fact in words


def test_each_trial_has_the_command_that_measures_it_again() -> None:
    buttons = [a for tag, a in _Seen(PAGE).elements if tag == "button" and "data-command" in a]
    assert len(buttons) == len(DRAWN.trials)
    for attributes, trial in zip(buttons, DRAWN.trials, strict=True):
        command = attributes["data-command"]
        assert command is not None
        assert command.startswith("autotune measure magika: --slo 50.0ms")
        assert f"--load {trial.load_rps!r}" in command


def test_a_file_that_does_not_say_how_has_no_buttons_and_says_what_is_missing() -> None:
    old = page(TUNED)
    assert "data-command" not in old.split("<script")[0]
    assert "Search again to see them" in old


def test_names_of_a_stranger_stay_text() -> None:
    nasty = page(NASTY_DRAWN)
    seen, plain = _Seen(nasty), _Seen(PAGE)
    assert [tag for tag, _ in seen.elements] == [tag for tag, _ in plain.elements]
    assert NASTY in "".join(seen.words)


@pytest.mark.parametrize("tuned", [DRAWN, NASTY_DRAWN])
def test_the_pictures_travel_as_json(tuned: object) -> None:
    text = page(tuned)  # type: ignore[arg-type]
    found = re.search(r'<script type="application/json" id="specs">(.*?)</script>', text, re.S)
    assert found is not None
    assert "latency" in json.loads(found[1])


@pytest.mark.parametrize("number", [0.0, -1.0, 5e-324, 1e308])
def test_numbers_that_no_machine_gives_are_drawn_as_far_as_can_be(number: float) -> None:
    """Anybody may write a file; a page of it is made all the same."""
    assert DRAWN.lattice is not None
    lattice = replace(DRAWN.lattice, predicted_ms=[[number] * 3 for _ in DRAWN.policy])
    curves = [replace(one, objective_ms=[number] * 2) for one in DRAWN.curves]
    trials = [
        replace(
            one,
            predicted_ms=number,
            measured=one.measured
            and replace(
                one.measured,
                objective=Percentile(value_ms=number, low_ms=number, high_ms=number),
                cpu_s_per_request=number,
            ),
        )
        for one in DRAWN.trials
    ]
    odd = replace(DRAWN, lattice=lattice, curves=curves, trials=trials, finalists=[])
    json.dumps([drawable(chart.spec) for chart in charts(odd)], allow_nan=False)
