"""A strategy of another package is watched: what it does wrong is one line with its name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugged_in import Orderly

from autotune.errors import UsageError
from autotune.outcome import Samples
from autotune.strategy.conformance import check_strategy, make_world, search, some_world
from autotune.strategy.plugged import Plugged
from autotune.strategy.plugins import Plugin
from autotune.strategy.protocol import Observation, Pair, Prediction, Search, Setting, Strategy

WORLD = make_world(0, loads=2, points=6)


def plugged(make: Callable[[Setting], Any], setting: Setting = WORLD.setting) -> Search:
    return Plugged(Plugin("mine", "some-strategy 1.0", make), setting)


def with_limit(excess: Samples, max_risk: float | None = 0.05) -> Setting:
    settings = WORLD.setting.settings._replace(max_risk=max_risk)
    return WORLD.setting._replace(predicted_excess=Prediction(excess, 0.1), settings=settings)


def test_a_strategy_stays_one_behind_the_watch() -> None:
    def make(setting: Setting) -> Strategy:
        return plugged(Orderly, setting)

    check_strategy(make)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_behind_the_watch_it_asks_and_answers_the_same(seed: int) -> None:
    world = some_world(seed)
    watched, bare = plugged(Orderly, world.setting), Orderly(world.setting)
    assert search(watched, world) == search(bare, world)
    for load in range(len(world.true)):
        assert watched.best(load) == bare.best(load)
        np.testing.assert_array_equal(watched.estimate(load), bare.estimate(load))


def test_what_it_cannot_say_is_not_made_up() -> None:
    strategy = plugged(Orderly)
    strategy.tell(Pair(1, 2), Observation(-3.0))
    assert strategy.doubts() == (None, None)
    assert strategy.regions(0).tolist() == [-1] * 6
    assert strategy.risk(0).tolist() == [0.0] * 6


def test_the_risk_is_that_of_the_prediction_or_of_the_measurement() -> None:
    strategy = plugged(Orderly, with_limit(np.array([[-1.0, 0, 0, 0, 0, 1.0]] * 2)))
    assert strategy.risk(0) == pytest.approx([0, 0.5, 0.5, 0.5, 0.5, 1], abs=1e-6)
    strategy.tell(Pair(0, 0), Observation(-3.0, 0.05, 0.4, 0.05))
    assert strategy.risk(0)[0] > 0.99
    assert strategy.risk(1)[0] < 0.01
    strategy.expect(WORLD.setting.predicted, Prediction(np.full((2, 6), -1.0), 0.1))
    assert strategy.risk(0) == pytest.approx([1, 0, 0, 0, 0, 0], abs=1e-6)


def test_a_risk_that_is_bounded_is_not_taken_and_the_search_goes_on() -> None:
    excess = np.array([[-1.0, 1, -1, 1, -1, 1], [1.0] * 6])
    made: list[Orderly] = []

    def make(setting: Setting) -> Strategy:
        made.append(Orderly(setting))
        return made[0]

    setting = with_limit(excess)
    strategy = plugged(make, setting)
    asked = []
    while (pair := strategy.ask()) is not None:
        asked.append(pair)
        strategy.tell(pair, Observation(-3.0, 0.05, -1.0, 0.05))
    assert sorted(asked) == [Pair(0, 0), Pair(0, 2), Pair(0, 4)]
    assert sorted(strategy.best(0)) == [0, 2, 4]
    assert strategy.best(1) == []  # though it was told what is predicted there:
    assert len(made[0].told) == 12
    predicted = float(setting.predicted.value[1, 3])
    assert made[0].told[Pair(1, 3)] == Observation(predicted, 0.2, 1.0, 0.1)
    every = plugged(Orderly, with_limit(excess, max_risk=None))
    assert len(search(every, WORLD)) == 12


def test_predictions_are_passed_on_to_one_that_wants_them() -> None:
    class Keen(Orderly):
        def expect(self, predicted: Prediction, excess: Prediction | None = None) -> None:
            self.setting = self.setting._replace(predicted=predicted)

    better = Prediction(np.zeros((2, 6)), 0.1, taught=Prediction(np.ones((2, 6))))
    keen, other = plugged(Keen), plugged(Orderly)
    for strategy in (keen, other):
        strategy.expect(better)
    assert keen.estimate(1).tolist() == [0.0] * 6
    np.testing.assert_array_equal(other.estimate(1), WORLD.setting.predicted.value[1])


def test_what_it_does_to_what_it_is_given_is_its_own_business() -> None:
    class Vandal(Orderly):
        def __init__(self, setting: Setting) -> None:
            super().__init__(setting)
            setting.predicted.value[:] = 0
            setting.coordinates[:] = 0

        def ask(self, cost_s: Samples | None = None) -> Pair | None:
            if cost_s is not None:
                cost_s[:] = 0
            return super().ask(cost_s)

    before, costs_s = WORLD.setting.coordinates.copy(), np.ones((2, 6))
    strategy = plugged(Vandal)
    assert strategy.ask(costs_s) is not None
    np.testing.assert_array_equal(WORLD.setting.coordinates, before)
    assert WORLD.setting.predicted.value.any()
    assert costs_s.all()


def failing(setting: Setting) -> Any:
    raise KeyError("seed")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (failing, "fails in making it: KeyError: 'seed'"),
        (lambda setting, more: None, "fails in making it: TypeError:"),
        (lambda setting: None, "makes a NoneType, which has no method ask or tell or best or est"),
        (lambda setting: Orderly, r"fails in estimate\(\): TypeError:"),
    ],
)
def test_what_makes_no_strategy_is_refused(make: Callable[..., Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=f"^--strategy mine: some-strategy 1.0 {complaint}"):
        plugged(make)


def asking(pair: object) -> type[Orderly]:
    class Asking(Orderly):
        def ask(self, cost_s: Samples | None = None) -> Any:
            return pair

    return Asking


@pytest.mark.parametrize(
    ("pair", "complaint"),
    [
        ((2, 0), "point 0 at load 2, where there are 2 loads and 6 points, counted from 0"),
        ((0, 6), "point 6 at load 0, where there are 2 loads"),
        ((0, -1), "point -1 at load 0, where"),
        ((0, 0.5), "(0, 0.5), which is no pair of a load and a point"),
        (7, "7, which is no pair"),
        ((1, 2, 3), "(1, 2, 3), which is no pair"),
        ("a" * 1000, "'aaaaaaaaaaaa...aaaaaaaaaaaaa', which is no pair"),
    ],
)
def test_what_does_not_exist_is_not_measured(pair: object, complaint: str) -> None:
    strategy = plugged(asking(pair))
    with pytest.raises(UsageError) as refused:
        strategy.ask()
    assert str(refused.value).startswith(f"--strategy mine: some-strategy 1.0 asks for {complaint}")


def test_a_pair_is_measured_once() -> None:
    strategy = plugged(asking(np.array([1, 2])))
    pair = strategy.ask()
    assert pair == Pair(1, 2)
    assert strategy.ask() == pair  # it may change its mind, or not, until it is told
    strategy.tell(Pair(1, 2), Observation(-3.0))
    with pytest.raises(UsageError, match="asks again for point 2 at load 1, which it was told of"):
        strategy.ask()


@pytest.mark.parametrize(
    ("ranked", "complaint"),
    [
        ([0, 5], "ranks point 5 at load 0 that it was not told works"),
        ([1], "ranks point 1 at load 0 that it was not told works"),
        ([0, 0], "ranks point 0 at load 0 twice"),
        (["a"], r"fails in best\(\): TypeError:"),
    ],
)
def test_a_ranking_of_what_was_not_measured_is_refused(ranked: Any, complaint: str) -> None:
    class Ranking(Orderly):
        def best(self, load: int) -> Any:
            return ranked if self.told and load == 0 else []

    strategy = plugged(Ranking)
    strategy.tell(Pair(0, 0), Observation(-3.0))
    strategy.tell(Pair(0, 1), Observation(None))
    with pytest.raises(UsageError, match=complaint):
        strategy.best(0)


@pytest.mark.parametrize(
    ("estimate", "complaint"),
    [
        (np.zeros(5), r"estimates shape \(5,\), not \(6,\)"),
        (0.0, r"estimates shape \(\), not \(6,\)"),
        ([0, 0, 0, np.nan, 0, 0], "estimates nan of point 3 at load 0"),
        (["a"] * 6, r"fails in estimate\(\): ValueError:"),
    ],
)
def test_estimates_that_are_none_are_refused_before_anything_is_measured(
    estimate: Any, complaint: str
) -> None:
    class Estimating(Orderly):
        def estimate(self, load: int) -> Any:
            return estimate

    with pytest.raises(UsageError, match=complaint):
        plugged(Estimating)


@pytest.mark.parametrize("method", ["ask", "tell", "best", "estimate"])
def test_an_error_in_the_middle_says_where(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    strategy = plugged(Orderly)

    def fail(*arguments: object) -> None:
        raise RuntimeError("out of\nideas")

    monkeypatch.setattr(Orderly, method, fail)
    calls = {"ask": (), "tell": (Pair(0, 0), Observation(-3.0))}
    with pytest.raises(UsageError) as refused:
        getattr(strategy, method)(*calls.get(method, (0,)))
    expected = f"--strategy mine: some-strategy 1.0 fails in {method}(): RuntimeError: out of ideas"
    assert str(refused.value) == expected
    assert isinstance(refused.value.__cause__, RuntimeError)
