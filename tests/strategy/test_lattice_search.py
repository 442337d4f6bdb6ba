"""The public ask/tell search: what anybody may hand it, and what it makes of it."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autotune
from autotune import LatticeSearch, SearchSettings, UsageError
from autotune.strategy.lattice_search import Config

LATTICE: dict[str, list[float]] = {
    "threads": [1, 2, 4, 8],
    "batch": [1, 2, 4, 8, 16],
    "spin": [False, True],
}


def cost(config: Config) -> float:
    """Best at 4 threads, batch 8, spinning."""
    away = abs(math.log2(config["threads"]) - 2) + 0.5 * abs(math.log2(config["batch"]) - 3)
    return 0.010 * math.exp(0.4 * away + 0.2 * (not config["spin"]))


def run(search: LatticeSearch, measure: Callable[[Config], float], most: int = 200) -> int:
    """Measure until settled; return how often."""
    for count in range(most):
        config = search.ask()
        if search.settled() or config is None:
            return count
        search.tell(config, measure(config))
    return most


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("shift", [0.0, -5.0])
def test_it_finds_the_best_of_a_bowl_with_a_third_of_the_points(
    maximize: bool, shift: float
) -> None:
    sign = -1 if maximize and shift else 1
    search = LatticeSearch(LATTICE, maximize=maximize)

    def objective(config: Config) -> float:
        if shift:
            return sign * 100 * cost(config) + shift  # below 0 in places
        return 1 / cost(config) if maximize else cost(config)

    assert run(search, objective) <= 20
    assert search.best() == {"threads": 4, "batch": 8, "spin": True}


def test_a_prediction_saves_most_of_the_measurements() -> None:
    blank = run(LatticeSearch(LATTICE), cost)
    guided = LatticeSearch(LATTICE, predicted=lambda config: 1.3 * cost(config))
    assert run(guided, cost) < blank / 2
    assert guided.best() == {"threads": 4, "batch": 8, "spin": True}


def test_a_prediction_may_be_an_array_of_the_lattices_shape() -> None:
    values = np.array([[1.0, 3.0], [2.0, 0.5]])
    search = LatticeSearch({"a": [1, 2], "b": [1, 2]}, predicted=values)
    assert search.ask() == {"a": 2, "b": 2}


def test_the_best_keeps_the_limit() -> None:
    search = LatticeSearch(LATTICE, limit=10.0)
    for _ in range(30):
        config = search.ask()
        assert config is not None
        search.tell(config, cost(config), constraint=2.0 * config["threads"] + config["batch"])
    best = search.best()
    assert best is not None
    assert 2.0 * best["threads"] + best["batch"] <= 10.0
    allowed = [
        cost({"threads": threads, "batch": batch, "spin": True})
        for threads in LATTICE["threads"]
        for batch in LATTICE["batch"]
        if 2.0 * threads + batch <= 10.0
    ]
    assert cost(best) == min(allowed)


def test_a_constraint_that_nothing_meets_ends_without_a_best() -> None:
    search = LatticeSearch({"a": list(range(12))}, limit=1.0)
    for _ in range(12):
        config = search.ask()
        if search.settled() or config is None:
            break
        search.tell(config, 1.0 + config["a"], constraint=50.0)
    assert search.best() is None
    assert search.settled()


def test_when_all_fail_it_asks_for_each_once_and_ends() -> None:
    search = LatticeSearch({"a": [1, 2, 3], "b": [1, 2]})
    asked: list[tuple[float, ...]] = []
    while (config := search.ask()) is not None:
        asked.append(tuple(config.values()))
        search.tell(config, failure=True)
    assert len(set(asked)) == len(asked) == 6
    assert search.best() is None
    assert search.settled()


@pytest.mark.parametrize("seed", range(4))
def test_it_learns_where_memory_ends_and_finds_the_best_beside_that(seed: int) -> None:
    streams = [1, 2, 4, 8, 16]
    lattice = {"streams": streams, "batch": [2**i for i in range(9)], "wait_ms": [0, 1, 2, 5, 10]}
    search, failures = LatticeSearch(lattice, settings=SearchSettings(seed=seed)), 0
    for _ in range(40):
        config = search.ask()
        assert config is not None
        in_flight = config["streams"] * config["batch"]
        if in_flight > 256:
            search.tell(config, failure=True)
            failures += 1
            continue
        crowding = math.exp(0.1 * abs(math.log2(config["streams"]) - 1))
        search.tell(config, (1 + config["wait_ms"] / 20) * in_flight**-0.5 * crowding)
    assert failures <= 16  # of 40; two of nine places fail, those next to the best among them
    assert search.best() == {"streams": 2, "batch": 128, "wait_ms": 0}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_a_failure(value: float) -> None:
    search = LatticeSearch({"a": [1, 2, 3]})
    search.tell({"a": 1}, value)
    assert search.best() is None
    search.tell({"a": 2}, 7.0)
    assert search.best() == {"a": 2}
    assert search.ask() == {"a": 3}


def test_contradictory_tells_are_averaged_and_a_failure_outlasts_success() -> None:
    search = LatticeSearch({"a": [1, 2, 3, 4]})
    for value in (1.0, 9.0):
        search.tell({"a": 1}, value)
    search.tell({"a": 2}, 2.0)
    assert search.best() == {"a": 2}
    search.tell({"a": 2}, failure=True)
    assert search.best() == {"a": 1}


def test_one_point_is_asked_for_once() -> None:
    search = LatticeSearch({"a": [3]})
    assert not search.settled()
    assert search.ask() == {"a": 3}
    search.tell({"a": 3}, 1.0)
    assert search.settled()
    assert search.ask() is None
    assert search.best() == {"a": 3}


def test_equal_values_count_once_and_a_flat_objective_settles() -> None:
    search = LatticeSearch({"a": [1, 1, 2, 2, 3], "b": [5, 5]})
    asked = run(search, lambda config: 4.0)
    assert asked <= 3
    assert search.settled()


def test_names_may_be_values() -> None:
    search = LatticeSearch({"mode": ["sequential", "parallel"], "threads": [1, 2]})
    run(search, lambda config: 1.0 if config["mode"] == "parallel" else 2.0)
    best = search.best()
    assert best is not None
    assert best["mode"] == "parallel"


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    values=st.lists(
        st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=32)),
        min_size=1,
        max_size=40,
    ),
    limited=st.booleans(),
)
def test_whatever_it_is_told_it_asks_for_each_point_once_and_ends(
    sizes: list[int], values: list[float | None], limited: bool
) -> None:
    lattice = {f"knob{i}": list(range(size)) for i, size in enumerate(sizes)}
    search = LatticeSearch(lattice, limit=1.0 if limited else None)
    asked: list[tuple[float, ...]] = []
    while (config := search.ask()) is not None:
        value = values[len(asked) % len(values)]
        asked.append(tuple(config.values()))
        if value is None:
            search.tell(config, failure=True)
        else:
            search.tell(config, value, constraint=value if limited else None)
    assert len(set(asked)) == len(asked) == math.prod(sizes)
    assert search.settled()
    best = search.best()
    finite = [v for v in values[: len(asked)] if v is not None and math.isfinite(v)]
    if finite and not limited:
        assert best is not None


def test_the_same_tells_make_the_same_asks() -> None:
    one, other = LatticeSearch(LATTICE), LatticeSearch(LATTICE)
    for _ in range(12):
        config = one.ask()
        assert config == other.ask()
        assert config is not None
        one.tell(config, cost(config))
        other.tell(config, cost(config))
    different = LatticeSearch(LATTICE, settings=SearchSettings(seed=1))
    asked: list[list[Config | None]] = [[], []]
    for search, configs in zip((LatticeSearch(LATTICE), different), asked, strict=True):
        for _ in range(4):
            config = search.ask()
            assert config is not None
            search.tell(config, cost(config))
            configs.append(config)
    assert asked[0] != asked[1]


def test_a_million_points_are_asked_about_without_looking_at_each() -> None:
    lattice = {f"knob{i}": [2.0**j for j in range(10)] for i in range(6)}
    search = LatticeSearch(lattice)
    seconds = []
    for _ in range(60):
        started = time.process_time()
        config = search.ask()
        assert config is not None
        value = sum(abs(math.log2(float(v)) - 3 - i) for i, v in enumerate(config.values()))
        search.tell(config, 1.0 + value)
        seconds.append(time.process_time() - started)
    best = search.best()
    assert best is not None
    near = sum(abs(math.log2(float(v)) - 3 - i) for i, v in enumerate(best.values()))
    assert near <= 12  # of 33 at most, and 17 on average


@pytest.mark.parametrize(
    ("lattice", "message"),
    [
        ({}, "no knobs"),
        ({"a": []}, "a has no values"),
        ({"a": [2, 1]}, "a must be ascending: 2, 1"),
        ({"a": [1, math.nan]}, "NaN or infinite"),
        ({f"k{i}": list(range(30)) for i in range(6)}, "more than 10,000,000 points"),
    ],
)
def test_a_lattice_that_cannot_be_is_refused(lattice: dict[str, list[float]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LatticeSearch(lattice)


def test_what_does_not_fit_the_lattice_is_refused_in_one_line() -> None:
    search = LatticeSearch({"a": [1, 2], "b": [1]})
    with pytest.raises(UsageError, match="a=3 is not of the lattice: it has 1, 2"):
        search.tell({"a": 3, "b": 1}, 1.0)
    with pytest.raises(UsageError, match="whose knobs are a, b"):
        search.tell({"a": 1}, 1.0)
    with pytest.raises(UsageError, match="tell an objective"):
        search.tell({"a": 1, "b": 1})
    with pytest.raises(UsageError, match="there is no limit"):
        search.tell({"a": 1, "b": 1}, 1.0, constraint=2.0)
    with pytest.raises(UsageError, match="is needed"):
        LatticeSearch({"a": [1]}, limit=2.0).tell({"a": 1}, 1.0)
    with pytest.raises(UsageError, match=r"shape \(3,\)"):
        LatticeSearch({"a": [1, 2]}, predicted=[1.0, 2.0, 3.0])
    with pytest.raises(UsageError, match="NaN or infinite"):
        LatticeSearch({"a": [1, 2]}, predicted=[1.0, math.nan])


def test_it_is_public() -> None:
    assert autotune.LatticeSearch is LatticeSearch
