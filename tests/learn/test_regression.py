import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.learn.regression import MOST_ROWS, Learnt, Rows

FEATURES = 3


def curve(
    places: np.ndarray[tuple[int, int], np.dtype[np.float64]], shift: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray(0.3 * np.sin(places.sum(axis=1)) + shift)


def rows_of(seed: int, shifts: list[float], count: int = 12, noise: float = 0.02) -> Rows:
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 3, (len(shifts) * count, FEATURES))
    searches = np.repeat(np.arange(len(shifts)), count)
    values = np.array(
        [curve(place[None], shifts[i])[0] for place, i in zip(places, searches, strict=True)]
    )
    return Rows(places, searches, values, np.full(len(values), noise))


def test_what_is_alike_in_all_searches_is_expected_of_a_new_one() -> None:
    rows = rows_of(0, [0.2] * 6, count=20)
    learnt = Learnt(rows, np.zeros((7, 2)), own=6)
    places = np.random.default_rng(1).uniform(0.3, 2.7, (40, FEATURES))
    mean, deviation = learnt.at(places)
    off = mean - curve(places, 0.2)
    assert np.sqrt(np.mean(off**2)) < 0.12
    assert np.mean(np.abs(off) < 2 * deviation) > 0.85


def test_searches_that_are_alike_count_more() -> None:
    rows = rows_of(0, [0.4] * 4 + [-0.4] * 4)
    traits = np.array([[0.0]] * 4 + [[10.0]] * 4 + [[0.5]])
    mean, _ = Learnt(rows, traits, own=8).at(rows.places)
    assert np.abs(mean - curve(rows.places, 0.4)).mean() < 0.3
    assert np.abs(mean - curve(rows.places, -0.4)).mean() > 0.5


def test_what_was_seen_in_the_search_itself_is_known_best() -> None:
    rows = rows_of(0, [0.5, 0.5, 0.5, -0.3])
    mean, deviation = Learnt(rows, np.zeros((4, 1)), own=3).at(rows.places[-12:])
    assert np.abs(mean - rows.values[-12:]).max() < 0.08
    assert deviation.max() < 0.1


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.lists(st.floats(-1, 1), min_size=1, max_size=5))
def test_whatever_was_seen_expectations_are_numbers_and_never_sure(
    seed: int, shifts: list[float]
) -> None:
    rows = rows_of(seed, shifts, count=3, noise=0.0)
    traits = np.random.default_rng(seed).normal(size=(len(shifts) + 1, 2))
    mean, deviation = Learnt(rows, traits, own=len(shifts)).at(rows.places)
    assert np.isfinite(mean).all()
    assert (deviation > 0).all()


def test_of_many_rows_those_of_the_most_kindred_searches_are_gone_by() -> None:
    count = MOST_ROWS // 2
    rows = rows_of(0, [0.4, -0.4, 0.0], count=count)
    traits = np.array([[0.0], [5.0], [9.0], [0.1]])
    learnt = Learnt(rows, traits, own=3)
    assert set(np.unique(learnt.searches)) == {0, 1}
