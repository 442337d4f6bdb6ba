"""Joint searches that end before their time, over synthetic models."""

import os
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from desk import Killed, make_desk
from joint_desk import JointDesk, MortalBench, joint_without_times
from msgspec import structs

from autotune.errors import UsageError
from autotune.outcome import Measured, ModelInfo
from autotune.records import Failed
from autotune.spec import TrialSpec
from autotune.stages.kept_bench import Known
from autotune.stages.learning import read_lessons
from autotune.stages.question import Keeping
from autotune.store.reading import answers_in
from autotune.together import file
from autotune.together.records import TogetherFile
from autotune.trial import wire


class Finished(NamedTuple):
    """A search that came to its end."""

    store: Path
    found: TogetherFile
    questions: int


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    with pytest.MonkeyPatch.context() as patch:
        desk = JointDesk(tmp_path_factory.mktemp("finished"), patch)
        found = desk.search()
        yield Finished(desk.store, found, desk.world.asked)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JointDesk:
    return JointDesk(tmp_path, monkeypatch)


@pytest.fixture
def answered(desk: JointDesk, finished: Finished) -> JointDesk:
    """A desk whose store has the answer; its models have the same content elsewhere."""
    shutil.copy(finished.store, desk.store)
    return desk


def test_killed_anywhere_it_goes_on_and_measures_nothing_twice(
    desk: JointDesk, finished: Finished
) -> None:
    whole, questions = finished.found, finished.questions
    for dies_at in {1, *map(int, np.linspace(3, questions, 3))}:
        desk.store = desk.folder / f"killed at {dies_at}.sqlite"
        desk.search_until_killed(dies_at)
        assert joint_without_times(desk.search()) == joint_without_times(whole), dies_at
        assert desk.world.asked == questions - (dies_at - 1), dies_at
        assert any("going on with the search of" in text for text in desk.said)


def test_killed_again_and_again_it_comes_to_its_end_with_the_same_answer(
    desk: JointDesk, finished: Finished
) -> None:
    kills = 0
    while True:
        try:
            found = desk.search(dies_at=11)
            break
        except Killed:
            kills += 1
    assert kills > 2
    assert joint_without_times(found) == joint_without_times(finished.found)
    assert found.seconds == pytest.approx(finished.found.seconds, abs=1.0)


def test_an_interrupted_search_answers_and_goes_on_another_time(
    desk: JointDesk, finished: Finished
) -> None:
    found = desk.search(dies_at=finished.questions - 1, interrupted=True)
    assert (found.status, found.stopped) == ("interrupted", "interrupted")
    assert joint_without_times(desk.search()) == joint_without_times(finished.found)
    assert desk.world.asked == 2


def test_what_was_answered_is_answered_from_the_store_and_fresh_starts_over(
    answered: JointDesk, finished: Finished
) -> None:
    desk, first = answered, finished.found
    output = desk.folder / "together.autotune.json"
    assert desk.search(output=output) == first
    assert desk.world.asked == 0
    assert f"answered from the store: measured on {first.started_at}" in desk.said[0]
    assert file.read(output) == first
    desk.search_until_killed(1, fresh=True)
    assert not any("going on" in text for text in desk.said)


def test_an_answer_of_a_version_that_is_unknown_is_made_again_of_what_was_measured(
    answered: JointDesk, finished: Finished
) -> None:
    with sqlite3.connect(answered.store) as connection:
        connection.execute("UPDATE searches SET answer = '{}'")
    assert joint_without_times(answered.search()) == joint_without_times(finished.found)
    assert answered.world.asked == 0


def test_another_question_is_another_search(answered: JointDesk) -> None:
    for change in ({"load_rps": 50.0}, {"slo_ms": 41.0}, {"seed": 1}, {"budget_s": 31.0}):
        answered.search_until_killed(1, **change)
        assert not any("anew" in text for text in answered.said)


def test_where_a_model_changed_it_is_said_and_all_is_measured_anew(
    answered: JointDesk,
) -> None:
    # Of which models a search was is known by their content or their places, here by these.
    with sqlite3.connect(answered.store) as connection:
        places = os.pathsep.join(map(str, answered.models))
        connection.execute("UPDATE searches SET model = ?", (places,))
    answered.models[1].write_text("another model")
    answered.search_until_killed(1)
    assert answered.said[0].startswith("measuring anew: since ")
    assert "the model's file changed" in answered.said[0]


@pytest.mark.parametrize("finished", [True, False])
def test_files_that_belong_to_any_of_the_models_are_part_of_them(
    desk: JointDesk, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    weights = [desk.folder / f"{name}.data" for name in "ab"]
    for path in weights:
        path.write_text("weights")
    inspect = MortalBench.inspect

    def with_weights(self: MortalBench, requests_folder: str | None = None) -> ModelInfo:
        number = desk.world.benches.index(self)
        return structs.replace(inspect(self, requests_folder), files=(str(weights[number]),))

    monkeypatch.setattr(MortalBench, "inspect", with_weights)
    desk.search() if finished else desk.search_until_killed(30)
    weights[0].write_text("others")
    desk.search_until_killed(1)
    assert f"{weights[0]} changed" in desk.said[0]
    assert not any(str(weights[1]) in text for text in desk.said)


def test_raw_samples_and_arrivals_of_all_are_stored(finished: Finished) -> None:
    with sqlite3.connect(finished.store) as connection:
        query = "SELECT asked, outcome FROM records WHERE kind = 'measure together'"
        asked, outcome = connection.execute(query).fetchone()
    seats = msgspec.msgpack.decode(
        asked, type=tuple[str, str, list[tuple[TrialSpec, list[int] | None, int, bool]]]
    )[2]
    decoder = msgspec.msgpack.Decoder(Known[list[Measured] | Failed], dec_hook=wire.array_of_bytes)
    known = decoder.decode(zlib.decompress(outcome))
    assert isinstance(known.outcome, list)
    for run, (trial, _, _, _) in zip(known.outcome, seats, strict=True):
        assert run.scheduled_s.tolist() == trial.arrivals_s[: run.served]


def test_a_store_with_joint_searches_serves_those_for_one_model(
    answered: JointDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(answers_in(answered.store)) == 1
    with pytest.raises(UsageError, match="teaches nothing"):
        read_lessons(answered.store)
    single = make_desk(tmp_path, monkeypatch)
    single.store = answered.store
    single.search_until_killed(20)
    assert single.said == ["learning from 21 earlier searches"]
    answered.search()
    assert answered.world.asked == 0


def test_a_store_that_cannot_be_used_is_said_in_one_line(
    desk: JointDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.folder / "file").write_text("")
    desk.store = desk.folder / "file" / "x"
    with pytest.raises(UsageError, match=r"--store .*file: cannot be made a folder") as caught:
        desk.search()
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("XDG_DATA_HOME", str(desk.folder / "file"))
    desk.search_until_killed(1, keeping=Keeping(allow_shared=True))
    assert desk.said[0].startswith("measurements are not kept, so a search that dies starts over")
