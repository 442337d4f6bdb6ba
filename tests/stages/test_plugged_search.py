"""A search by a strategy of another package, over a synthetic machine."""

import json
import sys
from pathlib import Path

import pytest
from desk import Desk, Killed, make_desk, simulate_less, without_times
from plugged_in import Orderly, install
from synthetic import SyntheticBench, run

from autotune.arrivals import Traffic
from autotune.errors import UsageError
from autotune.spec import ModelSpec, Slo
from autotune.stages.events import Tried
from autotune.stages.premises import asked_of
from autotune.stages.question import Question
from autotune.strategy.protocol import Observation, Pair

CODE = """
from plugged_in import Orderly


class Few(Orderly):
    most = 4


class Doubtful(Orderly):
    def estimate(self, load):
        if len(self.told) > 2:
            raise ValueError("estimates are out")
        return super().estimate(load)
"""
POINTS = {
    "orderly": "plugged_in:Orderly",
    "few": "some_strategy:Few",
    "doubtful": "some_strategy:Doubtful",
}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "some_strategy", None)
    monkeypatch.delitem(sys.modules, "some_strategy")
    simulate_less(monkeypatch)
    install(monkeypatch, tmp_path, "some_strategy", POINTS, CODE)


def question(strategy: str) -> Question:
    return Question(
        model=ModelSpec(path="synthetic"),
        name="synthetic",
        slo=Slo(latency_ms=50),
        traffics=[Traffic(load_rps=130)],
        budget_s=60.0,
        max_trials=None,
        seed=0,
        output=None,
        strategy=strategy,
    )


def test_what_it_asks_for_is_measured_and_what_it_ranks_is_confirmed() -> None:
    tuned, events = run([130, 260], SyntheticBench(), strategy="few")
    searched = [trial for trial in tuned.trials if trial.phase == "search"]
    assert len({(trial.load_rps, trial.config) for trial in searched}) == len(searched) == 4
    assert tuned.search.stopped == "settled"
    assert {entry.evidence for entry in tuned.policy} == {"confirmed"}
    confirmed = {trial.config for trial in tuned.trials if trial.phase == "confirm"}
    assert confirmed & {trial.config for trial in searched}
    last = [one for one in events if isinstance(one, Tried)][-1]
    assert all(standing.doubt is None for standing in last.standings)
    assert tuned.lattice is not None
    assert {region for row in tuned.lattice.region_of for region in row} == {-1}


def test_a_bounded_risk_is_kept_by_one_that_knows_of_none() -> None:
    tuned, _ = run([130, 400], SyntheticBench(), strategy="orderly", max_risk=0.05, max_trials=50)
    searched = [trial for trial in tuned.trials if trial.phase == "search"]
    assert {trial.load_rps for trial in searched} == {130}  # nothing sustains 400/s
    assert tuned.search.violations == 0


def test_what_fails_in_the_middle_is_one_line_that_names_it() -> None:
    with pytest.raises(UsageError) as refused:
        run([130], SyntheticBench(), strategy="doubtful")
    assert str(refused.value) == (
        "--strategy doubtful: some_strategy 1.0 fails in best(): ValueError: estimates are out"
    )


def test_the_built_in_search_is_asked_as_it_always_was() -> None:
    assert "strategy" not in json.loads(asked_of(question("rrl")))
    asked = json.loads(asked_of(question("few")))
    assert asked.pop("strategy") == "few of some_strategy 1.0"
    assert asked == json.loads(asked_of(question("rrl")))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return make_desk(tmp_path, monkeypatch)


def test_killed_it_goes_on_and_measures_nothing_twice(desk: Desk) -> None:
    whole = desk.search(strategy="orderly")
    questions = desk.bench.asked
    for dies_at in (questions // 2, questions - 19, questions - 2):
        desk.store = desk.folder / f"killed at {dies_at}.sqlite"
        with pytest.raises(Killed):
            desk.search(dies_at, strategy="orderly")
        assert without_times(desk.search(strategy="orderly")) == without_times(whole)
        assert desk.bench.asked == questions - (dies_at - 1)


def test_what_was_measured_before_it_failed_is_not_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = desk.search(strategy="orderly")
    questions = desk.bench.asked
    desk.store = desk.folder / "failed.sqlite"
    sound = Orderly.tell

    def failing(self: Orderly, pair: Pair, observation: Observation) -> None:
        if self.told:
            raise RuntimeError("two is too much")
        sound(self, pair, observation)

    with monkeypatch.context() as patch:
        patch.setattr(Orderly, "tell", failing)
        with pytest.raises(UsageError, match=r"fails in tell\(\): RuntimeError: two is too much$"):
            desk.search(strategy="orderly")
    measured = desk.bench.asked
    assert measured >= 2
    assert without_times(desk.search(strategy="orderly")) == without_times(whole)
    assert desk.bench.asked == questions - measured
    assert any("going on with the search of" in text for text in desk.said)


def test_another_strategy_is_another_search(desk: Desk) -> None:
    desk.search()
    first = desk.bench.asked
    desk.search(strategy="few")
    assert desk.bench.asked > 0.5 * first
    desk.search()
    assert desk.bench.asked == 0
