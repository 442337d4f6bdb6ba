from collections.abc import Mapping

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuned_types import LOADS_RPS, golden, made_service, made_type, made_types

from autotune.config_file import TunedFile
from autotune.errors import UsageError
from autotune.planning.clustered import draw_clustered
from autotune.planning.machines import MachineType, make_types
from autotune.planning.prices import MachinePrice, Prices
from autotune.planning.served import capacity_at, quantile_s, share_within, shares_at
from autotune.predict.kept_lanes import lanes_of
from autotune.predict.queue_simulation import simulate
from autotune.spec import Slo

SLO = Slo(latency_ms=50.0)


def types_of(
    files: Mapping[str, TunedFile], slo: Slo = SLO, dispersion: float = 1.0
) -> list[MachineType]:
    machines = {name: MachinePrice(name=name, per_hour=1.0) for name in (*files, "another")}
    prices = Prices(currency="USD", as_of=None, source=None, machines=machines, functions={})
    return make_types(files, prices, slo, dispersion)


PLAIN = types_of(made_types([1.0, 2.0]))
CLUSTERED = types_of(made_types([1.0]), dispersion=4.0)[0]


def test_the_table_says_what_a_long_simulation_says() -> None:
    for one, rate_rps, dispersion, tolerance in (
        (PLAIN[0], 200.0, 1.0, 0.003),
        (PLAIN[0], 290.0, 1.0, 0.03),
        (CLUSTERED, 150.0, 4.0, 0.02),
    ):
        service = made_service(1.0)
        times_s = draw_clustered(dispersion, 20_000, np.random.default_rng(1)) / rate_rps
        lanes = lanes_of(service, service.configs[1:2])
        latency_s = simulate(times_s, lanes, np.array(service.jitter), 0)
        known = share_within(one.served, np.array([rate_rps]), np.array([dispersion]))[0]
        assert known == pytest.approx(np.mean(latency_s <= 0.05), abs=tolerance)
        median_s = quantile_s(one.served, 0.5, rate_rps, dispersion)
        assert median_s == pytest.approx(np.median(latency_s), rel=0.1)


def test_the_policy_runs_as_the_file_has_it_where_that_keeps_the_slo() -> None:
    served = PLAIN[0].served
    config_of = served.config_of[:, 0]
    assert set(config_of[served.rates_rps <= LOADS_RPS[0]]) == {0}
    assert set(config_of[served.rates_rps > LOADS_RPS[0]]) == {1}


def test_clusters_that_the_policy_was_not_made_for_get_another_of_its_configurations() -> None:
    low = CLUSTERED.served.rates_rps < 40
    assert set(CLUSTERED.served.config_of[low, 0]) == {0}
    assert set(CLUSTERED.served.config_of[low, -1]) == {1}
    assert np.all(CLUSTERED.served.within[low, -1] >= 0.99)


def test_twice_as_fast_a_machine_serves_more_than_twice_as_much_in_time() -> None:
    slow, fast = PLAIN
    assert 2 * slow.capacity_rps < fast.capacity_rps < fast.served.saturation_rps
    assert fast.served.saturation_rps == pytest.approx(2 * slow.served.saturation_rps, rel=0.02)


def test_capacity_is_where_the_slo_is_just_met() -> None:
    for one in (*PLAIN, CLUSTERED):
        dispersion = np.array([one.served.dispersions[-1]])
        at = share_within(one.served, np.array([one.capacity_rps]), dispersion)[0]
        assert at == pytest.approx(0.99, abs=1e-6)
    assert CLUSTERED.capacity_rps < 0.8 * PLAIN[0].capacity_rps
    assert capacity_at(CLUSTERED.served, 0.99, 1.5) > CLUSTERED.capacity_rps


@pytest.mark.parametrize("slo", [Slo(latency_ms=5.0), Slo(latency_ms=0.01)])
def test_an_slo_below_one_execution_leaves_no_capacity(slo: Slo) -> None:
    assert types_of(made_types([1.0]), slo)[0].capacity_rps == 0


def test_a_loose_slo_is_not_met_by_a_queue_that_grows() -> None:
    one = types_of(made_types([1.0]), Slo(latency_ms=30_000.0))[0]
    assert 0.95 * one.served.saturation_rps < one.capacity_rps <= one.served.saturation_rps


@given(st.floats(0, 3000), st.floats(0.5, 9))
def test_shares_are_a_distribution_that_agrees_with_the_slo(
    rate_rps: float, dispersion: float
) -> None:
    served = CLUSTERED.served
    rates, dispersions = np.array([rate_rps]), np.array([dispersion])
    shares = shares_at(served, rates, dispersions)[0]
    assert np.all(np.diff(shares) >= -1e-9)
    assert shares[0] >= 0
    assert shares[-1] <= 1 + 1e-9
    at_slo = int(np.argmin(np.abs(served.latency_s - 0.05)))
    assert served.latency_s[at_slo] == pytest.approx(0.05)
    within = share_within(served, rates, dispersions)[0]
    assert shares[at_slo] == pytest.approx(within, abs=1e-3)


def test_cpu_time_is_what_was_measured_and_else_what_executions_take() -> None:
    estimated = PLAIN[0].served.cpu_s
    assert estimated[0, 0] == pytest.approx(0.008)
    assert 0.022 / 8 < estimated[-1, 0] < 0.008
    file = made_type()
    known = golden().policy[0].measured
    assert known is not None
    measured = msgspec.structs.replace(known, cpu_s_per_request=0.123)
    entries = [msgspec.structs.replace(file.policy[0], measured=measured), *file.policy[1:]]
    seen = types_of({"m": msgspec.structs.replace(file, policy=entries)})[0]
    assert seen.served.cpu_s[0, 0] == 0.123


def test_a_file_without_execution_times_is_refused() -> None:
    old = msgspec.structs.replace(made_type(), service=None)
    with pytest.raises(UsageError, match=r"^the file of old: an older autotune .* search again$"):
        types_of({"new": made_type(), "old": old})


def test_files_of_different_models_are_refused() -> None:
    model = msgspec.structs.replace(golden().model, name="other.onnx", sha256="f" * 64)
    other = msgspec.structs.replace(made_type(), model=model)
    with pytest.raises(UsageError, match=r"^the files of a and b .* and other\.onnx: "):
        types_of({"a": made_type(), "b": other})


def test_a_type_without_a_price_is_refused_and_a_price_without_a_file_is_not() -> None:
    prices = Prices(currency="USD", as_of=None, source=None, machines={}, functions={})
    with pytest.raises(UsageError, match=r"^the price list has no machine 'm0'; it has none$"):
        make_types(made_types([1.0]), prices, SLO, 1.0)
    with pytest.raises(UsageError, match=r"^no tuned file"):
        make_types({}, prices, SLO, 1.0)
    assert [one.name for one in PLAIN] == ["m0", "m1"]


def test_what_lies_above_the_search_is_told() -> None:
    assert any("above the highest load of its search" in note for note in PLAIN[0].notes)
    assert CLUSTERED.notes == ()
