"""A comparison as a page: for a terminal, and for a notebook."""

from msgspec.structs import replace
from promised import TUNED

from autotune.comparison.files import compare_files
from autotune.present.compared import comparison_page
from autotune.present.document import as_html, as_text


def test_a_page_is_text_and_html_without_names_of_files_too() -> None:
    above = replace(TUNED, policy=TUNED.policy[:1])
    page = comparison_page(compare_files(TUNED, above))
    text = as_text(page)
    assert text.startswith("On the same machine, nothing differs")
    assert "nothing: above its loads" in text
    assert "file" not in text.split("\n\n")[1]
    assert "<table" in as_html(page)


def test_what_only_a_higher_entry_answers_says_which() -> None:
    lower = replace(TUNED, policy=[replace(TUNED.policy[0], load_rps=20.0), *TUNED.policy[1:]])
    text = as_text(comparison_page(compare_files(lower, TUNED)), width=120)
    assert "runtime default (its entry for up to 30/s)" in text
    assert "2 x 1 thread (its entry for up to 110/s)" in text


def test_a_page_without_a_load_in_common_has_no_empty_table() -> None:
    other = replace(TUNED, policy=[replace(TUNED.policy[0], load_rps=500.0)], reference=None)
    text = as_text(comparison_page(compare_files(TUNED, other)))
    assert "no load was measured in both files" in text
    assert "change: b / a" not in text
