from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.outcome import Samples
from autotune.predict.queue_simulation import Lanes, batch_seconds, simulate, table_sizes
from autotune.predict.rest import ALONE, BESIDE, SLEEPING, SPINNING
from autotune.service import REST_DRAWS

ONE = np.array([1.0])
SIZES = table_sizes(8)


class Lane(NamedTuple):
    replicas: int = 1
    max_batch: int = 1
    timeout_s: float = 0.0
    fixed_s: float = 1.0
    item_s: float = 0.0
    crowding: float = 0.0
    """Slow-down that each further busy replica adds."""
    bend: float = 1.0
    """Less than 1: the more requests, the less each adds."""

    @property
    def alone_s(self) -> Samples:
        return np.asarray(self.fixed_s + self.item_s * SIZES**self.bend)


def lanes_of(lanes: list[Lane], engine_s: tuple[float, float] = (0.0, 0.0)) -> Lanes:
    busy = np.arange(max(lane.replicas for lane in lanes) + 1)
    return Lanes(
        replicas=np.array([lane.replicas for lane in lanes]),
        max_batch=np.array([lane.max_batch for lane in lanes]),
        timeout_s=np.array([lane.timeout_s for lane in lanes]),
        alone_s=np.stack([lane.alone_s for lane in lanes]),
        crowding=np.array([1 + lane.crowding * (busy - 1).clip(0) for lane in lanes]),
        engine_batch_s=engine_s[0],
        engine_request_s=engine_s[1],
    )


def reference(
    arrivals_s: list[float], lane: Lane, draws: Samples, engine_s: tuple[float, float]
) -> list[float]:
    """The latency of each request, one batch after the other, as slowly and plainly as can be."""
    free_s, latency_s, waiting, number = [0.0] * lane.replicas, [], list(arrivals_s), 0
    while waiting:
        who = free_s.index(min(free_s))
        now_s = max(free_s[who], waiting[0])
        batch = [waiting.pop(0)]
        while len(batch) < lane.max_batch and waiting and waiting[0] <= now_s:
            batch.append(waiting.pop(0))
        leave_s = batch[0] + lane.timeout_s
        while len(batch) < lane.max_batch and now_s < leave_s:
            if not waiting or waiting[0] > leave_s:
                now_s = leave_s
                break
            now_s = waiting[0]
            batch.append(waiting.pop(0))
        while len(batch) < lane.max_batch and waiting and waiting[0] <= now_s:
            batch.append(waiting.pop(0))
        busy = 1 + sum(free > now_s for free in free_s)
        run_s = float(np.interp(len(batch), SIZES, lane.alone_s)) * draws[number]
        run_s *= 1 + lane.crowding * (busy - 1)
        run_s += busy * (engine_s[0] + engine_s[1] * len(batch))
        free_s[who] = now_s + run_s
        latency_s += [free_s[who] - arrived_s for arrived_s in batch]
        number += 1
    return latency_s


some_lanes = st.lists(
    st.builds(
        Lane,
        replicas=st.integers(1, 4),
        max_batch=st.integers(1, 6),
        timeout_s=st.sampled_from([0.0, 0.5, 2.0, 10.0]),
        fixed_s=st.floats(0.01, 3),
        item_s=st.floats(0, 1),
        crowding=st.sampled_from([0.0, 0.25, 1.0]),
        bend=st.sampled_from([1.0, 0.5]),
    ),
    min_size=1,
    max_size=5,
)
some_arrivals = st.lists(st.integers(0, 200), min_size=1, max_size=60).map(
    lambda ticks: [tick / 8 for tick in sorted(ticks)]
)


def poisson(load: float, count: int, seed: int = 0) -> Samples:
    return np.cumsum(np.random.default_rng(seed).exponential(1 / load, count))


@settings(deadline=None, max_examples=150)
@given(some_arrivals, some_lanes, st.integers(0, 99), st.sampled_from([(0.0, 0.0), (0.25, 0.125)]))
def test_every_lane_does_what_a_plain_batch_queue_does(
    arrivals_s: list[float], lanes: list[Lane], seed: int, engine_s: tuple[float, float]
) -> None:
    jitter = np.array([0.5, 1.0, 2.0])
    draws = np.random.default_rng(seed).choice(jitter, len(arrivals_s))
    got = simulate(np.array(arrivals_s), lanes_of(lanes, engine_s), jitter, seed)
    for row, lane in zip(got, lanes, strict=True):
        np.testing.assert_allclose(row, reference(arrivals_s, lane, draws, engine_s), rtol=1e-9)


@settings(deadline=None)
@given(some_arrivals, some_lanes)
def test_latency_is_never_below_the_service_time(
    arrivals_s: list[float], lanes: list[Lane]
) -> None:
    latency_s = simulate(np.array(arrivals_s), lanes_of(lanes), ONE, 0)
    assert latency_s.shape == (len(lanes), len(arrivals_s))
    for row, lane in zip(latency_s, lanes, strict=True):
        assert row.min() >= (lane.fixed_s + lane.item_s) * (1 - 1e-9)


def test_one_server_without_batches_follows_lindleys_recursion() -> None:
    arrivals_s, jitter = poisson(0.8, 2000), np.linspace(0.2, 1.8, 99)
    service_s = np.random.default_rng(4).choice(jitter, len(arrivals_s))
    expected, left_s, before_s = [], 0.0, 0.0
    for arrived_s, run_s in zip(arrivals_s, service_s, strict=True):
        left_s = max(0.0, left_s - (arrived_s - before_s)) + run_s
        before_s = arrived_s
        expected.append(left_s)
    np.testing.assert_allclose(simulate(arrivals_s, lanes_of([Lane()]), jitter, 4)[0], expected)


def test_the_mean_wait_of_constant_service_is_that_of_the_textbook() -> None:
    rho = np.array([0.3, 0.6, 0.8])
    lanes = lanes_of([Lane(fixed_s=service_s) for service_s in rho])  # one arrival a second
    waits_s = simulate(poisson(1.0, 40_000), lanes, ONE, 0).mean(axis=1) - rho
    np.testing.assert_allclose(waits_s, rho * rho / (2 * (1 - rho)), rtol=0.05)


@settings(deadline=None)
@given(some_arrivals, st.floats(0.1, 5), st.integers(0, 99))
def test_more_replicas_without_crowding_slow_no_request(
    arrivals_s: list[float], fixed_s: float, seed: int
) -> None:
    lanes = lanes_of([Lane(replicas=count, fixed_s=fixed_s) for count in (1, 2, 3, 5)])
    latency_s = simulate(np.array(arrivals_s), lanes, np.array([0.5, 1.0, 3.0]), seed)
    assert (np.diff(latency_s, axis=0) <= 1e-9).all()


def test_a_lone_request_waits_for_company_until_its_timeout() -> None:
    lanes = lanes_of([Lane(max_batch=4, timeout_s=3.0), Lane(max_batch=1, timeout_s=3.0)])
    np.testing.assert_allclose(simulate(np.array([5.0]), lanes, ONE, 0), [[4.0], [1.0]])


def test_a_batch_leaves_when_it_is_full() -> None:
    lanes = lanes_of([Lane(max_batch=3, timeout_s=100.0)])
    latency_s = simulate(np.array([0.0, 1.0, 2.0]), lanes, ONE, 0)
    np.testing.assert_allclose(latency_s, [[3.0, 2.0, 1.0]])


def test_batches_save_an_overloaded_server() -> None:
    lanes = lanes_of([Lane(max_batch=1), Lane(max_batch=8)])
    single, batched = simulate(poisson(2.0, 1000), lanes, ONE, 0)
    assert single[-1] > 300
    assert batched.max() < 10


@given(st.integers(1, 600))
def test_a_table_reaches_the_largest_batch_and_runs_on_beyond(largest: int) -> None:
    sizes = table_sizes(largest)
    assert sizes[-1] >= largest
    assert len(sizes) == 2 or sizes[-2] < largest
    straight = (3 + 2 * sizes)[None, :]
    wanted = np.arange(1, 2 * largest + 2)
    got = batch_seconds(straight, np.zeros(len(wanted), dtype=np.int64), wanted)
    np.testing.assert_allclose(got, 3 + 2 * wanted)


def test_executions_are_erratic_only_beside_more_replicas_than_there_are_cores_for() -> None:
    lanes = lanes_of([Lane(), Lane(replicas=2)])._replace(
        calm_busy=np.array([1, 1]), crowded_jitter=np.array([3.0])
    )
    latency_s = simulate(np.array([0.0, 0.5, 10.0]), lanes, ONE, 0)
    np.testing.assert_allclose(latency_s, [[1.0, 1.5, 1.0], [1.0, 3.0, 1.0]])


def test_a_replica_that_rested_takes_longer_and_by_whom_it_begins_beside() -> None:
    alone_s, beside_s = 0.25, 0.75
    rests_s = np.zeros((2, 2, REST_DRAWS))
    rests_s[SLEEPING, ALONE], rests_s[SLEEPING, BESIDE] = alone_s, beside_s
    lanes = lanes_of([Lane(), Lane(replicas=2), Lane()])._replace(
        rests_s=rests_s, rests_as=np.array([SLEEPING, SLEEPING, SPINNING])
    )
    latency_s = simulate(np.array([10.0, 10.5, 30.0]), lanes, ONE, 0)
    rested_s = 1 + alone_s
    np.testing.assert_allclose(latency_s[0], [rested_s, rested_s - 0.5 + 1, rested_s])
    np.testing.assert_allclose(latency_s[1], [rested_s, 1 + beside_s, rested_s])
    np.testing.assert_allclose(latency_s[2], [1.0, 1.5, 1.0])


def test_a_lane_is_the_same_alone_and_in_company() -> None:
    arrivals_s, jitter = poisson(1.5, 300), np.array([0.7, 1.0, 1.6])
    lanes = [Lane(), Lane(replicas=3, crowding=0.2), Lane(max_batch=4, timeout_s=1.0)]
    together = simulate(arrivals_s, lanes_of(lanes), jitter, 1)
    for row, lane in zip(together, lanes, strict=True):
        np.testing.assert_array_equal(row, simulate(arrivals_s, lanes_of([lane]), jitter, 1)[0])
