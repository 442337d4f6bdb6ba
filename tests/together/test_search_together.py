"""A whole search for two models, on a synthetic machine."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from joint_world import JointWorld, asked

from autotune.config_file import to_json
from autotune.errors import MeasureError
from autotune.outcome import Measured
from autotune.records import Failed
from autotune.stages.events import Event
from autotune.together.benches import Seated
from autotune.together.make import search_with
from autotune.together.records import TogetherFile


def searched(world: JointWorld, **given: Any) -> TogetherFile:
    events: list[Event] = []
    return search_with(world, asked(**given), events.append, "2026-01-01T00:00:00+00:00")


@pytest.fixture(scope="module")
def world() -> JointWorld:
    return JointWorld()


@pytest.fixture(scope="module")
def answer(world: JointWorld) -> TogetherFile:
    """At loads at which the defaults miss and something else does not."""
    return searched(world, load_rps=40.0, slo_ms=60.0)


def test_all_models_are_measured_at_the_same_time_under_their_loads(
    world: JointWorld, answer: TogetherFile
) -> None:
    assert all(len(seats) == 2 for seats in world.seated)
    first, second = world.seated[-1]
    assert first.trial.arrivals_s != second.trial.arrivals_s
    assert [one.service for one in answer.contenders[0].served] == ["a", "b"]


def test_what_is_recommended_keeps_every_slo_where_the_defaults_do_not(
    answer: TogetherFile,
) -> None:
    ways = {one.way: one for one in answer.contenders}
    assert not ways["default"].meets_all
    assert answer.contenders[0].meets_all
    assert answer.status == "complete"
    assert answer.recommended == answer.contenders[0].placed


def test_the_joint_space_is_not_spanned(answer: TogetherFile) -> None:
    lattice = answer.members["a"].search.points * answer.members["b"].search.points
    assert answer.joints < lattice / 2
    assert len(answer.trials) < answer.joints


def test_interference_is_what_was_measured(answer: TogetherFile) -> None:
    first, second = answer.interference
    assert (first.model, first.beside, second.model) == ("a", "b", "b")
    assert first.apart == pytest.approx(1.1)
    assert first.crowded == pytest.approx(2.0)


def test_each_model_is_a_tuned_file_of_its_own(answer: TogetherFile) -> None:
    for placed in answer.recommended:
        member = answer.members[placed.model]
        assert member.recommended == placed.config
        assert f"beside {'b' if placed.model == 'a' else 'a'} at 40" in member.summary


def test_a_file_says_all_there_is(answer: TogetherFile) -> None:
    assert msgspec.json.decode(to_json(answer), type=TogetherFile) == answer


def test_what_fails_is_out_and_the_others_go_on() -> None:
    world = JointWorld(fails=lambda config: config.replicas > 1)
    answer = searched(world)
    assert all(each.config.replicas == 1 for one in answer.contenders for each in one.placed)


def test_where_everything_fails_nothing_is_confirmed() -> None:
    with pytest.raises(MeasureError, match="nothing was confirmed: crash: synthetic crash"):
        searched(JointWorld(fails=lambda config: True))


class Interrupted(JointWorld):
    """Ctrl-C after so many measurements."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def measure(self, seats: Sequence[Seated]) -> list[Measured] | Failed:
        if len(self.seated) == self.after:
            raise KeyboardInterrupt
        return super().measure(seats)


def test_an_interrupt_after_the_first_round_leaves_an_answer(
    world: JointWorld, answer: TogetherFile
) -> None:
    rounds = len(world.seated) - len(answer.trials)
    after = len(answer.trials) + rounds // 2
    interrupted = searched(Interrupted(after), load_rps=40.0, slo_ms=60.0)
    assert interrupted.status == "interrupted"
    assert interrupted.stopped == "interrupted"
    with pytest.raises(KeyboardInterrupt):
        searched(Interrupted(1), load_rps=40.0, slo_ms=60.0)
