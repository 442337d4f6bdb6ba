"""How much models slow each other down, by what was measured of pairs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autotune.together.slowing import Company, Slowing, company, slow_down

TWO = Slowing(4, np.array([[1.0, 1.2], [1.1, 1.0]]), np.array([[1.0, 3.0], [2.5, 1.0]]))


def slowed(threads: float, other: Company, shared: bool = True) -> float:
    return float(slow_down(TWO, 0, np.array([threads]), [None, other], shared)[0])


def other(threads: float, busy_cores: float) -> Company:
    return company(np.array([threads]), np.array([busy_cores]))


def test_who_is_never_busy_slows_nobody_down() -> None:
    assert slowed(4, other(4, 0.0)) == 1.0


def test_with_room_for_all_threads_it_is_what_was_measured_apart() -> None:
    assert slowed(2, other(2, 2.0)) == np.float64(1.2)


def test_with_twice_as_many_threads_as_cores_it_is_what_was_measured_crowded() -> None:
    assert np.isclose(slowed(4, other(4, 4.0)), 3.0)


def test_with_cores_of_their_own_threads_are_never_too_many() -> None:
    assert np.isclose(slowed(4, other(4, 4.0), shared=False), 1.2)


def test_half_of_the_time_is_half_of_the_harm() -> None:
    assert np.isclose(slowed(4, other(4, 2.0)) - 1, (slowed(4, other(4, 4.0)) - 1) / 2)


@given(st.floats(1, 64), st.floats(1, 64), st.floats(0, 64), st.floats(0, 64), st.booleans())
def test_nobody_gets_faster_and_more_company_is_no_help(
    mine: float, theirs: float, less: float, more: float, shared: bool
) -> None:
    less, more = sorted((min(less, theirs), min(more, theirs)))
    quiet, busy = (
        slowed(mine, other(theirs, less), shared),
        slowed(mine, other(theirs, more), shared),
    )
    assert 1.0 <= quiet <= busy * (1 + 1e-9)
