import numpy as np
import pytest
from fleet_scenes import MADE
from planned_types import types_of

from autotune.planning.ledger import cost_of
from autotune.planning.provision import Fleet


def test_machines_cost_by_the_hour_and_functions_by_the_request() -> None:
    types = types_of(*MADE[:2])
    fleet = Fleet(np.ones((2, 2), dtype=np.int64), np.array([3600.0, 7200.0]), 2)
    cost = cost_of(fleet, types, spilled=1000.0, per_request=2e-6)
    assert cost.machines.tolist() == pytest.approx([0.085, 0.68])
    assert cost.function == pytest.approx(0.002)
    assert cost.total == pytest.approx(0.767)
    assert cost.per_million(500_000) == pytest.approx(2 * 0.767)


def test_without_a_function_nothing_is_paid_for_one() -> None:
    fleet = Fleet(np.zeros((1, 1), dtype=np.int64), np.zeros(1), 0)
    assert cost_of(fleet, types_of(MADE[0])).total == 0.0
