import itertools
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tuned_types import made_types

from autotune.errors import UsageError
from autotune.planning.machines import MachineType, make_types
from autotune.planning.mixes import Mixes, cheapest_mixes
from autotune.planning.prices import MachinePrice, Prices
from autotune.spec import Slo
from autotune.units import HOUR_S

SLO = Slo(latency_ms=50.0)
BASE = make_types(
    made_types([1.0]),
    Prices(
        currency="USD",
        as_of=None,
        source=None,
        machines={"m0": MachinePrice(name="m0", per_hour=1.0)},
        functions={},
    ),
    SLO,
    1.0,
)[0]
HIGHEST_RPS = 200.0


class Kind(NamedTuple):
    capacity_rps: float
    per_hour: float
    most: int | None = None


def types_of(*kinds: Kind) -> list[MachineType]:
    return [
        BASE._replace(
            capacity_rps=kind.capacity_rps,
            price=MachinePrice(name="m", per_hour=kind.per_hour, most=kind.most),
        )
        for kind in kinds
    ]


def mixes_of(*kinds: Kind, highest_rps: float = HIGHEST_RPS) -> Mixes:
    return cheapest_mixes(types_of(*kinds), highest_rps, SLO)


def per_s_at(mixes: Mixes, load_rps: float) -> float:
    return float(mixes.per_s[np.searchsorted(mixes.loads_rps, load_rps * (1 - 1e-9))])


some_kinds = st.lists(
    st.builds(
        Kind,
        st.floats(15, 100) | st.sampled_from([20.0, 40.0, 50.0]),
        st.floats(0.5, 10) | st.just(2.0),
        st.none() | st.integers(1, 4),
    ),
    min_size=1,
    max_size=4,
)


@given(some_kinds, st.lists(st.floats(1, HIGHEST_RPS), min_size=1, max_size=6))
def test_no_other_machines_serve_the_load_for_less(kinds: list[Kind], loads: list[float]) -> None:
    mixes = mixes_of(*kinds)
    capacity_rps = np.array([kind.capacity_rps for kind in kinds])
    per_s = np.array([kind.per_hour for kind in kinds]) / HOUR_S
    most = [14 if kind.most is None else kind.most for kind in kinds]
    every = np.array(list(itertools.product(*(range(min(14, one) + 1) for one in most))))
    reach_rps, costs = every @ capacity_rps, every @ per_s
    assert np.all(mixes.counts <= most)
    assert mixes.loads_rps == pytest.approx(mixes.counts @ capacity_rps)
    assert mixes.per_s == pytest.approx(mixes.counts @ per_s)
    for load_rps in (min(load, float(reach_rps.max())) for load in loads):
        found = per_s_at(mixes, load_rps)
        assert found >= costs[reach_rps >= load_rps * (1 - 1e-9)].min() * (1 - 1e-9)
        # Between two levels it may be that of the next one, and units are rounded.
        above = costs[reach_rps >= min(1.03 * load_rps, float(reach_rps.max()))].min()
        assert found <= above * (1 + 1e-9)


@given(some_kinds)
@example([Kind(15.0, 2.0, None), Kind(43.0, 2.453125, 4), Kind(43.0, 2.453125, 1)])
def test_more_load_never_costs_less(kinds: list[Kind]) -> None:
    mixes = mixes_of(*kinds)
    assert np.all(np.diff(mixes.loads_rps) > 0)
    assert np.all(np.diff(mixes.per_s) > 0)
    reach_rps = sum(kind.capacity_rps * (14 if kind.most is None else kind.most) for kind in kinds)
    assert mixes.loads_rps[-1] >= min(HIGHEST_RPS, reach_rps) * (1 - 1e-9)


def test_whole_machines_of_one_type_are_not_rounded_away() -> None:
    mixes = mixes_of(Kind(10 / 3, 1.0), highest_rps=1000.0)
    for machines in (1, 2, 3, 150, 300):
        load_rps = machines * 10 / 3
        assert per_s_at(mixes, load_rps) * HOUR_S == pytest.approx(machines, rel=0.006)


def test_a_limited_type_is_used_up_and_then_the_next_one() -> None:
    mixes = mixes_of(Kind(50.0, 1.0, most=2), Kind(50.0, 3.0))
    assert mixes.counts.tolist() == [[1, 0], [2, 0], [2, 1], [2, 2]]
    assert mixes.loads_rps == pytest.approx([50.0, 100.0, 150.0, 200.0])


def test_what_cannot_be_had_ends_the_list() -> None:
    mixes = mixes_of(Kind(50.0, 1.0, most=2), Kind(30.0, 1.0, most=0))
    assert mixes.loads_rps[-1] == pytest.approx(100.0)


def test_a_dominated_type_takes_no_part_and_one_that_misses_the_slo_neither() -> None:
    mixes = mixes_of(Kind(40.0, 2.0), Kind(50.0, 1.5), Kind(0.0, 0.1), Kind(50.0, 1.5))
    assert mixes.counts[:, [0, 2, 3]].sum() == 0


def test_a_small_machine_fills_up_what_large_ones_leave() -> None:
    mixes = mixes_of(Kind(100.0, 8.0), Kind(20.0, 2.0))
    found = mixes.counts[np.searchsorted(mixes.loads_rps, 110.0)]
    assert found.tolist() == [1, 1]


def test_fifty_types_and_a_thousand_machines() -> None:
    rng = np.random.default_rng(0)
    capacity_rps = rng.uniform(50, 2000, 50)
    per_hour = capacity_rps**0.9 * rng.uniform(0.9, 1.1, 50)
    kinds = [Kind(*one) for one in zip(capacity_rps, per_hour, strict=True)]
    mixes = mixes_of(*kinds, highest_rps=2e6)
    assert mixes.loads_rps[-1] >= 2e6 * (1 - 1e-9)
    bound = mixes.loads_rps * np.min(per_hour / capacity_rps) / HOUR_S
    assert np.all(mixes.per_s >= bound * (1 - 1e-9))
    assert mixes.per_s[-1] < 1.001 * bound[-1]
    assert len(mixes.loads_rps) > 300


def test_no_type_that_meets_the_slo_is_a_complaint() -> None:
    with pytest.raises(UsageError, match=r"^no machine type keeps p99 <= 50 ms at any load$"):
        mixes_of(Kind(0.0, 1.0))
