"""Searches that learn from others, over a synthetic machine."""

import sqlite3
from pathlib import Path

import msgspec
import pytest
from desk import Desk, make_desk
from lessons import lesson
from msgspec import structs
from synthetic import INFO

from autotune import config_file
from autotune.arrivals import Traffic
from autotune.config_file import TunedFile
from autotune.errors import UsageError
from autotune.lesson import Lesson
from autotune.outcome import ModelInfo
from autotune.spec import RUNTIME_DEFAULT, ServingConfig
from autotune.stages.learning import read_lessons, starter_lessons
from autotune.stages.question import Incumbent, Learning
from autotune.traits import ModelTraits

GRAPH = ModelTraits(graph_sha256="a" * 64, operators={"MatMul": 2}, nodes=2, depth=2)
GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = make_desk(tmp_path, monkeypatch)
    monkeypatch.setattr("autotune.stages.learning.starter_lessons", list)
    return made


def of_graph(monkeypatch: pytest.MonkeyPatch, traits: ModelTraits) -> None:
    info: ModelInfo = structs.replace(INFO, traits=traits)
    monkeypatch.setattr("synthetic.INFO", info)


def lesson_of(tuned: TunedFile) -> Lesson:
    assert tuned.lesson is not None
    return tuned.lesson


def test_a_search_keeps_what_others_can_learn(desk: Desk) -> None:
    first = desk.search()
    found = lesson_of(first)
    assert found.base_s == pytest.approx(0.010, rel=0.1)
    assert {one.config for one in found.latencies} == {one.config for one in first.trials}
    assert found.times
    assert first.search.learnt is None


def test_another_question_learns_from_it(desk: Desk) -> None:
    desk.search()
    other = desk.search(traffics=[Traffic(load_rps=70)])
    learnt = other.search.learnt
    assert learnt is not None
    assert learnt.searches == 1
    assert learnt.times_trust is not None
    assert learnt.version_of is None
    assert "learning from 1 earlier search" in desk.said


def test_a_blank_search_learns_nothing_but_from_what_is_named(desk: Desk) -> None:
    first = desk.search()
    file = desk.folder / "first.autotune.json"
    config_file.write(file, first)
    blank = desk.search(traffics=[Traffic(load_rps=70)], learning=Learning(blank=True))
    assert blank.search.learnt is None
    named = Learning(blank=True, sources=(file,))
    taught = desk.search(traffics=[Traffic(load_rps=70)], learning=named)
    assert taught.search.learnt is not None
    assert taught.search.learnt.searches == 1


def test_a_store_teaches_as_well_and_is_left_as_it_is(desk: Desk) -> None:
    desk.search()
    before = desk.store.read_bytes()
    elsewhere = desk.folder / "elsewhere.sqlite"
    with sqlite3.connect(desk.store) as own, sqlite3.connect(elsewhere) as copy:
        own.backup(copy)
    kept = elsewhere.read_bytes()
    assert len(read_lessons(elsewhere)) == 1
    assert elsewhere.read_bytes() == kept
    assert desk.store.read_bytes() == before


def test_a_new_version_of_a_model_is_recognised_and_only_verified(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_graph(monkeypatch, GRAPH)
    traffics = [Traffic(load_rps=60), Traffic(load_rps=130)]
    first = desk.search(traffics=traffics, max_trials=12)
    asked = desk.bench.asked
    desk.model.write_bytes(b"a model with other weights")
    second = desk.search(traffics=traffics, max_trials=12)
    assert second.search.stopped == "verified"
    assert second.search.learnt is not None
    assert second.search.learnt.version_of == first.search.started_at
    searched = [one for one in second.trials if one.phase == "search"]
    assert [one.config for one in searched] == [one.config for one in first.policy]
    assert [one.config for one in second.policy] == [one.config for one in first.policy]
    assert desk.bench.asked < asked
    assert any("its profile is taken" in text for text in desk.said)


def test_a_version_that_is_slower_is_searched_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_graph(monkeypatch, GRAPH)
    desk.search()
    desk.model.write_bytes(b"a model with denormal weights")
    monkeypatch.setattr("synthetic.SLOWER", 1.5)
    again = desk.search()
    assert again.search.stopped != "verified"
    assert any("not as quick" in text for text in desk.said)


def test_a_version_for_which_the_answer_no_longer_holds_is_searched(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_graph(monkeypatch, GRAPH)
    first = desk.search()
    entry = first.policy[0]
    assert entry.measured is not None
    objective = structs.replace(entry.measured.objective, value_ms=1.0, low_ms=0.9, high_ms=1.1)
    quick = structs.replace(entry, measured=structs.replace(entry.measured, objective=objective))
    claimed = structs.replace(first, policy=[quick])
    with sqlite3.connect(desk.store) as store:
        store.execute("UPDATE searches SET answer = ?", (config_file.to_json(claimed),))
    desk.model.write_bytes(b"a model with other weights")
    again = desk.search()
    assert again.search.stopped != "verified"
    assert any("searching" in text and "former version" in text for text in desk.said)


def test_another_graph_is_no_version(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    of_graph(monkeypatch, GRAPH)
    desk.search()
    desk.model.write_bytes(b"another model")
    of_graph(monkeypatch, structs.replace(GRAPH, graph_sha256="b" * 64))
    assert desk.search().search.stopped != "verified"


def test_what_serves_now_is_measured_first_at_each_load(desk: Desk) -> None:
    two = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
    serving = (Incumbent(load_rps=100, config=RUNTIME_DEFAULT), Incumbent(load_rps=200, config=two))
    loads = [Traffic(load_rps=60), Traffic(load_rps=130), Traffic(load_rps=250)]
    tuned = desk.search(traffics=loads, incumbent=serving, max_risk=0.05)
    first = [one for one in tuned.trials if one.phase == "search"][:3]
    assert [(one.load_rps, one.config) for one in first] == [
        (60, RUNTIME_DEFAULT),
        (130, two),
        (250, two),
    ]


def test_what_serves_now_must_be_one_of_the_configurations(desk: Desk) -> None:
    odd = ServingConfig(replicas=37, intra_op_threads=1, spinning=False)
    with pytest.raises(UsageError, match=r"--incumbent: 37 x 1 thread is none of"):
        desk.search(incumbent=(Incumbent(load_rps=100, config=odd),))


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("missing.json", None, "there is no such file"),
        ("words.json", b"words", "is not JSON"),
        ("other.sqlite", b"SQLite format 3\0 and then nothing", "file is not a database"),
    ],
)
def test_what_cannot_be_learnt_from_is_said(
    tmp_path: Path, name: str, content: bytes | None, complaint: str
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=complaint) as raised:
        read_lessons(file)
    assert str(raised.value).startswith("--learn-from")


def test_a_file_before_version_7_teaches_nothing_and_says_so() -> None:
    with pytest.raises(UsageError, match="teaches nothing"):
        read_lessons(GOLDEN / "v6.autotune.json")


def test_a_lesson_goes_through_a_file_unchanged() -> None:
    one = lesson(off=0.2)
    assert msgspec.json.decode(msgspec.json.encode(one), type=Lesson) == one


def test_the_lessons_that_come_with_the_package_can_be_read() -> None:
    assert all(isinstance(one, Lesson) for one in starter_lessons())
