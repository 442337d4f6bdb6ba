"""The conformance suite that every search strategy must pass."""

from collections.abc import Callable

import numpy as np
import pytest

from autotune.outcome import Samples
from autotune.strategy.protocol import Observation, Pair, Strategy
from autotune.strategy.rrl import Rrl

Factory = Callable[[Samples, Samples, Samples], Strategy]
FACTORIES: list[Factory] = [Rrl]
LOADS_RPS = np.array([10.0, 40.0, 160.0])
POINTS = np.array([[a, b] for a in range(6) for b in range(4)], dtype=np.float64)


def truth() -> Samples:
    """A valley that moves with load."""
    centre = np.array([[1.0, 1.0], [3.0, 2.0], [4.0, 2.0]])
    distance = np.linalg.norm(POINTS[None] - centre[:, None], axis=2)
    return np.asarray(0.010 * np.exp(0.4 * distance))


def predicted() -> Samples:
    """Wrong by a factor of 1.5 in one half of the space."""
    return np.asarray(truth() * np.where(POINTS[:, 0] > 2, 0.67, 1.0)[None])


def drive(strategy: Strategy, fails: Callable[[int], bool] = lambda point: False) -> list[Pair]:
    asked: list[Pair] = []
    cost_s = np.ones(truth().shape)
    while (pair := strategy.ask(cost_s)) is not None:
        asked.append(pair)
        ratio = float(np.log(truth()[pair] / predicted()[pair]))
        strategy.tell(pair, Observation(None if fails(pair.point) else ratio, 0.05))
    return asked


@pytest.fixture(params=FACTORIES)
def strategy(request: pytest.FixtureRequest) -> Strategy:
    factory: Factory = request.param
    return factory(predicted(), POINTS, LOADS_RPS)


def test_no_pair_is_measured_twice_and_it_stops(strategy: Strategy) -> None:
    asked = drive(strategy)
    assert len(set(asked)) == len(asked) < truth().size


def test_every_load_is_measured_first_from_below(strategy: Strategy) -> None:
    assert [pair.load for pair in drive(strategy)[:3]] == [0, 1, 2]


def test_it_finds_the_best_within_five_percent(strategy: Strategy) -> None:
    drive(strategy)
    for load, row in enumerate(truth()):
        assert row[strategy.best(load)[0]] <= 1.05 * row.min()


def test_a_configuration_that_failed_is_never_asked_again(strategy: Strategy) -> None:
    asked = drive(strategy, fails=lambda point: point % 2 == 0)
    failed = [pair.point for pair in asked if pair.point % 2 == 0]
    assert len(set(failed)) == len(failed)
    assert all(point % 2 for load in range(3) for point in strategy.best(load))


def test_it_ends_even_if_everything_fails(strategy: Strategy) -> None:
    drive(strategy, fails=lambda point: True)
    assert strategy.best(0) == []


def test_the_same_answers_lead_the_same_way() -> None:
    first, second = (drive(Rrl(predicted(), POINTS, LOADS_RPS)) for _ in range(2))
    assert first == second


def test_few_measurements_are_enough_where_the_prediction_errs_by_region() -> None:
    assert len(drive(Rrl(predicted(), POINTS, LOADS_RPS))) <= truth().size // 2
