"""Searches through a server, over a synthetic machine: from the engine's answer to the file."""

import json
from pathlib import Path

import pytest
from desk import Desk, make_desk
from msgspec.structs import replace

from autotune import config_file
from autotune.config_file import TunedFile
from autotune.outcome import TrialOutcome
from autotune.records import Failed
from autotune.spec import RUNTIME_DEFAULT, TrialSpec
from autotune.stages.question import Target
from autotune.stats.judge import Decides

SERVER = Target(server="litserve", python="python", version="1.0")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return make_desk(tmp_path, monkeypatch)


def through(desk: Desk, engine: TunedFile) -> TunedFile:
    return desk.search(target=SERVER, engine=engine)


def test_a_search_through_a_server_starts_from_what_the_engine_answered(desk: Desk) -> None:
    engine = desk.search()
    asked = desk.bench.asked
    tuned = through(desk, engine)
    assert desk.bench.asked < asked / 2  # the profile of the model is known
    assert tuned.trials[0].config == engine.policy[0].config
    assert any(trial.config == RUNTIME_DEFAULT for trial in tuned.trials)
    assert (tuned.lesson, tuned.service, tuned.repeat) == (None, None, None)
    assert tuned.reference == engine.reference
    assert tuned.target is not None
    assert tuned.target.describe() == "litserve 1.0"
    (load,) = tuned.target.loads
    assert engine.policy[0].measured is not None
    assert load.config == engine.policy[0].config
    assert load.engine == engine.policy[0].measured.objective
    assert load.ratio == pytest.approx(1.0, rel=0.2)  # it is the same machine
    assert "litserve answers" in tuned.summary
    assert config_file.parse(config_file.to_json(tuned).encode(), Path("a")) == tuned


@pytest.mark.slow
def test_the_server_has_the_loads_that_the_engine_answered_for(desk: Desk) -> None:
    engine = desk.search(traffics=None)
    tuned = desk.search(traffics=None, target=SERVER, engine=engine)
    loads = [entry.load_rps for entry in engine.policy]
    assert len(loads) > 2
    assert [entry.load_rps for entry in tuned.policy] == loads
    assert tuned.target is not None
    assert [one.load_rps for one in tuned.target.loads] == loads


def test_searches_of_the_engine_and_of_servers_are_not_mixed_up(desk: Desk) -> None:
    engine = desk.search()
    through(desk, engine)
    assert not any("answered from the store" in text for text in desk.said)
    again = through(desk, engine)
    assert desk.bench.asked == 0
    assert again.target is not None
    other = desk.search(target=replace(SERVER, version="2.0"), engine=engine)
    assert desk.bench.asked > 0
    assert other.target is not None
    assert other.target.version == "2.0"
    assert desk.search().target is None
    assert desk.bench.asked == 0


@pytest.mark.slow
def test_nobody_learns_from_what_a_server_took(desk: Desk) -> None:
    engine = desk.search()
    before = desk.search(seed=5).search.learnt
    through(desk, engine)
    after = desk.search(seed=6).search.learnt
    assert before is not None
    assert after is not None
    assert after.searches == before.searches + 1  # that of seed 5, and not the server's


def test_what_a_server_cannot_start_is_no_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = desk.search()
    chosen, kind = engine.policy[0].config, type(desk.bench)
    measure = kind.measure

    def fails(self: object, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        if trial.config == chosen:
            return Failed(kind="load_error", detail="no room")
        return measure(desk.bench, trial, judge)

    monkeypatch.setattr(kind, "measure", fails)
    tuned = through(desk, engine)
    assert tuned.policy[0].config != chosen
    assert tuned.target is not None
    assert tuned.target.loads[0].server is None
    assert json.loads(config_file.to_json(tuned))["target"]["loads"][0]["server"] is None
