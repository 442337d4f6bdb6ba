from drawn import DRAWN, NASTY_DRAWN
from msgspec.structs import replace
from promised import TUNED

from autotune.reports import markdown
from autotune.spec import RUNTIME_DEFAULT


def _table(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_the_summary_says_the_answer_and_shows_both_sides() -> None:
    text = markdown(DRAWN)
    assert text.startswith("### autotune: magika")
    rows = _table(text)
    tuned = [e for e in DRAWN.policy if e.measured and e.config != RUNTIME_DEFAULT and e.default]
    assert sum("runtime default" in row for row in rows) >= len(tuned)
    assert {row.count("|") for row in rows} == {9}


def test_the_commands_stand_in_a_block_that_nothing_in_them_ends() -> None:
    text = markdown(replace(DRAWN, repeat=["a```b", "--slo", "50ms"]))
    assert text.count("````") == 2
    assert "details" not in markdown(TUNED)


def test_names_of_a_stranger_make_no_rows_links_or_elements() -> None:
    text = markdown(NASTY_DRAWN)
    shown = text.split("<details>")[0]
    assert "<script>" not in shown.replace("\\<script\\>", "")
    assert {row.count("|") - row.count("\\|") for row in _table(text)} == {9}
