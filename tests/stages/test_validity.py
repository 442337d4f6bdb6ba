import re

import msgspec
import numpy as np
import pytest
from made import QUIET, run_of, served_queue

from autotune.arrivals import Traffic, draw
from autotune.outcome import Disturbance, Measured, ModelInfo
from autotune.patterns import Bursty
from autotune.spec import RUNTIME_DEFAULT, ServingConfig, Slo
from autotune.stages.measurement import SloAnswer, SloResult, Validity
from autotune.stages.validity import ceiling_rps, how_to_decide, judge_validity
from autotune.stats.sequential import Evidence, decide
from autotune.units import DAY_S

SLO = Slo(latency_ms=50)
LOAD = (100.0, 10_000.0)


def result(answer: SloAnswer = "PASS", diverged: bool = False) -> SloResult:
    return SloResult(
        answer=answer,
        confidence=0.99,
        requests=1000,
        over=0,
        independent=1000.0,
        stopped="diverged" if diverged else "ended",
    )


def judged(*runs: Measured, load: tuple[float, float] = LOAD, slo: Slo = SLO) -> Validity:
    return judge_validity(runs, slo, load, result())


def steady(count: int = 400, **changes: object) -> Measured:
    run = run_of(np.random.default_rng(0).uniform(0.01, 0.02, count))
    return msgspec.structs.replace(run, **changes)


def issued_late(late_ms: float) -> Measured:
    run = steady()
    return msgspec.structs.replace(run, claimed_s=run.scheduled_s + late_ms / 1e3)


def unquiet(**changes: object) -> Disturbance:
    return msgspec.structs.replace(QUIET, **changes)


def only_reason(found: Validity) -> tuple[str, str]:
    """The single reason and the single step that belongs to it."""
    assert not found.valid
    (reason,), (step,) = found.reasons, found.next_steps
    return reason, step


def test_a_quiet_and_steady_run_may_be_believed() -> None:
    found = judged(steady(), steady())
    assert found == Validity(valid=True, reasons=[], next_steps=[], notes=[])


def test_a_load_beyond_what_the_harness_can_issue_is_no_measurement() -> None:
    reason, step = only_reason(judged(steady(), load=(2000.0, 1500.0)))
    assert reason.startswith("2,000 requests/s is more than the harness itself can issue")
    assert step == "stay below 1,500 requests/s, or batch"
    assert judged(steady(), load=(1500.0, 1500.0)).valid


def test_batches_raise_what_the_harness_can_issue(info: ModelInfo) -> None:
    slow = msgspec.structs.replace(info, engine_batch_s=0.9e-3, engine_request_s=0.1e-3)
    assert ceiling_rps(slow, RUNTIME_DEFAULT) == pytest.approx(1000)
    assert ceiling_rps(slow, ServingConfig(max_batch_size=9)) == pytest.approx(5000)
    assert ceiling_rps(info, RUNTIME_DEFAULT) > 1e6


@pytest.mark.parametrize(
    ("slo_ms", "late_ms", "valid"),
    [
        (50, 2.4, True),
        (50, 2.6, False),
        (5, 0.9, True),
        (5, 1.1, False),
    ],
)
def test_late_issue_is_held_against_what_the_slo_allows(
    slo_ms: float, late_ms: float, valid: bool
) -> None:
    found = judged(issued_late(late_ms), slo=Slo(latency_ms=slo_ms))
    assert found.valid is valid
    if not valid:
        reason, step = only_reason(found)
        assert re.match(rf"requests were issued late: p99 {late_ms:.2f} ms", reason)
        assert "quieter machine" in step


def test_one_request_in_a_hundred_may_be_issued_late() -> None:
    run = steady(count=1000)
    late_s = np.where(np.arange(1000) % 100 == 0, 0.02, 0.0)
    assert judged(msgspec.structs.replace(run, claimed_s=run.scheduled_s + late_s)).valid


def test_beyond_the_ceiling_lateness_is_the_same_reason_not_another() -> None:
    found = judged(issued_late(20.0), load=(2000.0, 1500.0))
    assert len(found.reasons) == 1


def test_disturbed_windows_are_counted_and_the_worst_is_named() -> None:
    bad = steady(disturbed=["2.0 % stolen"], disturbance=unquiet(steal_share=0.02))
    worse = steady(disturbed=["9.0 % stolen"], disturbance=unquiet(steal_share=0.09))
    reason, step = only_reason(judged(bad, steady(), worse))
    assert reason == "9.0 % stolen (worst of 2 of 3)"
    assert "autotune doctor" in step


def test_reasons_with_the_same_remedy_name_it_once() -> None:
    late = issued_late(20.0)
    found = judged(msgspec.structs.replace(late, disturbed=["2.0 % stolen"]))
    assert len(found.reasons) == 2
    assert len(found.next_steps) == 1


def slower_after(share: float) -> Measured:
    rng = np.random.default_rng(1)
    latency_s = rng.uniform(0.01, 0.02, 2000)
    latency_s[int(share * 2000) :] *= 1.5
    return run_of(latency_s)


def test_a_run_that_slows_down_halfway_drifts() -> None:
    reason, step = only_reason(judged(slower_after(0.5)))
    first, second = map(float, re.findall(r"([0-9.]+) ms", reason))
    assert 14 < first < 16
    assert 21 < second < 24
    assert "leak, heat, or other load" in step


def test_a_drift_from_one_window_to_the_next_is_seen_too() -> None:
    slow = run_of(slower_after(0.0).latency_s)
    assert judged(steady(2000), slow).reasons[0].startswith("latency drifts")


def test_a_queue_that_grows_without_end_is_its_own_finding_not_drift() -> None:
    growing = slower_after(0.5)
    assert judge_validity([growing], SLO, LOAD, result("FAIL", diverged=True)).valid
    assert not judge_validity([growing], SLO, LOAD, result("FAIL")).valid


def test_too_few_independent_requests_show_no_drift() -> None:
    assert judged(run_of([0.01] * 15 + [0.02] * 15)).valid


@pytest.mark.parametrize("utilisation", [0.3, 0.8])
def test_a_stationary_queue_does_not_drift(utilisation: float) -> None:
    found = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        arrivals_s = np.cumsum(rng.exponential(1.0, 2000))
        run = served_queue(arrivals_s, rng.exponential(utilisation, 2000))
        found += judge_validity([run], SLO, LOAD, result()).reasons
    assert found == []


def test_a_few_bursts_are_no_drift_but_a_slower_half_of_many_is() -> None:
    traffic = Traffic(load_rps=200, pattern=Bursty(factor=10))
    found = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        arrivals_s = draw(traffic, 60.0, (seed,))
        run = served_queue(arrivals_s, rng.exponential(0.0004, len(arrivals_s)))
        cycles = 60.0 / traffic.cycle_s
        found += judge_validity([run], SLO, LOAD, result(), cycles).reasons
    assert found == []
    assert not judge_validity([slower_after(0.5)], SLO, LOAD, result(), cycles=100).valid


def test_throttling_is_the_truth_about_a_configuration_not_a_reason() -> None:
    throttled = unquiet(throttled_periods=7, throttled_s=0.5)
    found = judged(steady(disturbance=throttled))
    assert found.valid
    (note,) = found.notes
    assert note.startswith("the cgroup throttled it in 7 periods (0.50 s)")
    assert note.endswith("fewer threads may do better")


def test_a_run_that_served_nothing_is_judged_without_complaint() -> None:
    assert judged(run_of([], lost=100)).valid


def seen(requests: int, over: int, divisor: float = 1.0) -> Evidence:
    return Evidence(requests, over, over, divisor, divisor)


@pytest.mark.parametrize(
    "short", [seen(300, 0), seen(3, 0), seen(1000, 4), seen(60, 3), seen(400, 0, 1.5)]
)
def test_measuring_for_as_long_as_it_says_decides(short: Evidence) -> None:
    assert decide(short, SLO, 0.99) == "undecided"
    text = how_to_decide(short, SLO, result("UNDECIDED"), seconds=10.0)
    found = re.fullmatch(r"measure for about [0-9,]+ s to decide \(--duration ([0-9]+)s\)", text)
    assert found is not None, text
    factor = int(found[1]) / 10.0
    longer = short._replace(
        requests=int(factor * short.requests),
        over=round(factor * short.over),
        clusters=round(factor * short.clusters),
    )
    assert decide(longer, SLO, 0.99) != "undecided"


def test_what_no_duration_settles_is_said_so() -> None:
    text = how_to_decide(seen(100_000, 1000), SLO, result("UNDECIDED"), seconds=60.0)
    assert text.startswith("p99 is too close to 50 ms to decide: choose another SLO")


def test_what_would_take_more_than_a_day_is_not_recommended() -> None:
    text = how_to_decide(seen(3, 0), SLO, result("UNDECIDED"), seconds=DAY_S / 20)
    assert "--duration" not in text
    assert "hours: choose a higher load" in text


def test_without_any_request_the_answer_is_not_that_it_is_close() -> None:
    text = how_to_decide(seen(0, 0), SLO, result("UNDECIDED"), seconds=1.0)
    assert text == "no request was judged: measure for longer, or at a higher load"
