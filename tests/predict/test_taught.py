import numpy as np
import pytest

from autotune.predict.correction import Correction, as_states
from autotune.predict.queue_simulation import Lanes
from autotune.predict.taught import Taught, teach
from autotune.spec import SessionShape

SHAPE = SessionShape(
    replicas=2,
    intra_op_threads=1,
    inter_op_threads=1,
    execution_mode="sequential",
    spinning=False,
)
PLACES = [np.array([float(n), 0.0]) for n in range(6)]
STATES = [(1.0, 0.0)] * 6


def test_between_powers_of_two_what_was_taught_lies_on_straight_lines_in_doublings() -> None:
    taught = Taught(np.array([[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]]))
    first = np.zeros(4, dtype=np.int64)
    found = taught.at(first, [1, 2, 4, 2**1.5], [1, 1, 2, 1])
    np.testing.assert_allclose(found, [0.0, 2.0, 5.0, 3.0])


def test_beyond_the_table_the_last_value_stands() -> None:
    taught = Taught(np.array([[[0.0, 1.0], [2.0, 3.0]]]))
    first = np.zeros(2, dtype=np.int64)
    np.testing.assert_allclose(taught.at(first, [64, 1], [64, 0.5]), [3.0, 0.0])


def test_the_table_reaches_as_far_as_batches_and_replicas_do() -> None:
    lanes = Lanes(
        replicas=np.array([3, 1]),
        max_batch=np.array([4, 1]),
        timeout_s=np.zeros(2),
        alone_s=np.array([[1.0, 2.0, 4.0]] * 2),
        crowding=np.ones((2, 4)),
    )
    asked: list[tuple[float, float]] = []

    def errors(states: object) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        assert isinstance(states, list)
        asked.extend((size, busy) for _, size, busy in states)
        return np.arange(float(len(states)))

    taught = teach(lanes, [SHAPE], errors)
    assert taught.table.shape == (1, 3, 3)
    assert asked == [(size, busy) for size in (1, 2, 4) for busy in (1, 2, 4)]
    assert taught.at(np.array([0]), [2], [4]) == 5.0


def correction(true: float, taught: float) -> Correction:
    """Of a law that errs by `true` in six states, where `taught` was learnt."""
    seen = as_states(PLACES, STATES, np.full(6, taught))
    return Correction(seen, np.full(6, true), np.full(6, 50.0))


def test_what_was_taught_is_trusted_where_it_holds_and_reaches_what_was_not_seen() -> None:
    found = correction(true=0.6, taught=0.6)
    assert found.trust > 0.9
    unseen = as_states([np.array([9.0, 9.0])], [(16.0, 1.0)], np.array([0.6]))
    mean, deviation = found.at(unseen)
    assert mean[0] == pytest.approx(0.6, abs=0.1)
    blank, doubt = Correction(as_states(PLACES, STATES), np.full(6, 0.6), np.full(6, 50.0)).at(
        unseen._replace(taught=None)
    )
    assert abs(blank[0] - 0.6) > 0.3
    assert deviation[0] < doubt[0]


def test_what_was_taught_wrongly_is_as_if_it_had_not_been() -> None:
    found = correction(true=0.0, taught=0.8)
    assert found.trust < 0.02
    states = as_states(PLACES, STATES, np.full(6, 0.8))
    mean, _ = found.at(states)
    np.testing.assert_allclose(mean, 0.0, atol=0.05)
