"""How far loads that cannot be met must be scaled down: as measured, or as predicted."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joint_desk import JointDesk
from joint_world import JointWorld

from autotune.records import Failed
from autotune.together import scaled
from autotune.together.measuring import Layout, Run, Windows
from autotune.together.records import TogetherFile
from autotune.together.scale import STEPS, largest_share
from autotune.together.sentence import in_words

SLO_MS = 40.0


@given(st.floats(-0.5, 2.5), st.floats(0.01, 2.0))
def test_the_largest_share_of_what_grows_is_found_to_a_step(edge: float, below: float) -> None:
    share = largest_share(lambda scale: scale - edge, below)
    assert 0 <= share < below
    assert share <= max(0.0, edge)
    assert share + 1 / STEPS >= min(max(0.0, edge), below) - 1e-9


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JointDesk:
    return JointDesk(tmp_path, monkeypatch)


def driven_rps(world: JointWorld, model: int = 0) -> list[float]:
    """The load of one model in each window."""
    trials = [seats[model].trial.arrivals_s for seats in world.seated]
    return [len(arrivals_s) / arrivals_s[-1] for arrivals_s in trials]


def test_the_scale_is_one_at_which_all_were_measured_to_be_met(desk: JointDesk) -> None:
    found = desk.search()
    scale = found.largest_scale
    assert found.status == "slo_not_met"
    assert scale is not None
    assert scale.evidence == "measured"
    assert 0 < scale.share < scale.missed <= 1
    assert [one.service for one in scale.served] == ["a", "b"]
    assert all(one.measured.meets_slo for one in scale.served)
    assert all((one.measured.objective.value_ms or 1e9) <= SLO_MS for one in scale.served)
    assert [one.model for one in scale.placed] == ["a", "b"]
    assert f"At {scale.share:.2g} x these loads all are met as measured" in found.summary
    loads_rps = driven_rps(desk.world)
    assert min(loads_rps) == pytest.approx(60 * scale.share, rel=0.5)


def tried(desk: JointDesk) -> list[tuple[str, bool]]:
    """Which shares were measured, and whether all were met."""
    said = [text for text in desk.said if "x the loads: " in text]
    return [
        (
            text.partition(" ")[0],
            all(
                float(ms) <= float(slo_ms) for ms, slo_ms in re.findall(r"p99 (\S+) of (\S+)", text)
            ),
        )
        for text in said
    ]


def test_shares_are_bisected_between_what_was_met_and_what_was_not(desk: JointDesk) -> None:
    scale = desk.search(load_rps=150.0, slo_ms=30.0).largest_scale
    assert scale is not None
    shares = tried(desk)
    assert 3 <= len(shares) <= 4
    assert {met for _, met in shares} == {True, False}
    assert f"{scale.share:.2g}" == max((share for share, met in shares if met), key=float)
    assert f"{scale.missed:.2g}" == min((share for share, met in shares if not met), key=float)


def without_time(desk: JointDesk, monkeypatch: pytest.MonkeyPatch) -> TogetherFile:
    monkeypatch.setattr(scaled, "_seconds", lambda *of: 0.0)
    return desk.search()


def test_where_time_is_up_the_scale_is_called_predicted(
    desk: JointDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = without_time(desk, monkeypatch)
    scale = found.largest_scale
    assert scale is not None
    assert (scale.evidence, scale.served, scale.missed) == ("predicted", [], 1.0)
    assert 0 < scale.share < 1
    assert f"At {scale.share:.2g} x these loads all are predicted to be met" in found.summary
    assert "measured to" not in found.summary


def test_a_scale_that_fails_is_not_claimed(
    desk: JointDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds, calls = scaled._seconds, []

    def once(*of: object) -> float:
        calls.append(of)
        return seconds(*of) if len(calls) == 1 else 0.0  # type: ignore[arg-type]

    monkeypatch.setattr(scaled, "_seconds", once)
    predicted = scaled._predicted
    monkeypatch.setattr(
        scaled,
        "_predicted",
        lambda hunt, winner, tried: predicted(hunt, winner, tried) if tried else 0.9375,
    )
    found = desk.search()
    scale = found.largest_scale
    assert scale is not None
    assert (scale.evidence, scale.missed) == ("predicted", 0.9375)
    assert 0 < scale.share < 0.9375
    assert "at 0.94 x, measured, not" in in_words(scale)


def test_what_fails_at_a_scale_is_no_answer_and_another_is_tried(
    desk: JointDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure, scaled_down = Windows.measure, list[Layout]()

    def failing(
        self: Windows, layout: Layout, seconds: float, seed: tuple[int, ...], scale: float = 1.0
    ) -> Run | Failed:
        if scale < 1:
            scaled_down.append(layout)
            if len(scaled_down) == 1:
                return Failed(kind="crash", detail="gone")
        return measure(self, layout, seconds, seed, scale)

    monkeypatch.setattr(Windows, "measure", failing)
    scale = desk.search().largest_scale
    assert scale is not None
    assert scale.evidence == "measured"
    assert scaled_down[1] != scaled_down[0]
    assert [one.config for one in scale.placed] != list(scaled_down[0].configs)


def test_an_interrupt_while_loads_are_scaled_keeps_what_was_measured(desk: JointDesk) -> None:
    desk.search()
    before = tried(desk)[:-1]
    desk.store = desk.folder / "interrupted.sqlite"
    found = desk.search(dies_at=desk.world.asked, interrupted=True)
    assert found.status == "interrupted"
    assert tried(desk) == before
    assert found.largest_scale is not None
    assert f"{found.largest_scale.share:.2g}" == max(
        (share for share, met in before if met), key=float
    )


def test_loads_that_are_met_have_no_scale(desk: JointDesk) -> None:
    found = desk.search(load_rps=10.0, slo_ms=200.0)
    assert found.status == "complete"
    assert found.largest_scale is None
