"""What was learnt elsewhere: worth its weight where it holds, and soon outweighed where not."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from autotune.outcome import Samples
from autotune.strategy.mixture import Mixture, believe
from autotune.strategy.protocol import Observation, Pair, Prediction, SearchSettings
from autotune.strategy.rrl import Rrl

NEAR = 0.05
LOADS = np.log2(np.array([20.0, 80.0, 160.0]))


class World(NamedTuple):
    """A landscape whose prediction errs as it usually does."""

    coordinates: Samples
    predicted: Samples
    true: Samples
    """Both logarithms, shape (loads, points)."""

    @property
    def error(self) -> Samples:
        return self.true - self.predicted


def make_world(seed: int) -> World:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(6), np.arange(6), indexing="ij"), axis=-1).reshape(-1, 2)
    predicted = rng.normal(-4, 0.3, (3, 36))
    slope = rng.uniform(0.15, 0.3)
    error = slope * (grid[:, 0] - 2.5) * np.array([[0.5], [1.0], [1.5]])
    return World(grid.astype(float), predicted, predicted + error + rng.normal(0, 0.05, (3, 36)))


def measurements_to_near(world: World, taught: Samples | None, seed: int = 0) -> int:
    """How many it takes until every load's answer is within 5 % of the best; 108 at most."""
    known = None if taught is None else Prediction(world.predicted + taught, 0.15)
    search = Rrl(
        world.coordinates,
        LOADS,
        Prediction(world.predicted, 0.4, known),
        settings=SearchSettings(seed=seed),
    )
    rng = np.random.default_rng(seed)
    for count in range(1, world.true.size + 1):
        pair = search.ask_on()
        assert pair is not None
        search.tell(pair, Observation(float(world.true[pair] + rng.normal(0, 0.03)), 0.05))
        found = [search.best(load)[:1] for load in range(3)]
        if all(
            best and world.true[load, best[0]] <= world.true[load].min() + NEAR
            for load, best in enumerate(found)
        ):
            return count
    return world.true.size


WORLDS = [make_world(seed) for seed in range(8)]
COLD = [measurements_to_near(world, None) for world in WORLDS]


def test_a_past_that_holds_saves_measurements() -> None:
    warm = [measurements_to_near(world, 0.9 * world.error) for world in WORLDS]
    assert np.median(warm) <= 4  # at least one a load is needed
    assert np.sum(warm) < 0.6 * np.sum(COLD)


ADVERSARIES: dict[str, Callable[[World], Samples]] = {
    "says the opposite": lambda world: -2.0 * world.error,
    "praises the worst": lambda world: np.where(
        world.true > np.quantile(world.true, 0.8), -1.5, 1.5
    ),
    "is sure of one bad point": lambda world: (
        np.where(np.arange(36) == int(np.argmax(world.true.sum(axis=0))), -2.5, 0.0)
        + 0.0 * world.true
    ),
    "is off by a factor of 20": lambda world: np.full_like(world.true, 3.0),
}


@pytest.mark.parametrize("name", ADVERSARIES)
def test_a_past_that_misleads_costs_a_few_measurements_at_most(name: str) -> None:
    misled = [measurements_to_near(world, ADVERSARIES[name](world)) for world in WORLDS]
    more = np.array(misled) - np.array(COLD)
    assert np.median(more) <= 3
    assert np.mean(more) <= 4


def mixture(world: World, taught: Samples) -> Mixture:
    known = Prediction(world.predicted + taught, 0.15)
    predicted = Prediction(world.predicted, 0.4, known)
    loads = np.array([[0.0], [0.5], [1.0]])
    found = believe(world.coordinates / 5, loads, predicted, SearchSettings())
    assert isinstance(found, Mixture)
    return found


@pytest.mark.parametrize(("factor", "trusted"), [(1.0, True), (-2.0, False)])
def test_trust_follows_what_was_foretold(factor: float, trusted: bool) -> None:
    world = WORLDS[0]
    belief = mixture(world, factor * world.error)
    assert belief.trust == 0.5
    for pair in (0, 5, 40, 70, 100):
        belief.learn(pair, float(world.true.ravel()[pair]), 0.05)
    assert (belief.trust > 0.8) is trusted
    assert (belief.trust < 0.05) is not trusted


def test_what_is_believed_lies_between_both_and_knows_that_either_may_hold() -> None:
    world = WORLDS[1]
    belief = mixture(world, np.full_like(world.true, 1.0))
    pairs = np.arange(world.true.size)
    mean, deviation = belief.at(pairs)
    np.testing.assert_allclose(mean, world.predicted.ravel() + 0.5, atol=1e-9)
    assert (deviation > 0.5).all()
    belief.learn(3, float(world.predicted.ravel()[3]), 0.05)
    drawn = belief.draw(pairs[:10])
    mean, deviation = belief.at(pairs[:10])
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.1)
    np.testing.assert_allclose(drawn.std(axis=0), deviation, rtol=0.2)


def test_a_search_that_learnt_nothing_has_no_trust_to_tell() -> None:
    world = WORLDS[0]
    assert Rrl(world.coordinates, LOADS, Prediction(world.predicted)).trust is None
    told = Rrl(world.coordinates, LOADS, Prediction(world.predicted, 0.2, Prediction(world.true)))
    assert told.trust == 0.5
    assert told.ask() == Pair(0, int(np.argmin(world.predicted[0] + 0.5 * world.error[0])))


@pytest.mark.parametrize(("factor", "trusted"), [(0.9, True), (-2.0, False)])
def test_what_is_learnt_late_is_held_against_all_that_was_measured(
    factor: float, trusted: bool
) -> None:
    world = WORLDS[0]
    taught = Prediction(world.predicted + factor * world.error, 0.15)
    blank = Prediction(world.predicted, 0.4)
    informed = blank._replace(taught=taught)
    late, early = Rrl(world.coordinates, LOADS, blank), Rrl(world.coordinates, LOADS, informed)
    for point in range(0, 36, 5):
        for search in (late, early):
            search.tell(Pair(1, point), Observation(float(world.true[1, point]), 0.05))
    assert late.trust is None
    late.expect(informed)
    assert late.trust is not None
    assert early.trust is not None
    assert (late.trust > 0.9) == (early.trust > 0.9) == trusted
    assert (late.trust < 0.1) == (early.trust < 0.1) == (not trusted)
    assert late.best(1) == early.best(1)


def test_a_limit_is_learnt_late_as_well() -> None:
    world = WORLDS[1]
    value, limit = Prediction(world.predicted, 0.4), Prediction(world.predicted + 4.0, 0.4)
    search = Rrl(world.coordinates, LOADS, value, limit)
    kept = world.predicted + 3.2
    search.tell(Pair(0, 3), Observation(float(world.true[0, 3]), 0.05, float(kept[0, 3]), 0.05))
    before = search.risk(2)
    search.expect(value, limit._replace(taught=Prediction(kept, 0.05)))
    assert search.risk(2).mean() < 0.7 * before.mean()
