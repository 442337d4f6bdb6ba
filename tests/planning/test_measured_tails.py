"""Made-up trials of made-up machines: what they change in the simulation."""

from functools import cache

import msgspec
import numpy as np
import pytest
from tuned_types import LARGE, SMALL, golden, made_service, made_type

from autotune.config_file import Trial, TunedFile
from autotune.planning.clustered import draw_clustered
from autotune.planning.machines import MachineType, make_types
from autotune.planning.measured_tails import PRIOR, Corrected, corrected
from autotune.planning.prices import MachinePrice, Prices
from autotune.planning.queues import queues_of
from autotune.planning.served import quantile_s
from autotune.predict.kept_lanes import lanes_of
from autotune.predict.queue_simulation import simulate
from autotune.spec import ServingConfig, Slo

CONFIGS = [SMALL, LARGE]


@cache
def simulated_s(config: ServingConfig, load_rps: float) -> float:
    service = made_service()
    times_s = draw_clustered(1.0, 12_000, np.random.default_rng(2)) / load_rps
    lanes = lanes_of(service, [service.configs[CONFIGS.index(config)]])
    return float(np.quantile(simulate(times_s, lanes, np.array(service.jitter), 0), 0.99))


def trial(
    config: ServingConfig, load_rps: float, latency_s: float | None, disturbed: bool = False
) -> Trial:
    measured = golden().trials[0].measured
    assert measured is not None
    objective = msgspec.structs.replace(
        measured.objective, value_ms=None if latency_s is None else 1000 * latency_s
    )
    measured = msgspec.structs.replace(
        measured,
        objective=objective,
        diverged=latency_s is None,
        disturbed=["others used the machine"] if disturbed else [],
    )
    return msgspec.structs.replace(
        golden().trials[0], phase="search", config=config, load_rps=load_rps, measured=measured
    )


def compared(*trials: Trial, arrivals: str = "poisson") -> Corrected:
    file = with_trials(*trials, arrivals=arrivals)
    assert file.service is not None
    return corrected([file], *queues_of([file.service]))


def with_trials(*trials: Trial, arrivals: str = "poisson") -> TunedFile:
    return msgspec.structs.replace(made_type(), trials=list(trials), arrivals=arrivals)


def made(*trials: Trial) -> MachineType:
    machines = {"m": MachinePrice(name="m", per_hour=1.0)}
    prices = Prices(currency="USD", as_of=None, source=None, machines=machines, functions={})
    return make_types({"m": with_trials(*trials)}, prices, Slo(latency_ms=50.0), 1.0)[0]


def test_latencies_are_scaled_to_the_measured_the_more_the_more_there_are() -> None:
    loads_rps = (40.0, 50.0, 60.0)
    slow = [trial(SMALL, load_rps, 1.4 * simulated_s(SMALL, load_rps)) for load_rps in loads_rps]
    for count in (1, 3):
        found = compared(*slow[:count])
        expected = 1.4 ** (count / (count + PRIOR))
        assert found.latency[0] == pytest.approx(expected, rel=0.08)
        assert found.pairs.tolist() == [count, 0, 0]
        assert found.latency[1:].tolist() == [1.0, 1.0]


def test_bursts_are_compared_with_bursts() -> None:
    plain = compared(trial(LARGE, 150.0, simulated_s(LARGE, 150.0)))
    bursty = compared(trial(LARGE, 150.0, simulated_s(LARGE, 150.0)), arrivals="bursty x4")
    assert plain.latency[1] == pytest.approx(1.0, abs=0.08)
    assert bursty.latency[1] < 0.8


def test_what_does_not_compare_is_left_out() -> None:
    at_saturation = trial(SMALL, 123.0, 0.5)
    of_another = trial(ServingConfig(replicas=7), 50.0, 0.5)
    assert compared(at_saturation, of_another).pairs.tolist() == [0, 0, 0]
    assert compared(trial(SMALL, 50.0, 0.5), arrivals="trace").pairs.tolist() == [0, 0, 0]
    assert compared().latency.tolist() == [1.0, 1.0, 1.0]


def test_a_queue_that_grew_makes_executions_longer_unless_something_disturbed_it() -> None:
    grew = compared(trial(LARGE, 100.0, 0.02), trial(LARGE, 250.0, None))
    assert grew.slower[1] == pytest.approx(362.6 / 250.0, rel=0.01)
    assert compared(trial(LARGE, 250.0, None, disturbed=True)).slower[1] == 1
    assert compared(trial(LARGE, 250.0, None), trial(LARGE, 260.0, 0.02)).slower[1] == 1
    assert compared(trial(LARGE, 500.0, None)).slower[1] == 1


def test_a_machine_type_stands_on_what_was_measured() -> None:
    plain = made()
    slow = made(
        *[
            trial(LARGE, load_rps, 1.8 * simulated_s(LARGE, load_rps))
            for load_rps in (100.0, 140.0, 180.0)
        ]
    )
    assert plain.correction == 1
    assert slow.correction == pytest.approx(1.8**0.75, rel=0.08)
    assert slow.capacity_rps < 0.95 * plain.capacity_rps
    tails_s = [quantile_s(one.served, 0.99, 180.0, 1.0) for one in (plain, slow)]
    assert tails_s[1] / tails_s[0] == pytest.approx(slow.correction, rel=0.03)
    assert any("times what its execution times give" in note for note in slow.notes)
    grew = made(trial(LARGE, 100.0, 0.022), trial(LARGE, 200.0, None))
    assert grew.capacity_rps < 200
    assert any("queues grew without end" in note for note in grew.notes)
