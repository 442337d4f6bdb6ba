import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.predict.queue_simulation import Lanes, simulate

STEADY = np.ones(1)


def lane(replicas: int, max_batch: int, timeout_s: float, service_s: float) -> Lanes:
    return Lanes(
        replicas=np.array([replicas]),
        max_batch=np.array([max_batch]),
        timeout_s=np.array([timeout_s]),
        fixed_s=np.array([service_s]),
        item_s=np.zeros(1),
        crowding=np.ones((1, replicas + 1)),
    )


def one_by_one(arrivals_s: list[float], lanes: Lanes) -> list[float]:
    """The same queue, written to be obvious."""
    free = [0.0] * int(lanes.replicas[0])
    most, timeout_s, service_s = int(lanes.max_batch[0]), lanes.timeout_s[0], lanes.fixed_s[0]
    latency_s, first = [], 0
    while first < len(arrivals_s):
        replica = free.index(min(free))
        ready_s = max(free[replica], arrivals_s[first])
        last = first + most - 1
        full_s = arrivals_s[last] if last < len(arrivals_s) else float("inf")
        begun_s = max(ready_s, min(full_s, arrivals_s[first] + timeout_s))
        taken = [t for t in arrivals_s[first : first + most] if t <= begun_s] or [arrivals_s[first]]
        free[replica] = begun_s + service_s
        latency_s += [free[replica] - t for t in taken]
        first += len(taken)
    return latency_s


@given(
    gaps=st.lists(st.floats(0, 0.05), min_size=1, max_size=40),
    replicas=st.integers(1, 3),
    max_batch=st.integers(1, 4),
    timeout_s=st.sampled_from([0.0, 0.01, 0.03]),
)
def test_it_agrees_with_the_obvious_queue(
    gaps: list[float], replicas: int, max_batch: int, timeout_s: float
) -> None:
    arrivals_s = np.cumsum(gaps)
    lanes = lane(replicas, max_batch, timeout_s, 0.02)
    expected = one_by_one(arrivals_s.tolist(), lanes)
    np.testing.assert_allclose(simulate(arrivals_s, lanes, STEADY, 0)[0], expected, atol=1e-9)


def test_the_mean_wait_of_m_d_1_is_the_known_one() -> None:
    load_rps, service_s = 70.0, 0.01
    arrivals_s = np.cumsum(np.random.default_rng(1).exponential(1 / load_rps, 60_000))
    latency_s = simulate(arrivals_s, lane(1, 1, 0.0, service_s), STEADY, 0)[0]
    rho = load_rps * service_s
    expected_s = service_s + rho * service_s / (2 * (1 - rho))  # Pollaczek-Khinchine
    assert float(latency_s.mean()) == pytest.approx(expected_s, rel=0.05)
