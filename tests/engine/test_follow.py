"""When an engine switches, and what happens to the sessions: by a clock of the test's own."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.engine.follow import (
    FIRST_PAUSE_S,
    Chooser,
    Follower,
    Following,
    Level,
    Rule,
    level_for,
)
from autotune.engine.group import Prepared, Upkeep
from autotune.engine.groups import Groups
from autotune.engine.live_source import Limits, LiveSource
from autotune.engine.load_estimate import LoadEstimate
from autotune.engine.source import Tensors
from autotune.spec import ServingConfig, SessionShape

RULE = Rule()
PATIENCE_S = 30.0


def level(load_rps: float, replicas: int, batch: int = 1) -> Level:
    config = ServingConfig(
        replicas=replicas, intra_op_threads=1, max_batch_size=batch, batch_timeout_ms=0.0
    )
    return Level(load_rps, config)


LEVELS = [level(50, 1), level(100, 2), level(200, 3), level(300, 3, batch=4)]


class Play:
    """A chooser that is fed Poisson counts, and goes where it wants."""

    def __init__(self, at: int = 0, levels: list[Level] = LEVELS) -> None:
        self.chooser, self.estimate = Chooser(levels, RULE), LoadEstimate(RULE.window_s)
        self.level, self.ticks = at, 0
        self.rng = np.random.default_rng(0)

    def run(self, load_rps: float, seconds: float, clump: int = 1) -> list[tuple[float, int]]:
        """Return when it switched, and where to."""
        found, began = [], self.ticks
        for _ in range(round(seconds / RULE.tick_s)):
            self.ticks += 1
            count = clump * int(self.rng.poisson(load_rps * RULE.tick_s / clump))
            self.estimate = self.estimate.after(count, RULE.tick_s)
            wanted = self.chooser.choose(self.level, self.estimate, self.ticks * RULE.tick_s)
            if wanted != self.level:
                found.append(((self.ticks - began) * RULE.tick_s, wanted))
                self.level = wanted
        return found


def test_the_level_for_a_load_is_the_lowest_that_reaches_it_or_the_highest() -> None:
    assert [level_for(LEVELS, load) for load in (0, 50, 50.1, 200, 300, 1e9)] == [0, 0, 1, 2, 3, 3]


def test_up_within_a_second_and_down_when_it_has_stayed_low() -> None:
    play = Play()
    assert play.run(20, 60) == []
    rises = play.run(180, 20)
    assert rises[0][0] <= 1.0
    assert [to for _, to in rises] == sorted(to for _, to in rises)
    assert rises[-1][1] >= 2
    falls = play.run(20, 60)
    assert falls[0][0] >= RULE.lower_after_s
    assert play.level == 0


def test_a_load_above_all_levels_is_served_by_the_highest() -> None:
    play = Play()
    play.run(2000, 3)
    assert play.level == 3


def test_a_short_spike_is_served_and_the_next_one_finds_its_level_ready() -> None:
    play = Play()
    play.run(20, 20)
    for _ in range(5):
        play.run(180, 2)
        assert play.level >= 2
        assert play.run(20, 6) == []


@pytest.mark.parametrize("clump", [1, 4])
def test_noise_does_not_switch(clump: int) -> None:
    play = Play(at=1)
    load_rps = 85 if clump == 1 else 70
    play.run(load_rps, 30, clump)
    assert play.run(load_rps, 900, clump) == []


def test_a_load_at_the_border_is_served_by_the_level_above_and_stays_there() -> None:
    play = Play(at=1)
    play.run(105, 60)
    assert play.level == 2
    assert play.run(105, 300) == []


@given(st.lists(st.integers(0, 60), min_size=1, max_size=300), st.integers(0, 3))
def test_down_only_if_nothing_of_late_needed_more(counts: list[int], at: int) -> None:
    chooser, estimate, past = Chooser(LEVELS, RULE), LoadEstimate(RULE.window_s), list[float]()
    for tick, count in enumerate(counts):
        estimate = estimate.after(count, RULE.tick_s)
        past.append(estimate.rps)
        wanted = chooser.choose(at, estimate, tick * RULE.tick_s)
        looks = round(RULE.lower_after_s / RULE.tick_s)
        if wanted < at:
            assert len(past) > looks
            assert level_for(LEVELS, max(past[-looks:])) <= wanted
        if wanted > at:
            assert estimate.rps > LEVELS[at].load_rps
        at = wanted


class Desk:
    """A follower that looks when it is told to, at a source whose requests are counted only."""

    def __init__(self, levels: list[Level], rule: Rule = RULE) -> None:
        self.now_s, self.load_rps = 0.0, 0.0
        self.opened, self.closed = list[SessionShape](), list[SessionShape]()
        self.fails: BaseException | None = None
        self.tries_s: list[float] = []
        self.batches: list[int] = []
        self.source = LiveSource(max_queued=100_000)
        first = levels[0].config.session_shape
        self.groups = Groups(self.source, first, self.prepare(first))
        self.groups.start(Limits(1, 0.0))
        following = Following(levels, 0, self.prepare, rule)
        self.follower = Follower(self.source, self.groups, following, lambda: self.now_s)

    def prepare(self, shape: SessionShape) -> Prepared:
        self.tries_s.append(self.now_s)
        if self.fails is not None:
            raise self.fails
        self.opened.append(shape)
        self.submit(0.25)

        def infer(inputs: Tensors) -> Tensors:
            self.batches.append(len(inputs["x"]))
            return inputs

        return Prepared([infer] * shape.replicas, Upkeep(close=lambda: self.closed.append(shape)))

    @property
    def standing(self) -> int:
        return len(self.opened) - len(self.closed)

    def run(self, load_rps: float, seconds: float) -> None:
        """Submit requests evenly and look, as the engine's thread would."""
        self.load_rps = load_rps
        for _ in range(round(seconds / RULE.tick_s)):
            self.submit(RULE.tick_s)
            while self.follower.step():
                pass
            self.settle()

    def submit(self, seconds: float) -> None:
        """Let the time pass, with requests."""
        self.now_s += seconds
        x = {"x": np.zeros((1, 1))}
        for future in [self.source.submit(x) for _ in range(round(self.load_rps * seconds))]:
            future.result(timeout=PATIENCE_S)

    def settle(self) -> None:
        """Wait until replicas that were retired have ended."""
        for one in self.groups._leaving:
            one.group.join(None)

    def configs(self) -> list[ServingConfig]:
        return [one.after for one in self.follower.switches()]


@pytest.fixture
def desks() -> Iterator[list[Desk]]:
    before = threading.active_count()
    made: list[Desk] = []
    yield made
    for desk in made:
        desk.source.close()
        assert desk.groups.join(None)
        desk.groups.close()
        assert desk.standing == 0
    assert threading.active_count() == before


def test_sessions_are_opened_once_and_the_two_shapes_last_used_are_kept(desks: list[Desk]) -> None:
    desk = Desk(LEVELS[:3])
    desks.append(desk)
    for _ in range(3):
        desk.run(20, 14)
        desk.run(80, 3)
    one, two, three = (each.config for each in LEVELS[:3])
    assert desk.configs() == [two, one, two, one, two]
    assert desk.opened == [one.session_shape, two.session_shape]
    desk.run(180, 3)
    assert desk.closed == [one.session_shape]
    desk.run(20, 15)
    assert desk.configs()[-2:] == [three, one]
    assert desk.standing == 2
    switches = desk.follower.switches()
    assert [one.prepare_s for one in switches] == [0.25, 0, 0, 0, 0, 0.25, 0.25]
    assert {one.reason for one in switches} == {"load rose", "load fell"}
    rose = switches[0]
    assert (rose.before, rose.reason) == (one, "load rose")
    assert 50 < rose.load_rps < 100


def test_where_only_batching_changes_no_session_is_opened(desks: list[Desk]) -> None:
    desk = Desk([level(50, 1), level(300, 1, batch=4)])
    desks.append(desk)
    (replica,) = desk.groups.threads
    desk.run(20, 1)
    desk.run(200, 2)
    assert desk.configs() == [level(300, 1, batch=4).config]
    assert desk.groups.threads == [replica]
    assert max(desk.batches) > 1
    assert len(desk.opened) == 1
    desk.run(20, 15)
    assert desk.configs()[-1] == level(50, 1).config
    desk.batches.clear()
    desk.run(200, 0.1)
    assert set(desk.batches) == {1}


def test_what_cannot_be_opened_is_tried_again_with_growing_pauses(
    desks: list[Desk], caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(LEVELS[:2])
    desks.append(desk)
    desk.tries_s.clear()
    desk.fails = SystemExit("no room")
    desk.run(80, 20)
    assert desk.configs() == []
    waits_s = np.diff(desk.tries_s)
    assert len(waits_s) >= 3
    assert waits_s[0] == pytest.approx(FIRST_PAUSE_S, abs=0.15)
    assert waits_s[1:] == pytest.approx(2 * waits_s[:-1], rel=0.15)
    assert "cannot switch to 2 x 1 thread" in caplog.text
    assert "no room" in caplog.text
    desk.fails = None
    desk.run(80, 20)
    assert desk.configs() == [LEVELS[1].config]


def test_one_shape_in_memory_is_kept_if_told_so(desks: list[Desk]) -> None:
    desk = Desk(LEVELS[:2], RULE._replace(kept=1))
    desks.append(desk)
    desk.run(80, 3)
    assert desk.configs() == [LEVELS[1].config]
    assert (len(desk.opened), desk.standing) == (2, 1)


def test_a_load_that_changes_while_sessions_open_is_looked_at_anew(desks: list[Desk]) -> None:
    desk = Desk(LEVELS[:2])
    desks.append(desk)
    prepare = desk.prepare

    def slowly(shape: SessionShape) -> Prepared:
        desk.now_s += 30.0  # in which nothing comes
        desk.load_rps = 0.0
        return prepare(shape)

    desk.follower._following = desk.follower._following._replace(prepare=slowly)
    desk.run(80, 3)
    spike = desk.configs()
    desk.run(80, 3)
    assert spike == []
    assert desk.configs() == [LEVELS[1].config]
    assert len(desk.opened) == 2
