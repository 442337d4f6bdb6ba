from typing import Any

import numpy as np
import pytest

from autotune.exports.exporters import EXPORTERS
from autotune.records import SloVerdict
from autotune.servers.drive import Driven
from autotune.servers.seen import Effect, exit_code, look_at_knobs, look_at_load
from autotune.spec import ServingConfig, Slo

CONFIG = ServingConfig(
    replicas=2, intra_op_threads=2, spinning=False, max_batch_size=4, batch_timeout_ms=2.0
)
SLO = Slo(latency_ms=50.0)


def answers(processes: int = 2, threads: int = 1, largest: int = 4) -> list[dict[str, Any]]:
    return [
        {
            "inference_ms": 5.0,
            "process": 100 + number % processes,
            "session_threads": threads,
            "batch_size": 1 + number % largest,
        }
        for number in range(40)
    ]


def effects(
    seen: list[dict[str, Any]], server: str = "litserve", config: ServingConfig = CONFIG
) -> dict[str, Effect]:
    knobs = look_at_knobs(EXPORTERS[server], config, seen, 2, sees_processes=True)
    return {one.knob: one.effect for one in knobs}


def test_knobs_that_took_effect_are_told_from_those_that_did_not() -> None:
    right = effects(answers())
    assert (
        right["replicas"] == right["intra_op_threads"] == right["max_batch_size"] == "took effect"
    )
    assert right["spinning"] == "not seen"
    assert effects(answers(processes=1))["replicas"] == "did not"
    assert effects(answers(threads=3))["intra_op_threads"] == "did not"
    assert effects(answers(largest=5))["max_batch_size"] == "did not"
    assert effects(answers(largest=1))["max_batch_size"] == "did not"


def test_the_runtimes_own_choice_of_threads_is_what_it_chooses_here() -> None:
    default = ServingConfig()
    assert effects(answers(1, 1, 1), config=default)["intra_op_threads"] == "took effect"
    assert effects(answers(1, 0, 1), config=default)["intra_op_threads"] == "did not"


def test_what_a_server_cannot_carry_is_not_looked_for() -> None:
    assert effects(answers(), "onnxruntime")["max_batch_size"] == "not carried"


def test_a_server_that_tells_nothing_shows_nothing() -> None:
    assert set(effects([{}] * 10).values()) == {"not seen"}


def driven(latency_ms: list[float], inference_ms: float | None = 5.0) -> Driven:
    scheduled_s = np.arange(len(latency_ms), dtype=np.float64) / 10
    told = {"batch_size": 2} | ({"inference_ms": inference_ms} if inference_ms else {})
    return Driven(
        scheduled_s=scheduled_s,
        sent_s=np.asarray(scheduled_s + 0.001),
        finished_s=np.asarray(scheduled_s + np.array(latency_ms) / 1e3),
        parameters=[told] * len(latency_ms),
        errors=[],
    )


def test_latency_is_split_into_execution_and_the_rest() -> None:
    seen = look_at_load(driven([20.0] * 600), 10.0, SLO, None)
    assert seen.inference_ms == 5.0
    assert seen.overhead_ms == pytest.approx(15.0)
    assert seen.mean_batch_size == 2.0
    assert seen.sent_late_ms == pytest.approx(1.0)
    silent = look_at_load(driven([20.0] * 600, None), 10.0, SLO, None)
    assert (silent.inference_ms, silent.overhead_ms) == (None, None)


@pytest.mark.parametrize(
    ("latency_ms", "verdict"),
    [
        ([20.0] * 600, "met"),
        ([20.0] * 60, "undecided"),
        ([20.0, 90.0] * 300, "missed"),
        (list(np.linspace(10.0, 3000.0, 600)), "missed"),  # a queue that never empties
    ],
)
def test_an_slo_is_met_or_missed_only_where_proven(
    latency_ms: list[float], verdict: SloVerdict
) -> None:
    assert look_at_load(driven(latency_ms), 10.0, SLO, None).slo_verdict == verdict


def test_requests_without_an_answer_are_misses() -> None:
    seen = look_at_load(driven([20.0] * 300 + [np.inf] * 300), 10.0, SLO, None)
    assert (seen.unanswered, seen.slo_attainment) == (300, 0.5)
    assert seen.p99.value_ms is None


def test_nothing_verified_is_nothing_wrong() -> None:
    assert exit_code([]) == 0
