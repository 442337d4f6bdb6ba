import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autotune.planning.backlog import backlogs


def one_by_one(change: list[float], most: list[float]) -> tuple[list[float], list[float]]:
    waiting, after, lost = 0.0, [], []
    for more, bound in zip(change, most, strict=True):
        unbounded = max(0.0, waiting + more)
        waiting = min(unbounded, bound)
        after.append(waiting)
        lost.append(unbounded - waiting)
    return after, lost


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0, 80)), min_size=1, max_size=60))
def test_blocks_side_by_side_come_to_what_one_window_after_the_other_does(
    windows: list[tuple[float, float]],
) -> None:
    change, most = ([one[place] for one in windows] for place in (0, 1))
    after, lost = backlogs(np.array(change), np.array(most))
    expected_after, expected_lost = one_by_one(change, most)
    np.testing.assert_allclose(after, expected_after, atol=1e-9)
    np.testing.assert_allclose(lost, expected_lost, atol=1e-9)


def test_requests_are_kept_turned_away_or_served() -> None:
    after, lost = backlogs(np.array([5.0, 5.0, -3.0, -20.0]), np.full(4, 8.0))
    assert after.tolist() == [5.0, 8.0, 5.0, 0.0]
    assert lost.tolist() == [0.0, 2.0, 0.0, 0.0]
