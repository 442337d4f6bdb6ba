"""Requests of several sizes, served by a real model through the bench."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autotune.arrivals import Traffic, draw
from autotune.models.sample_inputs import SAMPLE_COUNT
from autotune.outcome import Measured, Samples, ServiceTimes
from autotune.request_mix import draw_samples
from autotune.spec import ModelSpec, RequestKind, ServingConfig, TrialSpec
from autotune.trial.bench import Bench
from autotune.trial.wire import ClosedLoop

SMALL, LARGE = 16, 256
"""Pixels: the large ones take a hundred times as long."""
WEIGHTS = [0.75, 0.25]
ALONE = ServingConfig(intra_op_threads=1)
BATCHES = ServingConfig(intra_op_threads=1, max_batch_size=4, batch_timeout_ms=20.0)
ORDER_SEED = [5, 1]


@pytest.fixture(scope="module")
def bench(images: Path) -> Iterator[Bench]:
    kinds = [
        RequestKind(weight=weight, shapes={"x": [1, 3, pixels, pixels]})
        for weight, pixels in zip(WEIGHTS, (SMALL, LARGE), strict=True)
    ]
    with Bench(ModelSpec(path=str(images), requests=kinds)) as opened:
        assert opened.inspect().batchable
        yield opened


def served(bench: Bench, config: ServingConfig, order_seed: list[int]) -> Measured:
    arrivals_s = draw(Traffic(load_rps=150), 1.5, (1,)).tolist()
    trial = TrialSpec(config=config, arrivals_s=arrivals_s, grace_s=20.0, order_seed=order_seed)
    outcome = bench.measure(trial)
    assert isinstance(outcome, Measured)
    assert outcome.lost == 0
    return outcome


def is_large(count: int, order_seed: list[int]) -> list[bool]:
    """Which requests are large, drawn as the child process draws them."""
    kinds = [kind for kind in range(2) for _ in range(SAMPLE_COUNT)]
    return [kinds[i] == 1 for i in draw_samples(kinds, WEIGHTS, count, tuple(order_seed))]


def separation(service_s: Samples, large: list[bool]) -> float:
    """How many times as long as a small request's is a large one's service, in the median."""
    flags = np.array(large)
    return float(np.median(service_s[flags]) / np.median(service_s[~flags]))


def test_each_size_is_served_at_its_weight_in_the_order_of_the_seed(bench: Bench) -> None:
    run = served(bench, ALONE, ORDER_SEED)
    again = served(bench, ALONE, ORDER_SEED)
    other = served(bench, ALONE, [6, 1])
    large = is_large(run.served, ORDER_SEED)
    assert 0.15 < np.mean(large) < 0.35
    # Only the right order tells slow requests from fast ones.
    for one, order, right in (
        (run, large, True),
        (again, large, True),
        (other, is_large(other.served, [6, 1]), True),
        (other, large, False),
    ):
        assert (separation(one.service_s, order) > 4) is right


def test_a_batch_never_mixes_sizes(bench: Bench) -> None:
    run = served(bench, BATCHES, ORDER_SEED)
    large = np.array(is_large(run.served, ORDER_SEED))
    _, batch = np.unique(run.started_s, return_inverse=True)
    sizes = np.bincount(batch)
    np.testing.assert_array_equal(run.batch_size, sizes[batch])
    large_ones = np.bincount(batch, weights=large)
    assert set((large_ones / sizes).tolist()) == {0.0, 1.0}
    assert sizes.max() > 1


def test_a_closed_loop_runs_each_size_at_its_weight(bench: Bench) -> None:
    request = ClosedLoop(busy=1, batch_size=2, duration_s=0.1, min_runs=200)
    times = bench.service_times(ALONE.session_shape, request, timeout_s=60)
    assert isinstance(times, ServiceTimes)
    low, high = np.quantile(times.seconds, [0.2, 0.9])
    assert high > 4 * low
    assert 0.15 < np.mean(times.seconds > np.sqrt(low * high)) < 0.4
