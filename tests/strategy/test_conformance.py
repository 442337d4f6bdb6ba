"""What every search must do, whatever it believes. Add a factory to `FACTORIES` to admit one."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.outcome import Samples
from autotune.strategy.protocol import Observation, Pair, Strategy
from autotune.strategy.rrl import Rrl

Factory = Callable[[Samples, Samples, Samples], Strategy]


def make_rrl(predicted_s: Samples, coordinates: Samples, loads_rps: Samples) -> Strategy:
    return Rrl(predicted_s, coordinates, loads_rps)


FACTORIES: list[Factory] = [make_rrl]
every_strategy = pytest.mark.parametrize("factory", FACTORIES)


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

    def searched_by(self, factory: Factory) -> Strategy:
        return factory(self.predicted_s, self.coordinates, self.loads_rps)


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
        ratio = float(np.log(world.true_s[pair] / world.predicted_s[pair]))
        failed = pair.point in world.failing
        strategy.tell(pair, Observation(None if failed else ratio, noise=0.05))
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
def test_it_ends_having_asked_only_for_existing_pairs_and_each_once(
    factory: Factory, world: World
) -> None:
    strategy = world.searched_by(factory)
    asked = search(strategy, world)
    loads, points = world.predicted_s.shape
    assert all(0 <= load < loads and 0 <= point < points for load, point in asked)
    assert len(set(asked)) == len(asked)
    assert strategy.ask(world.costs) is None


@every_strategy
@settings(deadline=None, max_examples=30)
@given(worlds)
def test_a_configuration_that_failed_is_not_asked_for_again_at_any_load(
    factory: Factory, world: World
) -> None:
    asked = search(world.searched_by(factory), world)
    failed = [pair.point for pair in asked if pair.point in world.failing]
    assert len(set(failed)) == len(failed)


@every_strategy
@settings(deadline=None, max_examples=30)
@given(worlds)
def test_every_load_is_measured_in_ascending_order_before_any_is_refined(
    factory: Factory, world: World
) -> None:
    asked = search(world.searched_by(factory), world)
    working = [pair.load for pair in asked if pair.point not in world.failing]
    loads, points = world.predicted_s.shape
    if set(range(points)) <= world.failing:
        assert working == []
        assert {pair.point for pair in asked} == set(range(points))
        return
    assert working[0] == 0
    firsts = list(dict.fromkeys(pair.load for pair in asked))
    assert firsts == sorted(firsts)
    assert firsts == list(range(loads))
    assert working[:loads] == list(range(loads))


@every_strategy
@settings(deadline=None, max_examples=30)
@given(worlds)
def test_the_same_answers_make_the_same_search(factory: Factory, world: World) -> None:
    one, other = world.searched_by(factory), world.searched_by(factory)
    assert search(one, world) == search(other, world)
    np.testing.assert_array_equal(one.estimated_s(), other.estimated_s())


@every_strategy
@settings(deadline=None, max_examples=30)
@given(worlds)
def test_best_names_the_measured_points_that_work_at_that_load_best_estimate_first(
    factory: Factory, world: World
) -> None:
    strategy = world.searched_by(factory)
    asked = search(strategy, world)
    estimated_s = strategy.estimated_s()
    for load in range(len(world.loads_rps)):
        best = strategy.best(load)
        worked = {p.point for p in asked if p.load == load and p.point not in world.failing}
        assert len(best) == len(worked)
        assert set(best) == worked
        assert (np.diff(estimated_s[load, best]) >= 0).all()


@every_strategy
@settings(deadline=None, max_examples=30)
@given(worlds)
def test_estimates_cover_every_pair_at_any_time(factory: Factory, world: World) -> None:
    strategy = world.searched_by(factory)
    for _ in range(6):
        estimated_s = strategy.estimated_s()
        assert estimated_s.shape == world.predicted_s.shape
        assert np.isfinite(estimated_s).all()
        assert (estimated_s > 0).all()
        step(strategy, world)


@every_strategy
def test_nothing_measured_means_nothing_is_best_yet(factory: Factory) -> None:
    strategy = make_world(0).searched_by(factory)
    assert strategy.best(0) == []


@every_strategy
def test_measuring_a_pair_brings_its_estimate_nearer_to_the_truth(factory: Factory) -> None:
    world = make_world(3)
    strategy = world.searched_by(factory)
    pair = strategy.ask(world.costs)
    assert pair is not None
    before_s = strategy.estimated_s()[pair]
    strategy.tell(pair, Observation(0.7, noise=0.05))
    moved = np.log(strategy.estimated_s()[pair] / before_s)
    assert 0.35 < moved <= 0.7 + 1e-9


@every_strategy
def test_what_it_ends_with_is_nearly_the_best_of_its_landscape(factory: Factory) -> None:
    for seed in range(10):
        world = make_world(seed, loads=2, points=12)
        strategy = world.searched_by(factory)
        search(strategy, world)
        for load in range(2):
            found_s = world.true_s[load, strategy.best(load)[0]]
            assert found_s <= 1.1 * world.true_s[load].min()
