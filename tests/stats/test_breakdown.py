import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import run_of

from autotune.outcome import Measured
from autotune.stats.breakdown import MAX_BINS, MIN_BINS, after_idle, histogram, parts_of

LATENCIES_S = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=300)


def in_parts(*parts_ms: tuple[float, float, float, float]) -> Measured:
    """A run whose requests spend such milliseconds on: queue, issue, batch wait, service."""
    steps_s = np.array(parts_ms) / 1e3
    scheduled_s = np.arange(len(parts_ms), dtype=np.float64)
    ready_s, claimed_s, started_s, finished_s = scheduled_s + np.cumsum(steps_s, axis=1).T
    return msgspec.structs.replace(
        run_of([1.0] * len(parts_ms)),
        ready_s=ready_s,
        claimed_s=claimed_s,
        started_s=started_s,
        finished_s=finished_s,
    )


def after_gaps(gaps_s: list[float], latency_ms: list[float]) -> Measured:
    """A run whose requests come so long after all before them were answered."""
    scheduled_s, now_s = [], 0.0
    for gap_s, one_ms in zip(gaps_s, latency_ms, strict=True):
        scheduled_s.append(now_s + gap_s)
        now_s = scheduled_s[-1] + one_ms / 1e3
    scheduled = np.array(scheduled_s)
    return msgspec.structs.replace(
        run_of([ms / 1e3 for ms in latency_ms]),
        scheduled_s=scheduled,
        finished_s=scheduled + np.array(latency_ms) / 1e3,
    )


@given(LATENCIES_S, LATENCIES_S)
def test_the_histogram_counts_every_request_once_between_ascending_edges(
    first: list[float], second: list[float]
) -> None:
    found = histogram([run_of(first), run_of(second)])
    assert sum(found.counts) == len(first) + len(second)
    assert MIN_BINS <= len(found.counts) == len(found.edges_ms) - 1 <= MAX_BINS
    assert (np.diff(found.edges_ms) > 0).all()
    everything_ms = np.concatenate([run_of(first).latency_s, run_of(second).latency_s]) * 1e3
    assert found.edges_ms[0] == everything_ms.min()
    assert found.edges_ms[-1] >= everything_ms.max()


def test_edges_are_even_in_the_logarithm_and_latencies_fall_between_theirs() -> None:
    found = histogram([run_of([0.001] * 9 + [0.05] * 4 + [0.5, 10.0, 10.0])])
    assert found.edges_ms == pytest.approx([1, 10, 100, 1e3, 1e4])
    assert found.counts == [9, 4, 1, 2]


@pytest.mark.parametrize("latency_s", [0.02, 0.0])
def test_a_histogram_of_one_value_holds_it_in_its_first_bin(latency_s: float) -> None:
    found = histogram([run_of([latency_s] * 5)])
    assert found.edges_ms[0] == pytest.approx(1e3 * latency_s)
    assert found.counts == [5, 0, 0, 0]


def test_without_any_served_request_there_is_nothing_to_show() -> None:
    empty = run_of([], lost=3)
    assert histogram([empty, empty]).counts == []
    assert histogram([empty]).edges_ms == []
    assert set(msgspec.structs.astuple(parts_of([empty]))) == {0.0}
    assert after_idle([empty]) is None


PART_MS = st.floats(0, 1e3)


@given(st.lists(st.tuples(PART_MS, PART_MS, PART_MS, PART_MS), min_size=1, max_size=50))
def test_the_parts_add_up_to_the_mean_latency(
    parts_ms: list[tuple[float, float, float, float]],
) -> None:
    run = in_parts(*parts_ms)
    found = parts_of([run, run])
    queueing, issue, batch_wait, service = np.mean(parts_ms, axis=0)
    assert found.queueing_ms == pytest.approx(queueing, abs=1e-6)
    assert found.issue_lateness_ms == pytest.approx(issue, abs=1e-6)
    assert found.batch_wait_ms == pytest.approx(batch_wait, abs=1e-6)
    assert found.service_ms == pytest.approx(service, abs=1e-6)
    total = sum(msgspec.structs.astuple(found))
    assert total == pytest.approx(run.latency_s.mean() * 1e3, abs=1e-6)


@pytest.mark.parametrize(("fast", "slow", "share"), [(99, 1, 0.01), (990, 10, 0.01), (57, 3, 0.05)])
def test_the_slowest_share_holds_the_slowest_and_no_other(
    fast: int, slow: int, share: float
) -> None:
    requests = [(0.0, 0.0, 0.0, 5.0)] * fast + [(80.0, 0.0, 0.0, 7.0)] * slow
    found = parts_of([in_parts(*requests)], slowest=1 - (1 - share))
    assert found.queueing_ms == pytest.approx(80)
    assert found.service_ms == pytest.approx(7)


def test_the_slowest_of_few_is_one() -> None:
    run = in_parts((1.0, 0.0, 0.0, 1.0), (4.0, 0.0, 0.0, 1.0), (2.0, 0.0, 0.0, 1.0))
    assert parts_of([run], slowest=0.01).queueing_ms == pytest.approx(4)


def test_requests_after_idle_gaps_are_told_from_the_others_run_by_run() -> None:
    gaps_s = [9.0, 0.1, 0.6, 0.1, 0.49]
    first = after_gaps(gaps_s, [10, 10, 40, 10, 10])
    second = after_gaps([*gaps_s, 2.0], [10, 10, 50, 10, 10, 60])
    found = after_idle([first, second])
    assert found is not None
    # The first of a run is no evidence: nobody knows what was before it.
    assert found.requests == 3
    assert found.p50_ms == pytest.approx(50)
    assert found.others_p50_ms == pytest.approx(10)


def test_a_long_answer_under_way_is_no_idleness() -> None:
    busy = after_gaps([0.0] + [0.6] * 4, [10] * 5)
    slow = msgspec.structs.replace(busy, finished_s=busy.finished_s + np.array([9, 0, 0, 0, 0]))
    assert after_idle([busy]) is not None
    assert after_idle([slow]) is None


def test_a_gap_or_two_tell_nothing() -> None:
    assert after_idle([after_gaps([0.0, 0.6, 0.1, 0.6], [10] * 4)]) is None
