"""Betting against a promise: no gain is to be expected while it holds, and much when it breaks."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.outcome import Samples
from autotune.stats import betting
from autotune.stats.betting import MIN_BLOCKS, risen, would_tell

ALPHA = 0.05


def wealth(blocks: Samples, alpha: float) -> Samples:
    return np.exp(betting._log_wealth(betting._summed(blocks, alpha)))


@given(
    value=st.floats(1.0, 30.0),
    share=st.floats(0.0, 1.0),
    alpha=st.floats(1e-4, 0.5),
)
def test_over_all_that_may_happen_the_wealth_comes_to_one_at_most(
    value: float, share: float, alpha: float
) -> None:
    """Blocks that are `value` so often that their mean is `share`: every series of four of them."""
    chance = share / value
    total = 0.0
    for series in product((0.0, value), repeat=4):
        hits = sum(one > 0 for one in series)
        total += chance**hits * (1 - chance) ** (4 - hits) * wealth(np.array(series), alpha)[-1]
    assert total <= 1 + 1e-9


@pytest.mark.parametrize("value", [1.2, 2.0, 20.0, 100.0])
def test_false_alarms_are_as_rare_as_stated(value: float) -> None:
    rng = np.random.default_rng(5)
    blocks = value * (rng.random((1500, 80)) < 1 / value)
    alarms = sum(risen(one, ALPHA) is not None for one in blocks)
    assert alarms <= 1500 * ALPHA


@given(seed=st.integers(0, 2**32), level=st.floats(0.0, 1.0))
def test_what_stays_below_one_never_raises_an_alarm(seed: int, level: float) -> None:
    blocks = level * np.random.default_rng(seed).random(300)
    assert risen(blocks, 0.5) is None


def test_a_rise_is_found_where_it_is() -> None:
    rng = np.random.default_rng(1)
    blocks = rng.uniform(0.5, 1.3, 400)
    blocks[250:] *= 2.5
    found = risen(blocks, 0.01)
    assert found is not None
    assert abs(found.first - 250) <= 3
    assert found.last == 399
    assert 250 <= found.alarm <= 290


def test_a_rise_that_ended_is_said_to_have_ended() -> None:
    rng = np.random.default_rng(2)
    blocks = rng.uniform(0.3, 1.2, 400)
    blocks[100:160] *= 4
    found = risen(blocks, 0.01)
    assert found is not None
    assert (abs(found.first - 100) <= 3, abs(found.last - 159) <= 3) == (True, True)


@given(highest=st.floats(10.0, 1e9), place=st.integers(0, 29))
def test_a_single_block_raises_none_however_high(highest: float, place: int) -> None:
    blocks = np.full(30, 0.9)
    blocks[place] = highest
    assert risen(blocks, 0.05) is None


def test_a_few_blocks_that_are_high_enough_do() -> None:
    blocks = np.full(40, 0.5)
    blocks[20 : 20 + 2 * MIN_BLOCKS] = 1000.0
    found = risen(blocks, 0.05)
    assert found is not None
    assert (found.first, found.last) == (20, 19 + 2 * MIN_BLOCKS)


def test_wealth_is_the_sum_over_all_starts() -> None:
    blocks = np.random.default_rng(3).uniform(0.2, 2.0, 12)
    gains = 1 + betting.STAKES[:, None] * (blocks - 1)
    for last in (0, 5, 11):
        starts = [np.prod(gains[:, first : last + 1], axis=1) for first in range(last + 1)]
        expected = float(np.mean(np.sum(starts, axis=0))) / len(blocks)
        assert math.isclose(float(wealth(blocks, 1e-9)[last]), expected)


def test_nothing_tells_nothing() -> None:
    assert risen(np.empty(0), 0.05) is None
    assert not would_tell(np.empty(0), 2.0, 0.05)
    assert not would_tell(np.ones(2), 2.0, 0.01)


def test_a_long_quiet_record_would_have_told() -> None:
    assert would_tell(np.full(60, 0.8), 1.5, 0.01)
    assert would_tell(np.zeros(60), 1.5, 0.01)
    assert not would_tell(np.full(60, 0.8), 1.0, 0.01)
