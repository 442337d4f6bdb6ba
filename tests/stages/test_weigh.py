import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from made import run_of

from autotune.arrivals import Traffic
from autotune.outcome import Measured, ModelInfo, Stopped
from autotune.patterns import Gaps, Trace
from autotune.spec import RUNTIME_DEFAULT, ModelSpec, ServingConfig, Slo
from autotune.stages.measurement import Measurement, Side, SloAnswer
from autotune.stages.question import MeasureQuestion
from autotune.stages.single import Runs
from autotune.stages.weigh import weigh

TWO = ServingConfig(replicas=2, intra_op_threads=1)
SLO = Slo(latency_ms=50)


@pytest.fixture
def question(tmp_path: Path) -> MeasureQuestion:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"model")
    return MeasureQuestion(
        model=ModelSpec(path=str(path)),
        name="my model",
        slo=SLO,
        traffic=Traffic(load_rps=1),
        config=TWO,
        other=None,
        confidence=0.99,
        duration_s=60.0,
        seed=3,
    )


def served(
    latency_ms: float = 10.0, count: int = 2000, seed: int = 0, stopped: Stopped = "ended"
) -> Measured:
    jitter = np.random.default_rng(seed).uniform(0.9, 1.1, count)
    run = run_of(latency_ms / 1e3 * jitter, used=(0.004 * count, 64 << 20))
    return msgspec.structs.replace(run, stopped=stopped)


def runs(*parts: Measured, config: ServingConfig = TWO) -> Runs:
    return Runs(config, list(parts), idle_cores=0.5, seconds=12.345)


def side_of(question: MeasureQuestion, info: ModelInfo, *parts: Measured) -> Side:
    (side,) = weigh(question, info, [runs(*parts)]).sides
    return side


@pytest.mark.parametrize(
    ("stopped", "answer"), [("passed", "PASS"), ("failed", "FAIL"), ("diverged", "FAIL")]
)
def test_the_verdict_at_which_a_run_stopped_stands(
    question: MeasureQuestion, info: ModelInfo, stopped: Stopped, answer: SloAnswer
) -> None:
    # So few requests prove nothing by themselves: the judge had seen more.
    side = side_of(question, info, served(count=20, stopped=stopped))
    assert (side.slo.answer, side.slo.stopped) == (answer, stopped)
    assert side.slo.confidence == 0.99


@pytest.mark.parametrize(
    ("latency_ms", "count", "answer"),
    [(10, 2000, "PASS"), (10, 200, "UNDECIDED"), (60, 200, "FAIL")],
)
def test_a_run_that_came_to_its_end_is_weighed_as_a_whole(
    question: MeasureQuestion, info: ModelInfo, latency_ms: float, count: int, answer: SloAnswer
) -> None:
    side = side_of(question, info, served(latency_ms, count))
    assert side.slo.answer == answer
    assert (side.slo.requests, side.slo.over) == (count, count if latency_ms > 50 else 0)


def test_evidence_adds_up_over_rounds(question: MeasureQuestion, info: ModelInfo) -> None:
    rounds = [served(count=200, seed=seed) for seed in range(8)]
    assert side_of(question, info, rounds[0]).slo.answer == "UNDECIDED"
    side = side_of(question, info, *rounds)
    assert side.slo.answer == "PASS"
    assert side.windows == 8


def test_one_round_that_diverged_fails_them_all(question: MeasureQuestion, info: ModelInfo) -> None:
    side = side_of(question, info, served(stopped="diverged"), *[served()] * 9)
    assert (side.slo.answer, side.slo.stopped) == ("FAIL", "diverged")


def test_lost_requests_count_against_the_slo(question: MeasureQuestion, info: ModelInfo) -> None:
    rounds = [msgspec.structs.replace(served(count=200), lost=100) for _ in range(6)]
    side = side_of(question, info, *rounds)
    assert side.slo.answer == "FAIL"
    assert (side.slo.requests, side.slo.over) == (1800, 600)


def test_what_to_do_names_the_search_that_would_find_better(
    question: MeasureQuestion, info: ModelInfo
) -> None:
    (step,) = side_of(question, info, served(60)).validity.next_steps
    assert step.endswith("autotune search my model --slo 50ms --load 1")
    p95 = msgspec.structs.replace(question, slo=Slo(latency_ms=50, percentile=95))
    (step,) = side_of(p95, info, served(60)).validity.next_steps
    assert step.endswith("--slo 50ms --percentile 95 --load 1")
    assert side_of(question, info, served(10)).validity.next_steps == []


def test_an_undecided_comparison_needs_the_time_of_both_sides(
    question: MeasureQuestion, info: ModelInfo
) -> None:
    def seconds(asked: MeasureQuestion) -> float:
        (step,) = weigh(asked, info, [runs(served(count=200))]).sides[0].validity.next_steps
        return float(step.split("--duration ")[1].rstrip("s)"))

    alone = seconds(question)
    both = seconds(msgspec.structs.replace(question, other=RUNTIME_DEFAULT))
    assert both == pytest.approx(2 * alone, abs=2)


def test_traffic_with_gaps_does_not_pass_before_enough_of_them(
    question: MeasureQuestion, info: ModelInfo
) -> None:
    gaps = msgspec.structs.replace(question, traffic=Traffic(load_rps=2, pattern=Gaps(gap_s=150.0)))
    side = side_of(gaps, info, served(count=2000))  # a request a second: 2000 s of 10 x 300 s
    assert side.slo.answer == "UNDECIDED"
    assert side.validity.next_steps == [
        "poisson with 150 s gaps must be seen 10 times around: measure for about 3,600 s "
        "(--duration 3600s)"
    ]
    assert side_of(gaps, info, served(count=3100)).slo.answer == "PASS"
    assert side_of(gaps, info, served(count=1500), served(count=1600)).slo.answer == "PASS"
    assert side_of(gaps, info, served(latency_ms=60, count=2000)).slo.answer == "FAIL"


def test_a_recorded_day_that_gets_busier_is_no_drift(
    question: MeasureQuestion, info: ModelInfo
) -> None:
    busier = run_of(np.concatenate([served(10).latency_s, served(20).latency_s]))
    assert not side_of(question, info, busier).validity.valid
    trace = Traffic(load_rps=1, pattern=Trace(times_s=np.arange(4000.0)))
    recorded = msgspec.structs.replace(question, traffic=trace)
    assert side_of(recorded, info, busier).validity.valid


def test_the_served_rate_is_over_the_time_that_was_counted(
    question: MeasureQuestion, info: ModelInfo
) -> None:
    run = served(count=1000)
    assert side_of(question, info, run).served_rps == pytest.approx(1.0)
    assert side_of(question, info, run.counted(500.0)).served_rps == pytest.approx(1.0)


def test_a_load_beyond_the_harness_makes_the_side_invalid(
    question: MeasureQuestion, info: ModelInfo
) -> None:
    slow = msgspec.structs.replace(info, engine_batch_s=2.0)
    side = side_of(question, slow, served())
    assert not side.validity.valid
    assert side.slo.answer == "PASS"


@pytest.fixture
def compared(question: MeasureQuestion, info: ModelInfo) -> Measurement:
    both = msgspec.structs.replace(question, other=RUNTIME_DEFAULT)
    first = [served(10, 300, seed) for seed in range(6)]
    second = [served(20, 300, seed + 100) for seed in range(6)]
    return weigh(both, info, [runs(*first), runs(*second, config=RUNTIME_DEFAULT)])


def test_two_sides_are_compared_at_the_highest_quantile_that_rounds_show(
    compared: Measurement,
) -> None:
    assert [side.config for side in compared.sides] == [TWO, RUNTIME_DEFAULT]
    assert [one.what for one in compared.differences] == [
        "p99",
        "p50",
        "p95",
        "CPU time per request",
    ]
    latency, cpu = compared.differences[0], compared.differences[-1]
    assert latency.ratio == pytest.approx(0.5, rel=0.1)
    assert latency.differs
    assert latency.p_value < 0.05
    assert cpu.ratio == pytest.approx(1.0)
    assert not cpu.differs


def test_rounds_of_few_requests_are_compared_at_a_quantile_they_can_show(
    question: MeasureQuestion, info: ModelInfo
) -> None:
    both = msgspec.structs.replace(question, other=RUNTIME_DEFAULT)
    few = [served(10, 40, seed) for seed in range(6)]
    found = weigh(both, info, [runs(*few), runs(*few, config=RUNTIME_DEFAULT)])
    assert [one.what for one in found.differences][:2] == ["p95", "p50"]
    assert not any(one.differs for one in found.differences)


def test_rounds_that_lost_everything_have_no_ratio(
    question: MeasureQuestion, info: ModelInfo
) -> None:
    both = msgspec.structs.replace(question, other=RUNTIME_DEFAULT)
    good = [served(10, 300, seed) for seed in range(6)]
    lost = [msgspec.structs.replace(run, lost=300, stopped="diverged") for run in good]
    found = weigh(both, info, [runs(*good), runs(*lost, config=RUNTIME_DEFAULT)])
    assert found.differences[0].ratio is None
    assert found.differences[0].differs


def test_the_answer_survives_json(compared: Measurement) -> None:
    text = msgspec.json.encode(compared)
    assert msgspec.json.decode(text, type=Measurement) == compared
    plain = json.loads(text)
    assert plain["model"] == "my model"
    assert len(plain["sha256"]) == 64
    assert plain["runtime"] == "synthetic 1.0"
    assert plain["sides"][0]["seconds"] == 12.35
