import numpy as np
import pytest
from tuned_types import made_service, made_types

from autotune.outcome import Samples
from autotune.planning import exact
from autotune.planning.arriving import Arriving, arriving_of
from autotune.planning.attained import Scene
from autotune.planning.clustered import draw_clustered
from autotune.planning.exact import Piece, aggregation_error, simulate_exactly
from autotune.planning.load_windows import windows_of
from autotune.planning.machines import make_types
from autotune.planning.prices import MachinePrice, Prices
from autotune.planning.provision import Counts
from autotune.planning.records import AggregationError
from autotune.predict.kept_lanes import lanes_of
from autotune.predict.queue_simulation import simulate
from autotune.spec import Slo

SLO = Slo(latency_ms=50.0)
FILES = made_types([1.0, 2.0])
PRICES = Prices(
    currency="USD",
    as_of=None,
    source=None,
    machines={name: MachinePrice(name=name, per_hour=1.0) for name in FILES},
    functions={},
)
TYPES = make_types(FILES, PRICES, SLO, 1.0)
CLUSTERED = make_types(FILES, PRICES, SLO, 4.0)
SMALL, LARGE = (one.capacity_rps for one in TYPES)


def clustered_s(dispersion: float, rate_rps: float, count: int, seed: int = 0) -> Samples:
    return draw_clustered(dispersion, count, np.random.default_rng(seed)) / rate_rps


def compared(arriving: Arriving, ready: Counts, scene: Scene) -> AggregationError:
    found = aggregation_error(arriving, ready, scene)
    assert found is not None
    return found


def test_one_machine_is_simulated_as_the_search_does() -> None:
    times_s = clustered_s(1.0, 200.0, 20_000)
    piece = Piece(times_s, float(times_s[-1]), np.array([1, 0]))
    found = simulate_exactly([piece], TYPES, 1.0, 0)
    service = made_service()
    lanes = lanes_of(service, service.configs[1:2])
    alone_s = simulate(times_s, lanes, np.array(service.jitter), 3)[0]
    assert len(found.latency_s) == 20_000
    assert found.weight.tolist() == [1.0] * 20_000
    for quantile in (0.1, 0.5, 0.9, 0.99):
        expected_s = np.quantile(alone_s, quantile)
        assert np.quantile(found.latency_s, quantile) == pytest.approx(expected_s, rel=0.06)


def test_requests_go_to_machines_in_proportion_to_capacity() -> None:
    rate_rps = 0.5 * (2 * SMALL + LARGE)
    times_s = clustered_s(1.0, rate_rps, 40_000)
    piece = Piece(times_s, float(times_s[-1]), np.array([2, 1]))
    found = simulate_exactly([piece], TYPES, 1.0, 0)
    # Nothing that the fast machine executes takes as long as the least of the slow ones.
    fast = np.mean(found.latency_s < 0.0075 / 2 * 1.2)
    assert len(found.latency_s) == 40_000
    assert 0 < fast < LARGE / (2 * SMALL + LARGE)


def test_many_machines_are_sampled_and_each_stands_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times_s = clustered_s(1.0, 100 * 0.8 * SMALL, 8000)
    piece = Piece(times_s, float(times_s[-1]), np.array([100, 0]))
    whole = simulate_exactly([piece], TYPES, 1.0, 0)
    monkeypatch.setattr(exact, "BUDGET", 10 * (exact.WARM_UP + 80))
    part = simulate_exactly([piece], TYPES, 1.0, 0)
    assert len(whole.latency_s) == 8000
    assert 500 < len(part.latency_s) < 1100
    assert set(part.weight) == {10.0}
    assert np.mean(part.latency_s) == pytest.approx(np.mean(whole.latency_s), rel=0.2)


@pytest.mark.parametrize(
    ("dispersion", "machines", "load"),
    [(1.0, [1, 0], 0.8), (1.0, [4, 2], 1.0), (4.0, [1, 0], 0.9), (4.0, [3, 3], 0.9)],
)
def test_rates_and_requests_agree_on_steady_traffic(
    dispersion: float, machines: list[int], load: float
) -> None:
    types = TYPES if dispersion == 1 else CLUSTERED
    rate_rps = load * sum(
        count * one.capacity_rps for count, one in zip(machines, types, strict=True)
    )
    arriving = arriving_of(clustered_s(dispersion, rate_rps, 120_000), "made up")
    scene = Scene(windows_of(arriving, 0.05, 60.0), types, SLO)
    ready = np.tile(np.array(machines), (scene.windows.steps, 1))
    found = compared(arriving, ready, scene)
    assert found.requests > 100_000
    assert found.attainment == pytest.approx(found.exact_attainment, abs=0.012)
    assert found.p99_ms == pytest.approx(found.exact_p99_ms, rel=0.2)


def test_a_fleet_that_changes_is_followed_and_one_that_is_too_small_seen() -> None:
    arriving = arriving_of(clustered_s(1.0, 0.9 * SMALL, 40_000), "made up")
    scene = Scene(windows_of(arriving, 0.05, 20.0), TYPES, SLO)
    ready = np.tile(np.array([1, 0]), (scene.windows.steps, 1))
    kept = compared(arriving, ready, scene)
    assert kept.exact_attainment > 0.97
    ready[: len(ready) // 2] = [0, 0]
    part = compared(arriving, ready, scene)
    assert part.requests == pytest.approx(kept.requests / 2, rel=0.15)
    assert part.exact_attainment > 0.97
    crowded = arriving_of(clustered_s(1.0, 1.5 * SMALL, 40_000), "made up")
    scene = Scene(windows_of(crowded, 0.05, 20.0), TYPES, SLO)
    ready = np.tile(np.array([1, 0]), (scene.windows.steps, 1))
    late = compared(crowded, ready, scene)
    assert late.attainment < 0.5
    assert late.exact_attainment < 0.5


def test_no_machine_is_nothing_to_compare() -> None:
    arriving = arriving_of(clustered_s(1.0, 100.0, 1000), "made up")
    scene = Scene(windows_of(arriving, 0.05, 20.0), TYPES, SLO)
    nothing = np.zeros((scene.windows.steps, 2), dtype=np.int64)
    assert aggregation_error(arriving, nothing, scene) is None
