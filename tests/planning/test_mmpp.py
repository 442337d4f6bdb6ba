import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.planning.mmpp import Mmpp, draw_mmpp, poisson, scaled

BURSTS = Mmpp(rates_rps=(20.0, 200.0), switching_per_s=(0.25, 1.0))
rates = st.floats(0.01, 1000)


@given(rates, rates, rates, rates)
def test_matrices_and_mean_are_those_of_the_process(
    low: float, high: float, leave: float, back: float
) -> None:
    one = Mmpp(rates_rps=(low, high), switching_per_s=(leave, back))
    assert one.stationary.sum() == pytest.approx(1)
    assert one.stationary @ one.d == pytest.approx(np.zeros(2), abs=1e-9 * (leave + back))
    assert (one.d0 + one.d1).sum(axis=1) == pytest.approx(np.zeros(2), abs=1e-9 * (low + high))
    assert min(low, high) * 0.999 <= one.mean_rps <= max(low, high) * 1.001
    assert scaled(one, 0.5).mean_rps == pytest.approx(one.mean_rps / 2)


def test_the_dispersion_is_one_for_poisson_and_grows_with_the_window() -> None:
    windows_s = np.array([1e-9, 0.1, 1.0, 1e6])
    assert poisson(80.0).dispersion(windows_s) == pytest.approx(np.ones(4))
    found = BURSTS.dispersion(windows_s)
    assert found[0] == pytest.approx(1, abs=1e-6)
    assert np.all(np.diff(found) > 0)
    # Its limit: 1 + 2 v / (m r), with v = 0.16 x 180^2, m = 56 and r = 1.25.
    assert found[-1] == pytest.approx(1 + 2 * 0.16 * 180**2 / (56 * 1.25), rel=1e-4)


@pytest.mark.parametrize("process", [poisson(50.0), BURSTS], ids=["poisson", "bursts"])
def test_what_is_drawn_has_its_mean_and_dispersion(process: Mmpp) -> None:
    times_s = draw_mmpp(process, 20_000.0, np.random.default_rng(2))
    assert np.all(np.diff(times_s) >= 0)
    assert 0 <= times_s[0] < times_s[-1] < 20_000
    assert len(times_s) / 20_000 == pytest.approx(process.mean_rps, rel=0.03)
    counts = np.histogram(times_s, np.arange(0, 20_001, 2.0))[0]
    wanted = float(process.dispersion(np.array(2.0)))
    assert np.var(counts) / np.mean(counts) == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize(
    ("rates_rps", "switching_per_s"),
    [((-1.0, 2.0), (1.0, 1.0)), ((0.0, 0.0), (1.0, 1.0)), ((1.0, 2.0), (0.0, 1.0))],
)
def test_what_is_no_process_is_refused(
    rates_rps: tuple[float, float], switching_per_s: tuple[float, float]
) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        Mmpp(rates_rps=rates_rps, switching_per_s=switching_per_s)
