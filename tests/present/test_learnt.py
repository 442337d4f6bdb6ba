"""What a result says of what it learnt."""

from msgspec.structs import replace
from promised import TUNED

from autotune.config_file import TunedFile
from autotune.present.answer import answer_page
from autotune.present.document import Line
from autotune.search_info import Learnt

LEARNT = Learnt(searches=21, version_of=None, times_trust=0.987, latency_trust=None)


def told(tuned: TunedFile) -> str:
    return " ".join(part.text for part in answer_page(tuned, False) if isinstance(part, Line))


def with_learnt(learnt: Learnt | None, **search: object) -> TunedFile:
    return replace(TUNED, search=replace(TUNED.search, learnt=learnt, **search))


def test_what_was_learnt_is_told_with_how_far_it_held() -> None:
    text = told(with_learnt(LEARNT))
    assert "Learnt from 21 earlier searches; that it holds here: service times 98.7 %." in text


def test_one_search_of_which_nothing_was_of_use_is_told_as_such() -> None:
    text = told(with_learnt(replace(LEARNT, searches=1, times_trust=None)))
    assert "Learnt from 1 earlier search." in text


def test_a_version_is_told_and_whether_its_answer_was_verified() -> None:
    version = replace(LEARNT, version_of="2026-11-28T20:30:39+00:00")
    verified = told(with_learnt(version, stopped="verified"))
    assert "searched for on 2026-11-28T20:30:39+00:00: its answer was verified." in verified
    assert "searched anew" in told(with_learnt(version))


def test_nothing_learnt_is_not_told() -> None:
    assert "Learnt from" not in told(with_learnt(None))
