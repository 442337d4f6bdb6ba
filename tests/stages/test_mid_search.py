"""Searches that learn from others while they run, and teach before their end."""

from pathlib import Path

import msgspec
import pytest
from desk import Desk, MortalBench, make_desk, without_times
from lessons import MACHINE, MODEL, TASK, lesson
from msgspec import structs

from autotune import tune
from autotune.arrivals import Traffic
from autotune.config_file import TunedFile
from autotune.lesson import Lesson
from autotune.outcome import TrialOutcome
from autotune.spec import TrialSpec
from autotune.stages import explore, goal
from autotune.stages.learning import NO_PAST, Past, Pupil
from autotune.stages.question import Learning
from autotune.stats.judge import Decides
from autotune.store.database import Store


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = make_desk(tmp_path, monkeypatch)
    monkeypatch.setattr("autotune.stages.learning.starter_lessons", list)
    return made


def teach(store: Path, one: Lesson, sender: str = "another") -> None:
    with Store(store) as opened:
        opened.teach(sender, msgspec.json.encode(one).decode())


def taught_in(store: Path) -> dict[str, Lesson]:
    with Store(store) as opened:
        rows = opened.lessons()
    return {sender: msgspec.json.decode(text, type=Lesson) for _, sender, text in rows}


def taught_meanwhile(patch: pytest.MonkeyPatch, store: Path, *lessons: Lesson) -> None:
    """Another search teaches as soon as the first real measurements are made, one each."""
    waiting, measure = list(lessons), MortalBench.measure

    def measured(
        bench: MortalBench, trial: TrialSpec, judge: Decides | None = None
    ) -> TrialOutcome:
        if waiting:
            teach(store, waiting.pop(0))
        return measure(bench, trial, judge)

    patch.setattr(MortalBench, "measure", measured)


def searches(tuned: TunedFile) -> int | None:
    return None if tuned.search.learnt is None else tuned.search.learnt.searches


def test_what_is_taught_meanwhile_is_learnt(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    taught_meanwhile(monkeypatch, desk.store, lesson(late=0.4), lesson(late=0.4, latencies=20))
    tuned = desk.search()
    learnt = tuned.search.learnt
    assert learnt is not None
    assert learnt.searches == 1  # the later lesson took the place of the first
    assert learnt.latency_trust is not None
    assert learnt.times_trust is not None
    assert desk.said == ["learning from 1 search"]


def test_without_news_nothing_is_predicted_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = 0
    expected = goal.expected

    def counted(*of: object) -> object:
        nonlocal times
        times += 1
        return expected(*of)  # type: ignore[arg-type]

    monkeypatch.setattr(explore, "expected", counted)
    first = desk.search()
    assert times == sum(one.phase == "search" for one in first.trials)
    assert searches(first) is None
    # Nor does it learn from itself, having taught; and what is not heard changes nothing.
    assert len(taught_in(desk.store)) == 1
    monkeypatch.setattr("autotune.stages.memory.Memory.hear", lambda memory: {})
    desk.store = desk.folder / "deaf.sqlite"
    assert without_times(desk.search()) == without_times(first)


def test_one_that_hears_and_is_killed_goes_on_with_what_it_heard(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught_meanwhile(monkeypatch, desk.store, lesson(late=0.4))
    whole, questions = desk.search(), desk.bench.asked
    desk.store = desk.folder / "killed.sqlite"
    taught_meanwhile(monkeypatch, desk.store, lesson(late=0.4))
    desk.search_until_killed(questions - 10)
    again = desk.search()
    assert desk.bench.asked == 11
    assert searches(again) == 1
    assert [one.config for one in again.trials] == [one.config for one in whole.trials]


def test_a_search_teaches_before_its_end(desk: Desk) -> None:
    desk.search_until_killed(30)
    (early,) = taught_in(desk.store).values()
    # Others learn from it though it did not come to its end.
    desk.search_until_killed(25, traffics=[Traffic(load_rps=70)])
    assert "learning from 1 earlier search" in desk.said
    tuned = desk.search()
    last = taught_in(desk.store)["1"]
    assert last == tuned.lesson
    assert 0 < len(early.times) <= len(last.times)
    assert len(early.latencies) < len(last.latencies)
    # Once, though it stands there as an answer as well, and the killed one beside it.
    desk.search_until_killed(25, traffics=[Traffic(load_rps=90)])
    assert "learning from 2 earlier searches" in desk.said


def test_a_blank_search_hears_nothing_and_teaches(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught_meanwhile(monkeypatch, desk.store, lesson())
    assert searches(desk.search(learning=Learning(blank=True))) is None
    assert {*taught_in(desk.store)} == {"another", "1"}


def test_a_lesson_of_another_version_is_left_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(desk.store) as store:
        store.teach("newer", '{"places": []}')
    assert searches(desk.search()) is None


def test_two_searches_with_one_store_learn_from_each_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins, and ends, while the first measures."""
    measure, first = MortalBench.measure, desk.bench
    second: list[TunedFile] = []

    def measured(
        bench: MortalBench, trial: TrialSpec, judge: Decides | None = None
    ) -> TrialOutcome:
        nonlocal first
        if not second and trial.arrivals_s:
            first, said = bench, desk.said
            second.append(None)  # type: ignore[arg-type]  # it is under way
            second[0] = desk.search(traffics=[Traffic(load_rps=70)])
            desk.bench, desk.said = first, said
            monkeypatch.setattr(tune, "Bench", lambda model, allowed: first)
        return measure(bench, trial, judge)

    monkeypatch.setattr(MortalBench, "measure", measured)
    assert searches(desk.search()) == 1
    assert searches(second[0]) == 1


def pupil(past: Past) -> Pupil:
    return Pupil(past, MODEL, TASK, lambda event: None)


def test_a_later_lesson_of_a_search_takes_the_place_of_its_earlier() -> None:
    one = pupil(Past({"earlier": lesson(seed=1)}, MACHINE))
    early, late = lesson(times=4, latencies=2), lesson(times=12, latencies=9)
    assert one.hear({"other": early})
    assert not one.hear({"other": early})
    assert not one.hear({})
    assert one.hear({"other": late})
    assert not one.hear({"other": early})  # it is played again
    assert one.experience is not None
    assert one.experience.lessons == [lesson(seed=1), late]
    repeated = structs.replace(late, latencies=[*late.latencies[:-1], lesson().latencies[-1]])
    assert one.hear({"other": repeated})


def test_who_does_not_know_the_machine_learns_nothing() -> None:
    one = pupil(NO_PAST)
    assert not one.hear({"other": lesson()})
    assert one.experience is None
