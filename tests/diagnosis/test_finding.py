import pytest

from autotune.diagnosis.finding import Finding, finding, verdict, worst_first

OK = finding("a", "ok", "Well.")
NOTE = finding("b", "note", "Mind.", "Do this.")
UNKNOWN = finding("c", "unknown", "Untold.", "Ask.")
SPOILS = finding("d", "spoils", "Bad.", "Stop.")
WORSE = finding("e", "spoils", "Worse.", "Stop.")


def test_the_worst_stand_first_and_equals_keep_their_order() -> None:
    found = worst_first([OK, UNKNOWN, WORSE, NOTE, SPOILS])
    assert found == [WORSE, SPOILS, NOTE, UNKNOWN, OK]


@pytest.mark.parametrize(
    ("findings", "sentence"),
    [
        ([], "Nothing here will spoil measurements."),
        ([OK, NOTE, UNKNOWN], "Nothing here will spoil measurements."),
        ([OK, SPOILS], "1 thing will spoil measurements: d."),
        ([SPOILS, NOTE, WORSE], "2 things will spoil measurements: d, e."),
    ],
)
def test_the_verdict_names_what_spoils(findings: list[Finding], sentence: str) -> None:
    assert verdict(findings) == sentence


def test_what_is_not_well_has_a_remedy_and_what_is_well_has_none() -> None:
    with pytest.raises(ValueError, match="remedy"):
        finding("a", "note", "Mind.")
    with pytest.raises(ValueError, match="remedy"):
        finding("a", "ok", "Well.", "Do this.")
