from collections.abc import Sequence

import numpy as np
import pytest
from made import run_of

from autotune.records import SloVerdict
from autotune.spec import Slo
from autotune.stats.summary import summarize

SLO = Slo(latency_ms=50.0)


def ms(latency_ms: Sequence[float]) -> list[float]:
    return [value / 1e3 for value in latency_ms]


def spread(late: int, count: int) -> list[float]:
    """So many requests of 80 ms among those of 10 ms, at even distances."""
    return [80.0 if (i * late) % count < late else 10.0 for i in range(count)]


def test_percentiles_are_in_milliseconds_and_name_their_quantiles() -> None:
    latency_ms = np.random.default_rng(0).permutation(np.arange(1.0, 1001.0)).tolist()
    summary = summarize([run_of(ms(latency_ms))], Slo(latency_ms=2000, percentile=90))
    values = [p.value_ms for p in (summary.p50, summary.p95, summary.p99, summary.objective)]
    assert values == pytest.approx([500, 950, 990, 900])
    assert summary.largest_ms == pytest.approx(1000)
    assert summary.p50.low_ms is not None
    assert summary.p50.high_ms is not None
    assert 450 < summary.p50.low_ms < 500 < summary.p50.high_ms < 550


def test_several_runs_are_pooled_as_one() -> None:
    first, second = spread(40, 400), spread(10, 600)
    pooled = summarize(
        [run_of(ms(first), used=(2.0, 100 << 20)), run_of(ms(second), used=(3.0, 300 << 20))], SLO
    )
    single = summarize([run_of(ms(first + second), used=(5.0, 300 << 20))], SLO)
    assert pooled == single
    assert pooled.requests == 1000
    assert pooled.slo_attainment == pytest.approx(0.95)
    assert pooled.cpu_s_per_request == pytest.approx(0.005)
    assert pooled.peak_memory_mib == 300


def test_latency_is_split_into_queueing_and_service() -> None:
    summary = summarize([run_of(ms([30.0, 50.0]), queueing_s=0.025)], SLO)
    assert summary.queueing_ms == pytest.approx(25)
    assert (summary.issue_lateness_ms, summary.batch_wait_ms) == pytest.approx((0, 0))
    assert summary.service_ms == pytest.approx(15)


def test_the_mean_batch_is_over_batches_not_over_requests() -> None:
    run = run_of([0.01] * 6, batch_size=[4, 4, 4, 4, 1, 1])  # three batches of six requests
    assert summarize([run], SLO).mean_batch_size == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("late", "count", "verdict", "meets"),
    [
        (0, 447, "undecided", True),  # 0.05 = 0.99 ** 298.1, and a margin of 1.5 for clusters
        (0, 448, "met", True),
        (1, 100, "undecided", True),
        (3, 200, "undecided", False),
        (50, 1000, "missed", False),
        (1, 1000, "met", True),
    ],
)
def test_a_verdict_needs_proof(late: int, count: int, verdict: SloVerdict, meets: bool) -> None:
    summary = summarize([run_of(ms(spread(late, count)))], SLO)
    assert summary.slo_attainment == pytest.approx(1 - late / count)
    assert summary.slo_verdict == verdict
    assert summary.meets_slo is meets


def test_a_latency_at_the_slo_is_within_it() -> None:
    assert summarize([run_of([0.0625] * 5)], Slo(latency_ms=62.5)).slo_attainment == 1.0


def test_lost_requests_are_offered_requests_that_missed() -> None:
    summary = summarize([run_of([0.01] * 60, lost=15), run_of([0.01] * 20, lost=5)], SLO)
    assert (summary.requests, summary.lost) == (100, 20)
    assert summary.slo_attainment == pytest.approx(0.8)
    assert summary.p50.value_ms == pytest.approx(10)
    assert summary.p95.value_ms is None
    assert summary.p95.high_ms is None
    assert summary.largest_ms == pytest.approx(10)
    assert summary.cpu_s_per_request == pytest.approx(2 / 80)


def test_a_queue_without_end_misses_whatever_was_served_before() -> None:
    summary = summarize([run_of([0.01] * 1000), run_of([0.01] * 1000, diverged=True)], SLO)
    assert summary.diverged
    assert summary.slo_attainment == 1.0
    assert summary.slo_verdict == "missed"
    assert not summary.meets_slo


def test_a_run_that_served_nothing_is_summarized_without_a_warning() -> None:
    summary = summarize([run_of([], lost=30, diverged=True)], SLO)
    assert (summary.requests, summary.lost, summary.slo_attainment) == (30, 30, 0.0)
    assert summary.p50.value_ms is None
    assert summary.objective.value_ms is None
    assert (summary.largest_ms, summary.queueing_ms, summary.mean_batch_size) == (0, 0, 0)
