"""Blocks of requests: as long as they wait together, whatever changes meanwhile."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from queueing import serve

from autotune.drift.blocks import LEAST, cut
from autotune.observed import Observed
from autotune.outcome import Samples


def queue(utilisation: float, requests: int, seed: int, slower: float = 1.0) -> Observed:
    rng = np.random.default_rng(seed)
    gaps_s = rng.exponential(1.0, (1, requests))
    services_s = rng.exponential(utilisation, (1, requests))
    services_s[:, requests * 5 // 8 :] *= slower
    sojourn_s, _ = serve(gaps_s, services_s)
    return Observed(np.cumsum(gaps_s[0]), 1e3 * sojourn_s[0])


def next_to_each_other(means: Samples) -> float:
    return float(np.corrcoef(means[:-1], means[1:])[0, 1])


def test_independent_requests_make_the_shortest_blocks() -> None:
    rng = np.random.default_rng(0)
    found = Observed(np.arange(5_000.0), rng.exponential(1.0, 5_000))
    assert cut(found, 1.0).size == LEAST


def test_busier_queues_make_longer_blocks_that_know_little_of_each_other() -> None:
    blocks = [cut(queue(busy, 40_000, 1), 1.0) for busy in (0.5, 0.8, 0.9)]
    sizes = [one.size for one in blocks]
    assert sizes == sorted(sizes)
    assert sizes[2] > 4 * sizes[0]
    for one in blocks:
        assert next_to_each_other(np.median(one.latency_ms, axis=1)) < 0.35


def test_a_queue_that_begins_to_grow_without_end_does_not_pass_for_dependence() -> None:
    calm, changed = (cut(queue(0.7, 16_000, 2, slower), 1.0) for slower in (1.0, 3.0))
    assert changed.size <= 3 * calm.size


@settings(max_examples=50)
@given(requests=st.integers(2, 1_000), seed=st.integers(0, 1_000), least=st.floats(1.0, 400.0))
def test_blocks_are_the_latest_requests_in_order(requests: int, seed: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    found = Observed(np.cumsum(rng.exponential(1.0, requests)), rng.exponential(1.0, requests))
    blocks = cut(found, least)
    count = len(blocks.begun_s)
    assert count == requests // blocks.size
    kept = found.latency_ms[requests - count * blocks.size :]
    assert np.array_equal(blocks.latency_ms.ravel(), kept)
    assert np.all(blocks.lowest_rps <= blocks.load_rps)
    assert np.all(blocks.load_rps <= blocks.highest_rps)
    assert np.all(blocks.begun_s < blocks.ended_s)
    if count:
        assert blocks.ended_s[-1] == found.arrived_s[-1]
        assert np.array_equal(blocks.begun_s[1:], blocks.ended_s[:-1])


def test_requests_that_all_arrive_at_once_are_a_load_without_end() -> None:
    times_s = np.concatenate([np.arange(100.0), np.full(150, 100.0), [101.0]])
    blocks = cut(Observed(times_s, np.ones(251)), 1.0)
    assert np.isinf(blocks.highest_rps).any()
