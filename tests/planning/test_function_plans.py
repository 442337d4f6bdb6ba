import numpy as np
import pytest

from autotune.errors import UsageError
from autotune.outcome import Samples
from autotune.planning.functions import best_function, candidates, function_seconds
from autotune.planning.mmpp import Mmpp, draw_mmpp, poisson
from autotune.planning.prices import FunctionPrice
from autotune.predict.queue_simulation import Lanes, simulate
from autotune.service import AloneTimes, ConfigTimes, ServiceModel
from autotune.spec import ServingConfig, Slo

TABLE_S = [0.02 * (0.4 + 0.6 * 2**step) for step in range(4)]
PRICE = FunctionPrice(
    name="lambda", per_request=2e-7, per_gb_s=1.66667e-5, memory_mib=[884, 1769, 3538]
)
BURSTS = Mmpp(rates_rps=(150.0, 30.0), switching_per_s=(2.0, 1.0))


def made(jitter: list[float], threads: tuple[int, ...] = (1, 2, 4)) -> ServiceModel:
    times = ConfigTimes(
        config=ServingConfig(), batch_s=TABLE_S, crowding=[1.0], calm_busy=1, rests=0, open_s=None
    )
    alone = [AloneTimes(threads=n, batch_s=[one / n**0.8 for one in TABLE_S]) for n in threads]
    return ServiceModel(
        configs=[times],
        alone=alone,
        jitter=jitter,
        crowded_jitter=[1.0],
        rests_s=[[[0.0] * 64] * 2],
        engine_batch_s=0.0,
        engine_request_s=0.0,
        default_threads=1,
    )


MODEL = made(np.exp(np.random.default_rng(0).normal(0.0, 0.05, 100)).round(4).tolist())


def billed(batch_s: Samples, sizes: Samples, memory_mib: int) -> float:
    """Cost of requests in batches of these sizes, by hand."""
    cost = 0.0
    for size in sizes:
        seconds = batch_s[size - 1] * np.array(MODEL.jitter)
        cost += PRICE.per_request
        cost += memory_mib / 1024 * float(np.ceil(seconds * 1000).mean()) / 1000 * PRICE.per_gb_s
    return cost / float(np.sum(sizes))


def by_force(arrivals: Mmpp, slo: Slo) -> float:
    """Return the least cost of a request of all that meets the SLO, each way simulated."""
    times_s = draw_mmpp(arrivals, 4_000 / arrivals.mean_rps, np.random.default_rng(9))
    ways = candidates(PRICE, MODEL, arrivals, slo)
    tables = [one.batch_s[np.minimum(2 ** np.arange(4), len(one.batch_s)) - 1] for one in ways]
    lanes = Lanes(
        replicas=np.full(len(ways), 40),
        max_batch=np.array([one.max_batch for one in ways]),
        timeout_s=np.array([one.timeout_s for one in ways]),
        alone_s=np.array(tables),
        crowding=np.ones((len(ways), 41)),
    )
    latency_s = simulate(times_s, lanes, np.array(MODEL.jitter), 9)
    costs = []
    for one, latencies_s in zip(ways, latency_s, strict=True):
        if np.quantile(latencies_s, slo.quantile) <= slo.latency_ms / 1000:
            ends_s = np.round(times_s + latencies_s, 9)
            changes = np.flatnonzero(np.diff(ends_s)) + 1
            sizes = np.diff(np.concatenate([[0], changes, [len(ends_s)]]))
            costs.append(billed(one.batch_s, sizes, one.memory_mib))
    return min(costs)


@pytest.mark.parametrize("arrivals", [poisson(60.0), BURSTS], ids=["poisson", "bursts"])
def test_the_choice_costs_what_the_best_of_all_simulated_does(arrivals: Mmpp) -> None:
    slo = Slo(latency_ms=160.0, percentile=95.0)
    best = best_function(PRICE, MODEL, arrivals, slo, 1).best
    assert best is not None
    assert best.cost_per_million / 1e6 == pytest.approx(by_force(arrivals, slo), rel=0.02)
    assert best.max_batch_size > 1
    assert best.analytic_ms == pytest.approx(best.simulated_ms, rel=0.05)
    assert max(best.simulated_ms, best.analytic_ms) <= slo.latency_ms * 1.01


def test_batches_pay_only_where_the_slo_leaves_time_for_them() -> None:
    generous = best_function(PRICE, MODEL, BURSTS, Slo(latency_ms=400.0), 1).best
    strict = best_function(PRICE, MODEL, BURSTS, Slo(latency_ms=30.0), 1).best
    assert generous is not None
    assert strict is not None
    assert generous.cost_per_million < strict.cost_per_million
    assert generous.mean_batch_size > strict.mean_batch_size


def test_where_nothing_meets_the_slo_the_nearest_is_told() -> None:
    choice = best_function(PRICE, MODEL, poisson(20.0), Slo(latency_ms=5.0), 1)
    assert choice.best is None
    assert choice.nearest.memory_mib == 3538
    assert choice.nearest.max_batch_size == 1
    assert choice.nearest.simulated_ms > 5.0
    assert choice.nearest.analytic_ms == pytest.approx(choice.nearest.simulated_ms, rel=0.1)


def test_seconds_follow_the_cores_that_memory_brings() -> None:
    one_s = function_seconds(MODEL, 1.0)
    np.testing.assert_allclose(one_s[[0, 1, 3, 7]], TABLE_S)
    np.testing.assert_allclose(function_seconds(MODEL, 0.5), 2 * one_s)
    np.testing.assert_allclose(function_seconds(MODEL, 1.9), one_s)  # half a thread is none
    np.testing.assert_allclose(function_seconds(MODEL, 3.5)[0], one_s[0] / 3**0.8)
    np.testing.assert_allclose(function_seconds(MODEL, 64.0), function_seconds(MODEL, 4.0))


def test_a_platform_of_few_instances_queues() -> None:
    slo = Slo(latency_ms=25.0, percentile=95.0)
    few = FunctionPrice(
        name="few",
        per_request=2e-7,
        per_gb_s=1.66667e-5,
        memory_mib=[1769],
        most=1,
        billed_by_s=0.1,
    )
    assert best_function(few, MODEL, poisson(90.0), slo, 1).best is None
    assert best_function(PRICE, MODEL, poisson(90.0), slo, 1).best is not None


def test_the_times_of_a_gpu_say_nothing_of_a_function() -> None:
    with pytest.raises(UsageError, match=r"functions\.lambda: .* GPU"):
        best_function(PRICE, made([1.0], threads=()), poisson(1.0), Slo(latency_ms=50.0), 0)
