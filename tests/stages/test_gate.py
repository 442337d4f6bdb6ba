"""The gate's verdict from runs made by hand, and its error rates over many simulated checks."""

import msgspec
import numpy as np
import pytest
from made import run_of
from promised import TUNED, question
from scripted import disturbed_by

from autotune.outcome import Measured, ModelInfo
from autotune.stages.gate import (
    GateAnswer,
    compare_execution,
    judge_gate,
    largest_error,
    slower,
)
from autotune.stages.gate_rounds import GateRuns
from autotune.stages.reference import CostWindow, reference_of


def windows(latency_ms: float, rounds: int = 10, lost: int = 0, seed: int = 0) -> list[Measured]:
    rng = np.random.default_rng(seed)
    return [
        run_of(latency_ms / 1e3 * rng.uniform(0.9, 1.1, 400), lost=lost, used=(2.0, 1 << 20))
        for _ in range(rounds)
    ]


def runs(
    info: ModelInfo,
    latency_ms: float = 20.0,
    default_ms: float = 40.0,
    execution_ms: tuple[float, ...] = (8.1, 8.0, 8.2, 8.1, 7.9, 8.15),
    yardstick_ms: float = 0.6,
) -> GateRuns:
    return GateRuns(
        info=info,
        mine=windows(latency_ms),
        again=windows(latency_ms, seed=1),
        default=windows(default_ms, seed=2),
        costs=[CostWindow(one, yardstick_ms) for one in execution_ms],
        seconds=58.0,
    )


def disturbed(found: GateRuns) -> GateRuns:
    spoil = disturbed_by(0.3)
    return found._replace(mine=list(map(spoil, found.mine)), again=list(map(spoil, found.again)))


def test_what_is_as_promised_holds(info: ModelInfo) -> None:
    report = judge_gate(question(), runs(info))
    assert report.answer == "holds"
    assert report.next_steps == []
    assert report.execution is not None
    assert report.execution.ratio == pytest.approx(1.0, abs=0.02)
    assert report.noise_floor.ratio == pytest.approx(1.0, abs=0.05)


def test_a_missed_slo_is_named_first(info: ModelInfo) -> None:
    report = judge_gate(question(), runs(info, latency_ms=60.0))
    assert report.answer == "slo_missed"
    assert "at 160 requests/s, the SLO 50 ms" in report.reasons[0]
    assert report.next_steps == ["search again: autotune search model.onnx --slo 50ms"]


def test_a_queue_without_end_is_a_missed_slo(info: ModelInfo) -> None:
    found = runs(info)
    grown = msgspec.structs.replace(found.mine[0], stopped="diverged")
    report = judge_gate(question(), found._replace(mine=[grown], again=[grown]))
    assert report.answer == "slo_missed"
    assert "grows without end" in report.reasons[0]


def test_a_heavier_model_is_a_regression_even_where_the_slo_holds(info: ModelInfo) -> None:
    report = judge_gate(question(), runs(info, execution_ms=(9.7, 9.8, 9.6, 9.75, 9.9, 9.65)))
    assert report.answer == "regression"
    assert "more than the 10 % allowed" in report.reasons[0]


def test_a_heavier_model_is_seen_beside_a_neighbour(info: ModelInfo) -> None:
    heavier = runs(info, latency_ms=90.0, execution_ms=(9.7, 9.8, 9.6, 9.75, 9.9, 9.65))
    assert judge_gate(question(), disturbed(heavier)).answer == "regression"


def test_a_miss_beside_a_neighbour_is_undecided_and_says_so(info: ModelInfo) -> None:
    report = judge_gate(question(), disturbed(runs(info, latency_ms=60.0)))
    assert report.answer == "undecided"
    assert "but 30% stolen" in report.reasons[0]
    assert "quiet machine" in report.next_steps[0]


def test_what_is_slower_than_the_default_which_it_beat_is_a_regression(info: ModelInfo) -> None:
    gain = question().entry.gain
    assert gain is not None
    assert gain.proven
    report = judge_gate(question(), runs(info, latency_ms=20.0, default_ms=10.0))
    assert report.answer == "regression"
    assert "slower than the runtime's default" in report.reasons[0]


def test_executions_that_vary_wildly_are_undecided_with_the_tolerance_that_would_do(
    info: ModelInfo,
) -> None:
    report = judge_gate(question(), runs(info, execution_ms=(6.0, 11.0, 7.0, 10.0, 5.5, 12.0)))
    assert report.answer == "undecided"
    assert "--tolerance" in report.next_steps[0]


@pytest.mark.parametrize(
    ("latency_ms", "answer"), [(20.0, "stale"), (60.0, "slo_missed")], ids=["holds", "missed"]
)
def test_staleness_yields_to_what_is_graver(
    info: ModelInfo, latency_ms: float, answer: GateAnswer
) -> None:
    found = judge_gate(question(stale=("another model",)), runs(info, latency_ms))
    assert found.answer == answer
    assert "another model" in found.reasons


def test_staleness_that_nobody_minds_is_a_note(info: ModelInfo) -> None:
    report = judge_gate(question(stale=("another model",), stale_fails=False), runs(info))
    assert report.answer == "holds"
    assert "another model" in report.notes


def test_without_a_reference_executions_are_not_compared(info: ModelInfo) -> None:
    tuned = msgspec.structs.replace(TUNED, reference=None)
    report = judge_gate(question(tuned), runs(info, execution_ms=(16.0,) * 6))
    assert report.answer == "holds"
    assert report.execution is None


def test_a_slower_machine_is_no_regression_but_a_doubt(info: ModelInfo) -> None:
    slow = (9.7, 9.8, 9.6, 9.75, 9.9, 9.65)
    report = judge_gate(question(), runs(info, execution_ms=slow, yardstick_ms=0.7))
    assert report.answer == "undecided"
    assert "the machine itself is x1.17 slower" in report.reasons[0]
    faster = judge_gate(question(), runs(info, execution_ms=slow, yardstick_ms=0.5))
    assert faster.answer == "regression"


def test_spells_in_which_everything_is_slow_do_not_count(info: ModelInfo) -> None:
    report = judge_gate(question(), runs(info, execution_ms=(8.1, 8.0, 8.2, 8.1, 11.0, 12.0)))
    assert report.execution is not None
    assert report.execution.ratio == pytest.approx(1.0, abs=0.02)
    assert report.answer == "holds"


def simulated_check(rng: np.random.Generator, factor: float, spread: float, drift: float) -> bool:
    """One check of a model `factor` as heavy as in the file: whether it is called slower."""
    there = 8.0 * np.exp(spread * rng.standard_normal(20))
    here = 8.0 * factor * np.exp(drift * rng.standard_normal() + spread * rng.standard_normal(30))
    reference = reference_of([CostWindow(one, 0.6) for one in there])
    assert reference is not None
    return slower(compare_execution(reference, [CostWindow(one, 0.6) for one in here]), 0.1)


@pytest.mark.parametrize(("spread", "drift"), [(0.03, 0.02), (0.06, 0.03)])
def test_false_alarms_are_below_one_in_a_hundred_and_a_fifth_more_is_caught(
    spread: float, drift: float
) -> None:
    rng = np.random.default_rng(0)
    alarms = sum(simulated_check(rng, 1.0, spread, drift) for _ in range(1500))
    caught = sum(simulated_check(rng, 1.2, spread, drift) for _ in range(1500))
    assert alarms / 1500 < 0.01
    assert caught / 1500 > 0.95


def test_a_change_as_uncertain_as_may_be_still_catches_twice_the_tolerance() -> None:
    rng = np.random.default_rng(0)
    seen = rng.normal(np.log(1.2), largest_error(0.1), 100_000)
    assert np.mean(seen > np.log(1.1)) == pytest.approx(0.95, abs=0.01)
