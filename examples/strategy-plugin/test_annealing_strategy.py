"""The whole test of a strategy: `python -m pytest` in this folder."""

import pytest
from annealing_strategy import make

from autotune.strategy.conformance import CHECKS, Check, some_world


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("seed", range(12))
def test_it_is_a_strategy(check: Check, seed: int) -> None:
    """One of the checks that every strategy must pass, on one world."""
    check(make, some_world(seed))
