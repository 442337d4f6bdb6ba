"""The known answers are themselves held against simulation, and against each other."""

import math

import numpy as np
import pytest
from queueing import mdc_quantile_s, mm1_quantile_s, serve


@pytest.mark.parametrize(("servers", "utilisation"), [(1, 0.5), (1, 0.8), (2, 0.7), (4, 0.8)])
def test_franx_formula_agrees_with_a_long_simulation(servers: int, utilisation: float) -> None:
    service_s = utilisation * servers
    gaps_s = np.random.default_rng(0).exponential(1.0, (300, 12_000))
    sojourn_s, _ = serve(gaps_s, np.full_like(gaps_s, service_s), servers)
    settled_s = sojourn_s[:, 3_000:]
    for quantile in (0.3, 0.5, 0.9, 0.99):
        exact_s = mdc_quantile_s(1.0, service_s, servers, quantile)
        assert np.quantile(settled_s, quantile) == pytest.approx(exact_s, rel=0.02)


def test_one_server_agrees_with_erlang() -> None:
    """Erlang 1909 for M/D/1, x < D: P(W <= x) = (1 - rho) exp(l x)."""
    rho, quantile = 0.5, 0.7
    wait_s = math.log(quantile / (1 - rho))  # load 1, so that D = rho
    assert wait_s < rho
    assert mdc_quantile_s(1.0, rho, 1, quantile) == pytest.approx(rho + wait_s)


def test_exponential_service_agrees_with_simulation() -> None:
    rng = np.random.default_rng(1)
    gaps_s = rng.exponential(1.0, (300, 8_000))
    sojourn_s, fresh = serve(gaps_s, rng.exponential(0.5, gaps_s.shape))
    settled_s = sojourn_s[:, 2_000:]
    assert np.quantile(settled_s, 0.95) == pytest.approx(mm1_quantile_s(1.0, 0.5, 0.95), rel=0.02)
    assert fresh[:, 2_000:].mean() == pytest.approx(0.5, abs=0.01)  # arrivals see time averages
