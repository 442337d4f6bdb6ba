"""What transfer is held against: rivals that know of the past, and how they are counted."""

import functools

import numpy as np
import pytest
from search.race import Raced, race_rrl
from search.spaces import Space, on_paper
from search.transfer import lesson_of, reward_lost, serving
from search.warm_rivals import Given, MultiTaskGp, Nearest, WarmRival, WarmTpe, past_bests

from autotune.lesson import Lesson
from autotune.paper.machines import Paper, cpu_paper
from autotune.strategy.protocol import Pair

POINTS = 40


@functools.cache
def paper(model: int) -> Paper:
    return cpu_paper(4, POINTS, model)


@functools.cache
def space(model: int) -> Space:
    return on_paper(paper(model))


def begun(on: Space, name: str = "rrl") -> Raced:
    return Raced(on.name, len(on.configs), len(on.loads_rps), name, 0, 0, [], 0, None)


@functools.cache
def lesson(model: int) -> Lesson:
    return lesson_of(space(model), race_rrl(space(model), begun(space(model)), most=3))


def given(load: int = 0) -> Given:
    return Given(space(0), load, lesson(0), [lesson(1), lesson(2)], seed=0)


def test_a_race_teaches_what_it_measured() -> None:
    found = lesson(1)
    assert found.times
    assert {one.load_rps for one in found.latencies} <= set(space(1).loads_rps)
    assert found.machine.cores == 4


def test_a_race_begins_with_what_serves_and_ends_when_near() -> None:
    on, first = space(0), serving(space(0), seed=3)
    assert [pair.load for pair in first] == [0, 1, 2]
    assert all(on.violates[pair] == 0 for pair in first)
    learnt = race_rrl(on, begun(on, "rrl-safe"), most=6, first=first, near=0.05)
    assert [pair for pair, _ in learnt.told][:3] == first


def test_lessons_change_what_is_believed() -> None:
    taught = on_paper(paper(0), [lesson(1), lesson(2)])
    found = taught.foresee(0)
    assert found.experience is not None
    assert found.predictor is not None
    assert found.predictor.trust is not None


@pytest.mark.parametrize("make", [Nearest, WarmTpe, MultiTaskGp])
def test_a_rival_measures_no_point_twice_and_knows_the_past(
    make: type[Nearest] | type[WarmTpe] | type[MultiTaskGp],
) -> None:
    if make is WarmTpe:
        pytest.importorskip("optuna", reason="optuna is not installed")
    rival: WarmRival = make(given())
    asked = []
    for _ in range(8):
        point = rival.ask()
        if point is None:
            break
        asked.append(point)
        rival.tell(point, float(space(0).true_s[0, point]))
    assert len(set(asked)) == len(asked)
    assert all(0 <= point < len(space(0).configs) for point in asked)
    if make is not MultiTaskGp:
        assert asked[0] == past_bests(given())[0]


def test_past_bests_are_the_same_configurations_where_these_exist() -> None:
    own = given()._replace(past=[lesson(0)])
    measured = [one for one in lesson(0).latencies if one.load_rps == space(0).loads_rps[0]]
    best = min(measured, key=lambda one: one.measured_ms)
    assert space(0).configs[past_bests(own)[0]] == best.config


def test_reward_is_lost_by_what_serves_worse_than_the_best() -> None:
    on = space(0)
    best = [Pair(load, int(np.nanargmin(row))) for load, row in enumerate(on.true_s)]
    worst = [Pair(load, int(np.nanargmax(row))) for load, row in enumerate(on.true_s)]
    assert reward_lost(on, best) == pytest.approx(0.0)
    assert 0 < reward_lost(on, [*worst, *best]) < reward_lost(on, [*worst, *worst, *best]) < 1
