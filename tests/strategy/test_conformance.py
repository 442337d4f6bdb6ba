"""What every search must do, whatever it believes. Add a factory to `FACTORIES` to admit one."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.outcome import Samples
from autotune.strategy.ablations import with_fixed_regions, without_prediction
from autotune.strategy.protocol import Observation, Pair, Prediction, Strategy
from autotune.strategy.rrl import Rrl


class World(NamedTuple):
    """A landscape to search: what is predicted, what is true, and what fails."""

    predicted_s: Samples
    true_s: Samples
    failing: frozenset[int]
    coordinates: Samples
    loads_rps: Samples

    @property
    def costs(self) -> Samples:
        return np.linspace(1.0, 3.0, self.predicted_s.size).reshape(self.predicted_s.shape)


Factory = Callable[[World], Strategy]


def predicting(world: World) -> Strategy:
    prediction = Prediction(np.log(world.predicted_s))
    return Rrl(world.coordinates, np.log2(world.loads_rps), prediction)


def blank(world: World) -> Strategy:
    return without_prediction(world.coordinates, np.log2(world.loads_rps))


def fixed(world: World) -> Strategy:
    return with_fixed_regions(world.coordinates, np.log2(world.loads_rps))


FACTORIES: list[Factory] = [predicting, blank, fixed]
every_strategy = pytest.mark.parametrize("factory", FACTORIES)


def make_world(
    seed: int, loads: int = 2, points: int = 12, failing: frozenset[int] = frozenset()
) -> World:
    rng = np.random.default_rng(seed)
    coordinates = np.stack([np.arange(points) // 4, np.arange(points) % 4], axis=1)
    predicted_s = rng.lognormal(-3, 0.5, (loads, points))
    error = 0.3 * np.sin(coordinates[:, 0] + rng.uniform(0, 6)) + 0.05 * rng.normal(size=points)
    return World(
        predicted_s=predicted_s,
        true_s=predicted_s * np.exp(error),
        failing=failing,
        coordinates=coordinates.astype(np.float64),
        loads_rps=10.0 * np.exp2(np.arange(loads)),
    )


def step(strategy: Strategy, world: World) -> Pair | None:
    pair = strategy.ask(world.costs)
    if pair is not None:
        value = None if pair.point in world.failing else float(np.log(world.true_s[pair]))
        strategy.tell(pair, Observation(value, noise=0.05))
    return pair


def search(strategy: Strategy, world: World) -> list[Pair]:
    """Every pair asked for until the strategy stops; fails if it asks more than there is."""
    asked = []
    while (pair := step(strategy, world)) is not None:
        asked.append(pair)
        assert len(asked) <= world.predicted_s.size
    return asked


worlds = st.builds(
    make_world,
    seed=st.integers(0, 10_000),
    loads=st.integers(1, 3),
    points=st.integers(1, 12),
    failing=st.frozensets(st.integers(0, 11), max_size=12),
)


@every_strategy
@settings(deadline=None, max_examples=30)
@given(worlds)
def test_a_search_asks_for_what_exists_and_once_and_leaves_no_load_without_an_answer(
    factory: Factory, world: World
) -> None:
    """All that holds of any search that ended, of one search each."""
    strategy = factory(world)
    asked = search(strategy, world)
    loads, points = world.predicted_s.shape
    assert all(0 <= load < loads and 0 <= point < points for load, point in asked)
    assert len(set(asked)) == len(asked)
    assert strategy.ask(world.costs) is None
    failed = [pair.point for pair in asked if pair.point in world.failing]
    assert len(set(failed)) == len(failed), "what failed is not asked for again at any load"
    if not set(range(points)) <= world.failing:
        assert all(strategy.best(load) for load in range(loads))
    for load in range(loads):
        # The measured points that work at that load, the best estimate first.
        best = strategy.best(load)
        worked = {pair.point for pair in asked if pair.load == load} - set(failed)
        assert len(best) == len(worked)
        assert set(best) == worked
        assert (np.diff(strategy.estimate(load)[best]) >= -1e-9).all()


@settings(deadline=None, max_examples=30)
@given(worlds)
def test_with_a_prediction_every_load_is_opened_in_ascending_order_before_any_is_refined(
    world: World,
) -> None:
    asked = search(predicting(world), world)
    working = [pair.load for pair in asked if pair.point not in world.failing]
    loads, points = world.predicted_s.shape
    if set(range(points)) <= world.failing:
        assert working == []
        assert {pair.point for pair in asked} == set(range(points))
        return
    assert working[:loads] == list(range(loads))


@every_strategy
@settings(deadline=None, max_examples=10)
@given(worlds)
def test_the_same_answers_make_the_same_search(factory: Factory, world: World) -> None:
    one, other = factory(world), factory(world)
    assert search(one, world) == search(other, world)
    np.testing.assert_array_equal(one.estimate(0), other.estimate(0))


@every_strategy
@settings(deadline=None, max_examples=15)
@given(worlds)
def test_estimates_cover_every_pair_at_any_time(factory: Factory, world: World) -> None:
    strategy = factory(world)
    for _ in range(6):
        for load in range(len(world.loads_rps)):
            found = strategy.estimate(load)
            assert found.shape == world.predicted_s.shape[1:]
            assert np.isfinite(found).all()
        step(strategy, world)


@every_strategy
def test_nothing_measured_means_nothing_is_best_yet(factory: Factory) -> None:
    assert factory(make_world(0)).best(0) == []


@every_strategy
def test_measuring_a_pair_brings_its_estimate_nearer_to_the_truth(factory: Factory) -> None:
    world = make_world(3)
    strategy = factory(world)
    for _ in range(4):
        step(strategy, world)
    pair = strategy.ask(world.costs)
    assert pair is not None
    before = float(strategy.estimate(pair.load)[pair.point])
    value = before + 0.7
    strategy.tell(pair, Observation(value, noise=0.05))
    after = float(strategy.estimate(pair.load)[pair.point])
    assert before + 0.3 < after <= value + 1e-9


@every_strategy
def test_what_it_ends_with_is_nearly_the_best_of_its_landscape(factory: Factory) -> None:
    off = []
    for seed in range(12):
        world = make_world(seed, loads=2, points=12)
        strategy = factory(world)
        search(strategy, world)
        for load in range(2):
            found_s = world.true_s[load, strategy.best(load)[0]]
            off.append(found_s / world.true_s[load].min() - 1)
    assert np.quantile(off, 0.9) <= 0.05


@every_strategy
@pytest.mark.parametrize("spread", [0.0, 1e-12])
def test_a_flat_landscape_ends_the_search(factory: Factory, spread: float) -> None:
    world = make_world(1)
    values = 0.1 + spread * np.arange(float(world.true_s.size)).reshape(world.true_s.shape)
    flat = world._replace(predicted_s=np.full_like(values, 0.1), true_s=values)
    strategy = factory(flat)
    search(strategy, flat)
    assert strategy.best(0)


@every_strategy
def test_a_pair_told_twice_is_believed_to_lie_between(factory: Factory) -> None:
    world = make_world(2)
    strategy = factory(world)
    for value in (-3.0, -2.0):
        strategy.tell(Pair(0, 5), Observation(value, 0.05))
    assert -3.0 < strategy.estimate(0)[5] < -2.0
    assert strategy.best(0) == [5]


@every_strategy
def test_a_limit_that_nothing_meets_ends_the_search_with_the_nearest_first(
    factory: Factory,
) -> None:
    world = make_world(4, loads=1)
    strategy = factory(world)
    for _ in range(12):
        pair = strategy.ask()
        if pair is None:
            break
        over = 5.0 + 0.1 * pair.point
        strategy.tell(pair, Observation(float(np.log(world.true_s[pair])), 0.05, over, 0.05))
    assert strategy.ask() is None
    assert strategy.best(0)
