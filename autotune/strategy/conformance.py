"""What every strategy must do, whatever it believes, as checks that any package's tests can call.

    def test_it_is_a_strategy() -> None:
        check_strategy(make)

Or one by one, on more worlds, `some_world(seed)`: each of `CHECKS` takes `make` and a world. They
need numpy and nothing else. A failure is an AssertionError whose sentence says what went wrong.
"""

import operator
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from autotune.outcome import Samples
from autotune.strategy.protocol import (
    Observation,
    Pair,
    Prediction,
    SearchSettings,
    Setting,
    Strategy,
)

Make = Callable[[Setting], Strategy]
NOISE = 0.05
"""Of what is told: as much as repeats of one measurement differ at least."""
SURPRISE = 0.7
"""A measurement beyond what was expected, far above the noise."""
SLACK = 1e-9


class World(NamedTuple):
    """A landscape to search: what is known of it, what is true, and what fails."""

    setting: Setting
    true: Samples
    """Values, on the scale of `Observation.value`, shape (loads, points)."""
    failing: frozenset[int]
    """Points that fail at any load."""

    @property
    def costs_s(self) -> Samples:
        """What measuring takes, shape (loads, points)."""
        return np.linspace(1.0, 3.0, self.true.size).reshape(self.true.shape)

    @property
    def working(self) -> list[int]:
        """Points that do not fail."""
        return [point for point in range(self.true.shape[1]) if point not in self.failing]

    def observe(self, pair: Pair) -> Observation:
        """Return what measuring a pair says."""
        if pair.point in self.failing:
            return Observation(None)
        return Observation(float(self.true[pair]), NOISE)


Check = Callable[[Make, World], None]


def make_world(seed: int, loads: int = 2, points: int = 12, failing: Iterable[int] = ()) -> World:
    """Return a world whose points lie on a grid of four columns, predicted well but not exactly."""
    rng = np.random.default_rng(seed)
    coordinates = np.stack([np.arange(points) // 4, np.arange(points) % 4], axis=1).astype(float)
    predicted = rng.normal(-3, 0.5, (loads, points))
    error = 0.3 * np.sin(coordinates[:, 0] + rng.uniform(0, 6)) + 0.05 * rng.normal(size=points)
    setting = Setting(
        coordinates=coordinates,
        loads=np.log2(10.0) + np.arange(loads),
        predicted=Prediction(predicted),
        settings=SearchSettings(seed=seed),
    )
    return World(setting, predicted + error, frozenset(failing) & frozenset(range(points)))


def some_world(seed: int) -> World:
    """Return a world of 1 to 3 loads and 1 to 12 points of which some may fail, or all."""
    rng = np.random.default_rng((seed, 1))
    points = int(rng.integers(1, 13))
    share = float(rng.choice([0.0, 0.0, 0.3, 1.0]))
    failing = np.flatnonzero(rng.random(points) < share).tolist()
    return make_world(seed, int(rng.integers(1, 4)), points, failing)


def check_strategy(make: Make, worlds: Iterable[World] | None = None) -> None:
    """Check that what `make` makes is a strategy.

    Args:
        make: as an entry point of `autotune.strategies` names it.
        worlds: to check it on; None: some that differ in all that matters.

    Raises:
        AssertionError: it is none; the sentence says in what.
    """
    for number, world in enumerate(map(some_world, range(24)) if worlds is None else worlds):
        for check in CHECKS:
            where = f"{check.__name__}, world {number}"
            try:
                check(make, world)
            except AssertionError as error:
                raise AssertionError(f"{where}: {error}") from error
            except Exception as error:
                raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error


def step(strategy: Strategy, world: World) -> Pair | None:
    """Ask, measure and tell; return the pair, None at the end."""
    asked = strategy.ask(world.costs_s)
    if asked is None:
        return None
    pair = _existing(asked, world)
    strategy.tell(pair, world.observe(pair))
    return pair


def search(strategy: Strategy, world: World) -> list[Pair]:
    """Return every pair that is asked for until the strategy stops.

    Raises:
        AssertionError: it asks for more than there is.
    """
    asked: list[Pair] = []
    while (pair := step(strategy, world)) is not None:
        asked.append(pair)
        text = f"it asks for more than the {world.true.size} pairs there are and does not end"
        _demand(len(asked) <= world.true.size, text)
    return asked


def asks_for_no_pair_twice(make: Make, world: World) -> None:
    """Each pair that is asked for exists, and is asked for once."""
    asked = search(make(world.setting), world)
    for place, pair in enumerate(asked):
        _demand(pair not in asked[:place], f"it asks for {pair} again, which it was told of")


def ends_for_good(make: Make, world: World) -> None:
    """A search that ended asks for nothing more, whatever it would cost."""
    strategy = make(world.setting)
    search(strategy, world)
    for costs_s in (world.costs_s, None):
        pair = strategy.ask(costs_s)
        _demand(pair is None, f"it had ended with None and asks for {pair} afterwards")


def leaves_alone_what_failed(make: Make, world: World) -> None:
    """A point that failed is not asked for again, at any load."""
    failed: set[int] = set()
    for pair in search(make(world.setting), world):
        _demand(
            pair.point not in failed,
            f"it asks for point {pair.point} at load {pair.load}, which failed before",
        )
        failed |= {pair.point} & world.failing


def answers_every_load(make: Make, world: World) -> None:
    """A search that ended ranks a point at every load, if any works."""
    strategy = make(world.setting)
    search(strategy, world)
    for load in range(len(world.true)):
        found = strategy.best(load)
        _demand(
            bool(found) or not world.working,
            f"it ended with nothing measured that works at load {load}, where some points do",
        )


def ranks_what_it_measured(make: Make, world: World) -> None:
    """At any time, `best` has the points measured at a load that work, best estimate first."""
    strategy = make(world.setting)
    worked: dict[int, set[int]] = {load: set() for load in range(len(world.true))}
    _demand_ranking(strategy, worked)
    for _ in range(world.true.size):
        if (pair := step(strategy, world)) is None:
            break
        if pair.point not in world.failing:
            worked[pair.load].add(pair.point)
        _demand_ranking(strategy, worked)


def estimates_every_point(make: Make, world: World) -> None:
    """At any time, `estimate` is a finite number for every point at every load."""
    strategy = make(world.setting)
    _demand_estimates(strategy, world)
    for _ in range(6):
        if step(strategy, world) is None:
            break
        _demand_estimates(strategy, world)


def learns_from_a_measurement(make: Make, world: World) -> None:
    """A clear measurement brings a pair's estimate nearer to what was measured."""
    world = world._replace(failing=frozenset())
    strategy = make(world.setting)
    step(strategy, world)
    asked = strategy.ask(world.costs_s)
    if asked is None:
        return
    pair = _existing(asked, world)
    before = float(strategy.estimate(pair.load)[pair.point])
    strategy.tell(pair, Observation(before + SURPRISE, NOISE))
    after = float(strategy.estimate(pair.load)[pair.point])
    _demand(
        abs(after - before - SURPRISE) < SURPRISE - SLACK,
        f"it estimated {before:.3g} for {pair}, was told {before + SURPRISE:.3g}, and estimates "
        f"{after:.3g} now",
    )


def repeats_itself(make: Make, world: World) -> None:
    """The same answers make the same search, and the same estimates."""
    one, other = make(world.setting), make(world.setting)
    asked, again = search(one, world), search(other, world)
    _demand(asked == again, f"given the same answers it asks for {asked}, then for {again}")
    for load in range(len(world.true)):
        same = np.array_equal(one.estimate(load), other.estimate(load))
        _demand(same, f"given the same answers it estimates otherwise at load {load}")


def goes_on_from_what_it_is_told(make: Make, world: World) -> None:
    """What was measured without its asking counts as if it had asked: so searches are resumed."""
    earlier = search(make(world.setting), world)
    told = earlier[: (len(earlier) + 1) // 2]
    strategy = make(world.setting)
    for pair in [*told, *told[:1]]:  # one of them twice
        strategy.tell(pair, world.observe(pair))
    failed = {pair.point for pair in told} & world.failing
    for pair in search(strategy, world):
        _demand(pair not in told, f"it asks for {pair}, which it was told of before it asked")
        _demand(pair.point not in failed, f"it asks for {pair}, whose point it was told failed")
    for load, point in set(told):
        _demand(
            point in world.failing or point in strategy.best(load),
            f"it does not rank point {point} at load {load}, which it was told works",
        )


def prefers_what_keeps_the_limit(make: Make, world: World) -> None:
    """Points measured to be within the limit rank before those beyond it, however good."""
    side = world.setting.coordinates[:, 0] >= np.median(world.setting.coordinates[:, 0])
    excess = np.broadcast_to(np.where(side, 1.0, -1.0), world.true.shape)
    setting = world.setting._replace(predicted_excess=Prediction(excess))
    strategy = make(setting)
    for point in world.working:
        value = float(world.true[0, point]) - 2.0 * side[point]  # better, and beyond the limit
        strategy.tell(Pair(0, point), Observation(value, NOISE, float(excess[0, point]), NOISE))
    beyond = [bool(side[point]) for point in strategy.best(0)]
    _demand(beyond == sorted(beyond), "it ranks a point beyond the limit before one within it")


def ends_where_nothing_keeps_the_limit(make: Make, world: World) -> None:
    """A limit that nothing keeps ends the search all the same, with the points ranked."""
    excess = np.full(world.true.shape, 5.0)
    strategy = make(world.setting._replace(predicted_excess=Prediction(excess)))
    for _ in range(world.true.size):
        if (asked := strategy.ask()) is None:
            break
        pair = _existing(asked, world)
        seen = world.observe(pair)
        over = None if seen.value is None else 5.0
        strategy.tell(pair, seen._replace(excess=over, excess_noise=NOISE))
    _demand(strategy.ask() is None, "it does not end where nothing keeps the limit")
    for load in range(len(world.true)):
        _demand(
            bool(strategy.best(load)) or not world.working,
            f"where nothing keeps the limit it ranks nothing at load {load}",
        )


def stands_on_flat_ground(make: Make, world: World) -> None:
    """Where all is equal, as predicted, there is an end and an answer too."""
    flat = np.full(world.true.shape, np.log(0.1))
    setting = world.setting._replace(predicted=Prediction(flat))
    answers_every_load(make, world._replace(setting=setting, true=flat))


CHECKS: tuple[Check, ...] = (
    asks_for_no_pair_twice,
    ends_for_good,
    leaves_alone_what_failed,
    answers_every_load,
    ranks_what_it_measured,
    estimates_every_point,
    learns_from_a_measurement,
    repeats_itself,
    goes_on_from_what_it_is_told,
    prefers_what_keeps_the_limit,
    ends_where_nothing_keeps_the_limit,
    stands_on_flat_ground,
)
"""Every check, to be called with `make` and a world."""


def _demand(holds: bool, sentence: str) -> None:
    if not holds:  # an assert would be gone under -O
        raise AssertionError(sentence)


def _existing(asked: Pair, world: World) -> Pair:
    """The pair with plain numbers, which may not change the world by being counted from its end."""
    try:
        load, point = map(operator.index, asked)
    except (TypeError, ValueError):
        raise AssertionError(f"it asks for {asked!r}, no pair of a load and a point") from None
    loads, points = world.true.shape
    there = f"where there are {loads} loads and {points} points, counted from 0"
    exists = 0 <= load < loads and 0 <= point < points
    _demand(exists, f"it asks for point {point} at load {load}, {there}")
    return Pair(load, point)


def _demand_ranking(strategy: Strategy, worked: dict[int, set[int]]) -> None:
    for load, points in worked.items():
        best = [*map(int, strategy.best(load))]
        _demand(
            sorted(best) == sorted(points),
            f"it ranks {best} at load {load}, where {sorted(points)} were measured and work",
        )
        estimates = np.asarray(strategy.estimate(load))[best]
        ascending = bool((np.diff(estimates) >= -SLACK).all())
        _demand(ascending, f"it ranks {best} at load {load} and estimates {estimates}")


def _demand_estimates(strategy: Strategy, world: World) -> None:
    for load in range(len(world.true)):
        found = np.asarray(strategy.estimate(load), dtype=float)
        shape = world.true.shape[1:]
        _demand(found.shape == shape, f"it estimates shape {found.shape}, not {shape}")
        _demand(bool(np.isfinite(found).all()), f"it estimates {found} at load {load}")
