"""What an agent is paid."""

import math

from hypothesis import given
from hypothesis import strategies as st

from autotune.stats.reward import reward

LATENCIES = st.floats(1e-6, 1e6)


def test_a_failure_and_a_lost_run_are_worth_nothing_and_the_slo_a_half() -> None:
    assert reward(None, 0.05) == 0.0
    assert reward(math.inf, 0.05) == 0.0
    assert reward(0.05, 0.05) == 0.5


@given(one=LATENCIES, other=LATENCIES, slo_s=st.floats(1e-3, 10.0))
def test_faster_is_never_worth_less_and_the_unit_does_not_count(
    one: float, other: float, slo_s: float
) -> None:
    assert (reward(one, slo_s) >= reward(other, slo_s)) or one > other
    assert 0 <= reward(one, slo_s) <= 1
    assert math.isclose(reward(1e3 * one, 1e3 * slo_s), reward(one, slo_s))
