"""What every search must do, whatever it believes. Add a factory to `FACTORIES` to admit one.

What any strategy must do is checked by the suite that other packages use; here are its worlds, what
beyond it the searches of this package must do, and that the suite sees what is wrong.
"""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugged_in import Orderly

from autotune.outcome import Samples
from autotune.strategy import conformance
from autotune.strategy.ablations import with_fixed_regions, without_prediction
from autotune.strategy.conformance import (
    CHECKS,
    Check,
    Make,
    World,
    check_strategy,
    make_world,
    search,
    some_world,
    step,
)
from autotune.strategy.protocol import Observation, Pair, Prediction, Setting, Strategy
from autotune.strategy.rrl import Rrl


def predicting(setting: Setting) -> Strategy:
    return Rrl(*setting)


def blank(setting: Setting) -> Strategy:
    return without_prediction(setting.coordinates, setting.loads)


def fixed(setting: Setting) -> Strategy:
    return with_fixed_regions(setting.coordinates, setting.loads)


FACTORIES: list[Make] = [predicting, blank, fixed]
every_strategy = pytest.mark.parametrize("factory", FACTORIES)
worlds = st.builds(
    make_world,
    seed=st.integers(0, 10_000),
    loads=st.integers(1, 3),
    points=st.integers(1, 12),
    failing=st.frozensets(st.integers(0, 11), max_size=12),
)


@every_strategy
@pytest.mark.parametrize("check", CHECKS)
@settings(deadline=None, max_examples=6)
@given(worlds)
def test_a_search_does_what_any_must(factory: Make, check: Check, world: World) -> None:
    check(factory, world)


@settings(deadline=None, max_examples=30)
@given(worlds)
def test_with_a_prediction_every_load_is_opened_in_ascending_order_before_any_is_refined(
    world: World,
) -> None:
    asked = search(predicting(world.setting), world)
    working = [pair.load for pair in asked if pair.point not in world.failing]
    loads, points = world.true.shape
    if not world.working:
        assert working == []
        assert {pair.point for pair in asked} == set(range(points))
        return
    assert working[:loads] == list(range(loads))


@every_strategy
def test_measuring_a_pair_brings_its_estimate_most_of_the_way_to_the_truth(factory: Make) -> None:
    world = make_world(3)
    strategy = factory(world.setting)
    for _ in range(4):
        step(strategy, world)
    pair = strategy.ask(world.costs_s)
    assert pair is not None
    before = float(strategy.estimate(pair.load)[pair.point])
    value = before + 0.7
    strategy.tell(pair, Observation(value, noise=0.05))
    after = float(strategy.estimate(pair.load)[pair.point])
    assert before + 0.3 < after <= value + 1e-9


@every_strategy
def test_what_it_ends_with_is_nearly_the_best_of_its_landscape(factory: Make) -> None:
    off = []
    for seed in range(12):
        world = make_world(seed, loads=2, points=12)
        strategy = factory(world.setting)
        search(strategy, world)
        for load, true in enumerate(world.true):
            off.append(np.expm1(true[strategy.best(load)[0]] - true.min()))
    assert np.quantile(off, 0.9) <= 0.05


@every_strategy
def test_a_landscape_flat_but_for_rounding_ends_the_search(factory: Make) -> None:
    world = make_world(1)
    values = np.log(0.1) + 1e-11 * np.arange(float(world.true.size)).reshape(world.true.shape)
    predicted = Prediction(np.full_like(values, np.log(0.1)))
    flat = world._replace(setting=world.setting._replace(predicted=predicted), true=values)
    strategy = factory(flat.setting)
    search(strategy, flat)
    assert strategy.best(0)


@every_strategy
def test_a_pair_told_twice_is_believed_to_lie_between(factory: Make) -> None:
    strategy = factory(make_world(2).setting)
    for value in (-3.0, -2.0):
        strategy.tell(Pair(0, 5), Observation(value, 0.05))
    assert -3.0 < strategy.estimate(0)[5] < -2.0
    assert strategy.best(0) == [5]


@every_strategy
def test_a_limit_that_was_not_foreseen_and_nothing_meets_ends_the_search(factory: Make) -> None:
    world = make_world(4, loads=1)
    strategy = factory(world.setting)
    for _ in range(12):
        pair = strategy.ask()
        if pair is None:
            break
        over = 5.0 + 0.1 * pair.point
        strategy.tell(pair, Observation(float(world.true[pair]), 0.05, over, 0.05))
    assert strategy.ask() is None
    assert strategy.best(0)


class Wrong(Orderly):
    """Right in all but what a class below does."""


class Endless(Wrong):
    def ask(self, cost_s: Samples | None = None) -> Pair | None:
        return super().ask(cost_s) or next(iter(self.told))


class Restless(Wrong):
    ended = False

    def ask(self, cost_s: Samples | None = None) -> Pair | None:
        found = super().ask(cost_s)
        if found is None and self.ended:
            return Pair(0, 0)
        self.ended = found is None
        return found


class Stubborn(Wrong):
    """Tries what failed at one load at the others."""

    def ask(self, cost_s: Samples | None = None) -> Pair | None:
        for load in range(self.shape[0]):
            for point in range(self.shape[1]):
                if Pair(load, point) not in self.told:
                    return Pair(load, point)
        return None


class Early(Wrong):
    most = 1


class Upside(Wrong):
    def best(self, load: int) -> list[int]:
        return super().best(load)[::-1]


class Forgetful(Wrong):
    def best(self, load: int) -> list[int]:
        return super().best(load)[:2]


class Infinite(Wrong):
    def estimate(self, load: int) -> Samples:
        found = super().estimate(load)
        found[-1] = np.inf
        return found


class Deaf(Wrong):
    def estimate(self, load: int) -> Samples:
        return np.asarray(self.setting.predicted.value[load])


class Moody(Wrong):
    made = 0

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        Moody.made += 1
        self.most = None if Moody.made % 2 else 1


class Selfish(Wrong):
    """Counts what it asked for, not what it is told."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.asked: set[Pair] = set()

    def ask(self, cost_s: Samples | None = None) -> Pair | None:
        told, self.told = self.told, {p: seen for p, seen in self.told.items() if p in self.asked}
        found = super().ask(cost_s)
        self.told = told
        self.asked |= {found} if found is not None else set()
        return found


class Reckless(Wrong):
    def best(self, load: int) -> list[int]:
        estimates = self.estimate(load)
        return sorted(super().best(load), key=lambda point: float(estimates[point]))


class Hopeful(Wrong):
    """Goes on until something keeps the limit."""

    def ask(self, cost_s: Samples | None = None) -> Pair | None:
        over = [seen.excess for seen in self.told.values() if seen.excess is not None]
        return super().ask(cost_s) or (Pair(0, 0) if over and min(over) > 0 else None)


class Dizzy(Wrong):
    def ask(self, cost_s: Samples | None = None) -> Pair | None:
        value = self.setting.predicted.value
        return None if float(np.ptp(value)) == 0.0 and value.size > 1 else super().ask(cost_s)


WRONG: dict[Callable[[Setting], Strategy], Check] = {
    Endless: conformance.asks_for_no_pair_twice,
    Restless: conformance.ends_for_good,
    Stubborn: conformance.leaves_alone_what_failed,
    Early: conformance.answers_every_load,
    Upside: conformance.ranks_what_it_measured,
    Forgetful: conformance.ranks_what_it_measured,
    Infinite: conformance.estimates_every_point,
    Deaf: conformance.learns_from_a_measurement,
    Moody: conformance.repeats_itself,
    Selfish: conformance.goes_on_from_what_it_is_told,
    Reckless: conformance.prefers_what_keeps_the_limit,
    Hopeful: conformance.ends_where_nothing_keeps_the_limit,
    Dizzy: conformance.stands_on_flat_ground,
}


def test_every_check_sees_something_wrong() -> None:
    assert set(WRONG.values()) == set(CHECKS)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_seen_by_its_check(wrong: Make) -> None:
    seen = []
    for seed in range(24):
        WRONG[wrong](Orderly, some_world(seed))
        try:
            WRONG[wrong](wrong, some_world(seed))
        except AssertionError as error:
            seen.append(str(error))
    assert len(seen) >= 6
    assert all(text.startswith(("it ", "given the same", "where nothing")) for text in seen)
    with pytest.raises(AssertionError, match=r"^\w+, world \d+: "):
        check_strategy(wrong)


def test_an_error_is_told_with_its_check_and_world() -> None:
    def broken(setting: Setting) -> Strategy:
        raise ZeroDivisionError("no points")

    expected = r"^asks_for_no_pair_twice, world 0: ZeroDivisionError: no points$"
    with pytest.raises(AssertionError, match=expected):
        check_strategy(broken)


@pytest.mark.parametrize("asked", [(9, 0), (0, -1), (0,), "ab", 3, (0.0, 1.0)])
def test_what_does_not_exist_is_not_measured(asked: object) -> None:
    class Astray(Orderly):
        def ask(self, cost_s: Samples | None = None) -> Pair | None:
            return asked  # type: ignore[return-value]

    with pytest.raises(AssertionError, match="it asks for"):
        check_strategy(Astray)


def test_the_suite_needs_no_test_tools() -> None:
    script = (
        "import sys, autotune.strategy.conformance\n"
        "assert not {'pytest', 'hypothesis', 'pandas', 'onnxruntime'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_asks_for_everything_is_a_strategy() -> None:
    check_strategy(Orderly)
