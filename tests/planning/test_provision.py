import numpy as np
import pytest
from fleet_scenes import MADE
from hypothesis import given
from hypothesis import strategies as st
from planned_types import price_of, types_of

from autotune.planning.mixes import Mixes
from autotune.planning.provision import billed_seconds, fixed, lead_s, machines_for, provision

PLAIN = MADE[0]._replace(start_s=2.0, minimum_s=0.0)


def ready(
    wanted: list[int], start_s: float = 2.0, minimum_s: float = 0.0, billed_by_s: float = 1.0
) -> tuple[list[int], float, int]:
    """Of steps of a second."""
    made = PLAIN._replace(start_s=start_s, minimum_s=minimum_s, billed_by_s=billed_by_s)
    types = types_of(made)
    fleet = provision(np.array(wanted)[:, None], types, 1.0)
    return fleet.ready[:, 0].tolist(), float(fleet.billed_s[0]), fleet.starts


def test_the_first_machines_are_there_and_others_take_their_time() -> None:
    assert ready([1, 1, 3, 3, 3, 3]) == ([1, 1, 1, 1, 3, 3], 6.0 + 2 * 4.0, 3)


def test_a_start_that_is_no_whole_step_is_rounded_up() -> None:
    assert ready([1, 2, 2, 2], start_s=1.2)[0] == [1, 1, 1, 2]
    assert ready([1, 2, 2, 2], start_s=0.0)[0] == [1, 2, 2, 2]


def test_what_is_no_longer_wanted_stops_the_last_started_first_and_may_never_have_served() -> None:
    assert ready([1, 2, 1, 1, 1]) == ([1, 1, 1, 1, 1], 5.0 + 1.0, 2)


def test_the_least_that_is_billed_is_served_out() -> None:
    # The younger is paid for until 4; the older one may go at 3, and costs less in all.
    found = ready([1, 2, 1, 1, 1, 1], start_s=0.0, minimum_s=3.0)
    assert found == ([1, 2, 2, 1, 1, 1], 3.0 + 5.0, 2)
    assert ready([0, 2, 0, 0, 0, 0], start_s=0.0, minimum_s=3.0) == ([0, 2, 2, 2, 0, 0], 6.0, 2)


def test_a_machine_paid_by_the_hour_is_kept_until_its_end_and_may_be_wanted_again() -> None:
    found = ready([1, 1, 2, 1, 1, 1, 1, 1, 1], start_s=0.0, billed_by_s=4.0)
    # The first one's time ends first, and the second is there then: it stays for two more.
    assert found == ([1, 1, 2, 2, 1, 1, 1, 1, 1], 4.0 + 8.0, 2)
    again = ready([1, 1, 2, 1, 2, 2, 2, 1, 1, 1], start_s=0.0, billed_by_s=4.0)
    assert again == ([1, 1, 2, 2, 2, 2, 2, 2, 1, 1], 8.0 + 8.0, 2)


def test_one_that_serves_is_not_stopped_for_one_that_only_starts() -> None:
    found = ready([1, 1, 2, 1, 1, 1, 1, 1], start_s=3.0, minimum_s=4.0)
    assert min(found[0]) == 1


def test_the_end_of_the_trace_is_rounded_up_to_what_is_billed() -> None:
    assert ready([1, 1, 1], billed_by_s=60.0)[1] == 60.0
    assert billed_seconds(3600.0, price_of(PLAIN._replace(billed_by_s=3600.0))) == 3600.0


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=40),
    st.sampled_from([0.5, 1.0, 3.0, 7.0]),
    st.sampled_from([0.0, 2.5, 9.0]),
    st.sampled_from([0.0, 1.0, 4.0]),
)
def test_machines_are_paid_for_as_long_as_they_serve_and_enough_are_there_in_the_end(
    wanted: list[int], billed_by_s: float, minimum_s: float, start_s: float
) -> None:
    found, billed_s, starts = ready(wanted, start_s, minimum_s, billed_by_s)
    lead = int(np.ceil(start_s))
    for step, machines in enumerate(found):
        # Whatever was wanted ever since a start ago is there.
        assert machines >= min(wanted[max(0, step - lead) : step + 1])
        assert machines <= max(wanted)
    assert billed_s >= sum(found)
    assert billed_s >= starts * max(minimum_s, 0.0)
    # Nothing is paid for beyond starting, the least, and the last rounding.
    assert billed_s <= sum(wanted) + starts * (max(minimum_s, billed_by_s) + billed_by_s + lead)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_by_the_second_and_at_once_there_are_just_those_that_are_wanted(wanted: list[int]) -> None:
    assert ready(wanted, start_s=0.0)[:2] == (wanted, float(sum(wanted)))


def test_of_several_types_none_is_stopped_before_what_replaces_it_serves() -> None:
    types = types_of(PLAIN, PLAIN._replace(name="other", start_s=3.0))
    wanted = np.array([[2, 0]] * 2 + [[0, 1]] * 6)
    fleet = provision(wanted, types, 1.0)
    assert fleet.ready[:, 0].tolist() == [2, 2, 2, 2, 2, 0, 0, 0]
    assert fleet.ready[:, 1].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]


def test_a_load_gets_the_machines_that_cover_it() -> None:
    mixes = Mixes(np.array([10.0, 20.0]), np.array([[1, 0], [0, 1]]), np.array([1.0, 2.0]))
    loads_rps = np.array([0.0, 5.0, 10.0, 10.1, 99.0])
    assert machines_for(loads_rps, mixes).tolist() == [[0, 0], [1, 0], [1, 0], [0, 1], [0, 1]]


def test_the_lead_is_that_of_the_slowest_type_that_takes_part() -> None:
    types = types_of(PLAIN, PLAIN._replace(name="other", start_s=50.0))
    mixes = Mixes(np.array([10.0]), np.array([[1, 0]]), np.array([1.0]))
    assert lead_s(types, mixes, 1.5) == 3.0
    assert lead_s(types, mixes._replace(counts=np.array([[1, 1]])), 1.5) == 51.0


def test_a_fixed_fleet_is_paid_for_throughout() -> None:
    fleet = fixed(np.array([3]), types_of(PLAIN._replace(billed_by_s=60.0)), 10, 7.0)
    assert fleet.ready.shape == (10, 1)
    assert fleet.billed_s[0] == pytest.approx(3 * 120.0)
    assert fleet.starts == 3
