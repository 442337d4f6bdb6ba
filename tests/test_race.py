"""What the race counts, and what it races on."""

import msgspec
import numpy as np
import pytest
from search.race import NO_ANSWER, Raced, Step, race
from search.spaces import Clock, Places, on_paper
from search.standings import until

from autotune.paper.machines import cpu_paper
from autotune.space.axes import make_axes
from autotune.space.lattice import make_lattice
from autotune.spec import ServingConfig
from autotune.stages.explore import CHILD_START_S

LATTICE = make_lattice(make_axes(2, True, 50), 2, 0, None)


def place_of(places: Places, config: ServingConfig) -> tuple[int, ...]:
    row = LATTICE.coordinates[LATTICE.configs.index(config)]
    axes = places.lattice.values()
    return tuple(axis.index(float(value)) for axis, value in zip(axes, row, strict=True))


def test_every_point_has_a_place_and_the_place_leads_back() -> None:
    places = Places(LATTICE.coordinates)
    for point, config in enumerate(LATTICE.configs):
        assert places.point(place_of(places, config)) == point


def test_places_that_mean_the_same_lead_to_one_point_and_others_nowhere() -> None:
    places = Places(LATTICE.coordinates)
    alone = ServingConfig(intra_op_threads=1, spinning=False)
    replicas, threads, inter, _, _, _ = place_of(places, alone)
    point = LATTICE.configs.index(alone)
    assert places.point((replicas, threads, inter, 1, 0, 3)) == point
    most = tuple(length - 1 for length in places.shape)
    assert places.point(most) is None  # far more threads than cores


def raced(strategy: str, steps: list[Step], loads: int = 2) -> Raced:
    return Raced("space", 10, loads, strategy, 0, 0.0, steps, 0.0, None)


def test_a_joint_search_is_done_when_its_worst_load_is() -> None:
    steps = [
        Step(0, 1.0, NO_ANSWER, False),
        Step(1, 2.0, 0.2, False),
        Step(1, 3.0, 0.04, False),
        Step(0, 4.0, 0.0, False),
    ]
    assert until(raced("rrl", steps), 0.05) == (3, 3.0)
    assert until(raced("rrl", steps), 0.01) == (4, 4.0)
    assert until(raced("rrl", steps[:2]), 0.05) == (np.inf, np.inf)


def test_a_search_of_one_load_after_the_other_is_credited_with_stopping_in_time() -> None:
    steps = [
        Step(0, 1.0, 0.3, False),
        Step(0, 2.0, 0.02, False),
        Step(0, 5.0, 0.0, False),
        Step(1, 6.0, 0.3, False),
        Step(1, 9.0, 0.01, False),
    ]
    assert until(raced("random", steps), 0.05) == (4, 6.0)
    assert until(raced("random", steps[:4]), 0.05) == (np.inf, np.inf)


def test_the_clock_counts_opening_sessions_once_while_they_stay_warm() -> None:
    space = on_paper(cpu_paper(4, 100, 0))
    clock = Clock(space)
    one, other = ServingConfig(intra_op_threads=1), ServingConfig(intra_op_threads=2)
    opening_s = CHILD_START_S + space.load_s
    clock.spend(one, 1.0)
    clock.spend(one, 1.0)
    assert clock.seconds == pytest.approx(2 + opening_s)
    assert clock.opening_s(one) == 0
    assert clock.opening_s(other) == pytest.approx(opening_s)


def test_what_the_profile_leaves_open_costs_no_opening() -> None:
    space = on_paper(cpu_paper(4, 100, 0))
    clock = Clock(space)
    warm, *_ = space.foresee(0).warm
    clock.keep(warm)
    assert clock.opening_s(ServingConfig(**msgspec.structs.asdict(warm))) == 0


@pytest.mark.parametrize(
    "strategy",
    [
        "rrl",
        pytest.param("rrl-safe", marks=pytest.mark.slow),
        "rrl-no-prior",
        "random",
        "hill-climb",
    ],
)
def test_a_race_counts_every_measurement_and_repeats_itself(strategy: str) -> None:
    space = on_paper(cpu_paper(4, 100, 0))
    one, other = (race(space, strategy, seed=1, most=15) for _ in range(2))
    assert one.steps == other.steps
    assert 0 < len(one.steps) <= 15 * one.loads
    seconds = [one.profile_s, *(step.seconds for step in one.steps)]
    assert (np.diff(seconds) > 0).all()
    assert (one.profile_s > 0) == (strategy in ("rrl", "rrl-safe"))


@pytest.mark.slow
def test_with_a_prediction_few_measurements_suffice_on_paper() -> None:
    reached = []
    for seed in (0, 2):
        space = on_paper(cpu_paper(16, 200, seed))
        reached.append(until(race(space, "rrl", seed=seed, most=10), 0.05)[0])
    assert max(reached) <= 20  # of 600 pairs
