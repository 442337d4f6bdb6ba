import numpy as np
import pytest

from autotune.outcome import Samples
from autotune.planning.forecasts import forecast_loads

DAY_S = 86_400.0


def noisy(rates_rps: Samples, step_s: float, seed: int = 1) -> Samples:
    return np.asarray(np.random.default_rng(seed).poisson(rates_rps * step_s) / step_s)


def waves(days: float, step_s: float) -> Samples:
    at_s = np.arange(round(days * DAY_S / step_s)) * step_s
    return np.asarray(100 * (1 - 0.7 * np.cos(2 * np.pi * at_s / DAY_S)))


def test_a_daily_wave_is_forecast_better_than_by_the_last_value() -> None:
    loads_rps = noisy(waves(3, 120.0), 120.0)
    found = forecast_loads(loads_rps, 120.0, 600.0)
    assert found.lead == 5
    assert found.error is not None
    assert found.error.lead_s == 600.0
    assert found.error.error < 0.7 * found.error.naive_error
    assert abs(found.error.bias) < 0.01
    assert 0.3 < found.error.under_share < 0.7


def test_bursts_that_fade_are_forecast_to_fade() -> None:
    rng = np.random.default_rng(2)
    bursts = np.convolve(rng.random(3000) < 0.01, 0.8 ** np.arange(30))[:3000]
    loads_rps = noisy(50 + 400 * bursts, 30.0)
    found = forecast_loads(loads_rps, 30.0, 60.0)
    assert found.error is not None
    assert found.error.error < 0.95 * found.error.naive_error


def test_the_error_is_what_it_says() -> None:
    loads_rps = noisy(waves(0.5, 60.0), 60.0)
    found = forecast_loads(loads_rps, 60.0, 120.0)
    assert found.error is not None
    actual_rps, ahead_rps = loads_rps[34:], found.ahead_rps[32:-2]
    assert found.error.error == pytest.approx(
        np.abs(ahead_rps - actual_rps).sum() / actual_rps.sum()
    )
    assert found.error.under_share == np.mean(ahead_rps < actual_rps)


@pytest.mark.parametrize(
    ("step", "lead", "seed"), [(1, 1, 0), (33, 2, 1), (150, 9, 2), (299, 40, 3)]
)
def test_nothing_of_the_future_is_known(step: int, lead: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    loads_rps = noisy(rng.uniform(1, 100, 300), 10.0)
    changed = loads_rps.copy()
    changed[step:] = rng.uniform(500, 900, 300 - step)
    one, other = (forecast_loads(each, 10.0, 10.0 * lead) for each in (loads_rps, changed))
    np.testing.assert_allclose(one.ahead_rps[: step + 1], other.ahead_rps[: step + 1])
    np.testing.assert_allclose(one.naive_rps[: step + 1], other.naive_rps[: step + 1])


@pytest.mark.parametrize("steps", [1, 2, 3, 9])
def test_a_short_trace_is_followed_without_a_model(steps: int) -> None:
    found = forecast_loads(np.full(steps, 4.0), 30.0, 60.0)
    assert found.ahead_rps.shape == (steps,)
    assert found.ahead_rps == pytest.approx(np.full(steps, 4.0), abs=0.02)


def test_of_a_trace_shorter_than_a_lead_nothing_is_judged() -> None:
    assert forecast_loads(np.full(5, 4.0), 30.0, 3000.0).error is None


def test_a_load_that_explodes_once_does_not_run_away() -> None:
    rates = np.full(600, 20.0)
    rates[64:70] *= 5.0 ** np.arange(6)
    loads_rps = noisy(rates, 10.0)
    found = forecast_loads(loads_rps, 10.0, 60.0)
    assert found.ahead_rps.max() <= loads_rps.max() + 1


def test_silence_is_forecast_to_last() -> None:
    loads_rps = np.append(np.full(200, 5.0), np.zeros(200))
    found = forecast_loads(loads_rps, 10.0, 10.0)
    assert found.ahead_rps[-1] < 0.5
    assert np.isfinite(found.ahead_rps).all()
