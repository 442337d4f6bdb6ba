import msgspec
import numpy as np
import pytest
from flat import BASE_S, INFO, flat_law

from autotune.outcome import ModelInfo, Samples
from autotune.predict.forecast import (
    QUANTILES,
    SPIN_S,
    cpu_s,
    forecast,
    make_lanes,
    saturation_rps,
    sustainable_rps,
)
from autotune.predict.queue_simulation import simulate
from autotune.predict.service_law import ServiceLaw
from autotune.spec import RUNTIME_DEFAULT, ServingConfig

LONE = ServingConfig(intra_op_threads=1, spinning=False)


def lanes_with(law: ServiceLaw, *configs: ServingConfig, info: ModelInfo = INFO) -> Samples:
    return saturation_rps(make_lanes(law, configs, info))


def test_lanes_carry_the_configurations_in_seconds_and_in_order() -> None:
    configs = [RUNTIME_DEFAULT, ServingConfig(replicas=3, max_batch_size=8, batch_timeout_ms=5)]
    info = msgspec.structs.replace(INFO, engine_batch_s=0.001, engine_request_s=0.0005)
    lanes = make_lanes(flat_law(), configs, info)
    assert lanes.replicas.tolist() == [1, 3]
    assert lanes.max_batch.tolist() == [1, 8]
    assert lanes.timeout_s.tolist() == [0, 0.005]
    assert lanes.alone_s[:, 0] == pytest.approx([BASE_S, BASE_S])
    assert lanes.crowding.shape == (2, 4)
    assert (lanes.engine_batch_s, lanes.engine_request_s) == (0.001, 0.0005)


def test_a_forecast_holds_the_percentiles_of_the_simulated_latencies() -> None:
    law = flat_law()
    lanes = make_lanes(law, [LONE, msgspec.structs.replace(LONE, replicas=2)], INFO)
    arrivals_s = np.cumsum(np.random.default_rng(0).exponential(1 / 35, 1000))
    found = forecast(arrivals_s, lanes, law, 0.9)
    latency_s = np.sort(simulate(arrivals_s, lanes, law.jitter, 0), axis=1)
    assert found.quantiles_s.shape == (2, len(QUANTILES))
    np.testing.assert_array_equal(found.quantiles_s, latency_s[:, [499, 949, 989]])
    np.testing.assert_array_equal(found.objective_s, latency_s[:, 899])
    assert found.objective_s[1] < found.objective_s[0]


def test_saturation_grows_with_replicas_on_free_cores_and_no_further() -> None:
    configs = [msgspec.structs.replace(LONE, replicas=count) for count in (1, 2, 4, 8)]
    assert lanes_with(flat_law(), *configs) == pytest.approx([50, 100, 200, 200])


def test_saturation_counts_full_batches_by_what_they_save() -> None:
    config = msgspec.structs.replace(LONE, max_batch_size=4, batch_timeout_ms=100)
    assert lanes_with(flat_law(4 * BASE_S), config) == pytest.approx([50])
    assert lanes_with(flat_law(2 * BASE_S), config) == pytest.approx([100])


def test_saturation_counts_what_the_engine_costs() -> None:
    info = msgspec.structs.replace(INFO, engine_batch_s=0.004, engine_request_s=0.001)
    config = msgspec.structs.replace(LONE, replicas=2, max_batch_size=4)
    batch_s = 4 * BASE_S + 2 * (0.004 + 4 * 0.001)
    assert lanes_with(flat_law(), config, info=info) == pytest.approx([8 / batch_s])


def test_a_queue_below_saturation_is_stable_and_above_it_grows() -> None:
    law = flat_law(3 * BASE_S)
    configs = [LONE, ServingConfig(replicas=2, intra_op_threads=1, max_batch_size=4)]
    lanes = make_lanes(law, configs, INFO)
    gaps = np.random.default_rng(2).exponential(1.0, 4000)
    for lane, most_rps in enumerate(saturation_rps(lanes)):
        calm = simulate(np.cumsum(gaps) / (0.8 * most_rps), lanes, law.jitter, 0)[lane]
        swamped = simulate(np.cumsum(gaps) / (1.25 * most_rps), lanes, law.jitter, 0)[lane]
        assert calm[-1000:].mean() < 20 * BASE_S
        assert swamped[-1000:].mean() > 3 * swamped[:1000].mean()


def test_the_sustainable_load_is_met_and_a_little_more_is_not() -> None:
    law = flat_law()
    lanes = make_lanes(law, [LONE], INFO)
    slo_s = 4 * BASE_S
    load_rps = sustainable_rps(lanes, law, slo_s, 0.99)
    schedule = np.cumsum(np.random.default_rng(5).exponential(1.0, 10_000))
    assert 0 < load_rps < 50
    assert forecast(schedule / (0.85 * load_rps), lanes, law, 0.99).objective_s[0] <= slo_s
    assert forecast(schedule / (1.15 * load_rps), lanes, law, 0.99).objective_s[0] > slo_s


def test_one_good_lane_is_enough_to_sustain_a_load() -> None:
    law, wide = flat_law(), msgspec.structs.replace(LONE, replicas=4)
    single, alone, together = (
        sustainable_rps(make_lanes(law, configs, INFO), law, 0.1, 0.95)
        for configs in ([LONE], [wide], [LONE, wide])
    )
    assert together == alone > 3 * single


def test_a_looser_slo_never_sustains_less_and_an_impossible_one_nothing() -> None:
    law = flat_law()
    lanes = make_lanes(law, [LONE], INFO)
    loads_rps = [sustainable_rps(lanes, law, slo_s, 0.95) for slo_s in (0.019, 0.03, 0.06, 0.5)]
    assert loads_rps[0] == 0
    assert loads_rps[1] > 0
    assert loads_rps == sorted(loads_rps)


def test_threads_that_spin_take_cpu_time_until_the_next_request() -> None:
    shapes = [
        msgspec.structs.replace(LONE, intra_op_threads=2, spinning=spin) for spin in (False, True)
    ]
    lanes = make_lanes(flat_law(), shapes, INFO)
    loads_rps = [0.01, 10.0, 1e6]
    asleep_s, spun_s = cpu_s(lanes, np.full(2, 2.0), np.array([False, True]), loads_rps).T
    assert asleep_s == pytest.approx(2 * lanes.alone_s[0, 0])
    rare_s, some_s, never_s = spun_s - asleep_s
    assert rare_s == pytest.approx(SPIN_S, rel=0.01)
    assert 0.5 * SPIN_S < some_s < SPIN_S
    assert never_s == pytest.approx(0, abs=1e-6)
    lone_s = cpu_s(lanes, np.ones(2), np.array([False, True]), loads_rps)
    assert lone_s[:, 1] == pytest.approx(lone_s[:, 0])
