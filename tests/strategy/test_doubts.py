"""How sure the search is of each load: told, but never part of how it searches."""

import numpy as np

from autotune.strategy.protocol import Observation, Pair, Prediction
from autotune.strategy.rrl import Rrl

POINTS, LOADS = 40, 3


def search(seed: int) -> tuple[Rrl, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    rng = np.random.default_rng(seed)
    coordinates = np.stack(np.divmod(np.arange(float(POINTS)), 8), axis=1)
    predicted = rng.normal(0, 0.5, (LOADS, POINTS))
    true = predicted + rng.normal(0, 0.1, (LOADS, POINTS))
    return Rrl(coordinates, np.arange(float(LOADS)), Prediction(predicted)), true


def test_a_load_without_a_measurement_has_nothing_to_be_sure_of() -> None:
    rrl, true = search(0)
    assert rrl.doubts() == (None, None, None)
    rrl.tell(Pair(1, 5), Observation(float(true[1, 5]), 0.05))
    first, second, third = rrl.doubts()
    assert (first, third) == (None, None)
    assert second is not None
    assert 0 < second <= 1


def test_a_failure_alone_gives_a_load_no_entry() -> None:
    rrl, _ = search(0)
    rrl.tell(Pair(0, 0), Observation(None))
    assert rrl.doubts()[0] is None


def test_doubt_ends_where_the_search_settles() -> None:
    rrl, true = search(1)
    most = []
    while (pair := rrl.ask()) is not None:
        rrl.tell(pair, Observation(float(true[pair]), 0.05))
        most.append(max((one for one in rrl.doubts() if one is not None), default=0.0))
    assert len(most) < POINTS * LOADS / 2
    assert max(most) > 0.2
    assert all(one is not None and one < 0.1 for one in rrl.doubts())


def test_telling_the_doubt_changes_nothing_of_the_search() -> None:
    asked: list[list[Pair]] = [[], []]
    for number, pairs in enumerate(asked):
        rrl, true = search(2)
        while (pair := rrl.ask()) is not None:
            rrl.tell(pair, Observation(float(true[pair]), 0.05))
            pairs.append(pair)
            if number:
                rrl.doubts()
    assert asked[0] == asked[1]
    assert len(asked[0]) > 3
