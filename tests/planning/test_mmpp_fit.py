import numpy as np
import pytest

from autotune.outcome import Samples
from autotune.planning.arriving import arriving_of
from autotune.planning.mmpp import Mmpp, draw_mmpp, poisson
from autotune.planning.mmpp_fit import LEAST_REQUESTS, fit_mmpp


def drawn(process: Mmpp, seconds: float) -> Samples:
    return draw_mmpp(process, seconds, np.random.default_rng(8))


@pytest.mark.parametrize(
    "process",
    [
        Mmpp(rates_rps=(20.0, 200.0), switching_per_s=(0.25, 1.0)),
        Mmpp(rates_rps=(50.0, 150.0), switching_per_s=(0.02, 0.05)),
    ],
    ids=["short bursts", "long phases"],
)
def test_a_process_is_found_again(process: Mmpp) -> None:
    found = fit_mmpp(arriving_of(drawn(process, 2000.0), "drawn"))
    assert found.rates_rps == pytest.approx(process.rates_rps, rel=0.1)
    assert found.phase_s == pytest.approx(process.phase_s, rel=0.35)


def test_the_mean_is_the_trace_s_and_dispersion_close() -> None:
    process = Mmpp(rates_rps=(20.0, 200.0), switching_per_s=(0.25, 1.0))
    arriving = arriving_of(drawn(process, 500.0), "drawn")
    found = fit_mmpp(arriving)
    assert found.mean_rps == pytest.approx(arriving.mean_rps)
    wanted = process.dispersion(np.array([0.2, 5.0]))
    assert found.dispersion(np.array([0.2, 5.0])) == pytest.approx(wanted, rel=0.3)


def test_without_phases_it_is_poisson() -> None:
    assert fit_mmpp(arriving_of(drawn(poisson(80.0), 300.0), "drawn")).is_poisson
    regular = np.arange(0, 100, 0.01)
    assert fit_mmpp(arriving_of(regular, "regular")).is_poisson
    few = drawn(Mmpp(rates_rps=(1.0, 100.0), switching_per_s=(1.0, 1.0)), 1.0)[: LEAST_REQUESTS - 1]
    assert fit_mmpp(arriving_of(few, "few")).is_poisson


def test_phases_that_last_longer_than_excerpts_are_seen_from_afar() -> None:
    process = Mmpp(rates_rps=(40.0, 400.0), switching_per_s=(1 / 600, 1 / 300))
    arriving = arriving_of(drawn(process, 14_400.0), "drawn")
    assert not arriving.is_whole
    found = fit_mmpp(arriving)
    assert found.rates_rps == pytest.approx(process.rates_rps, rel=0.15)
    assert found.phase_s[0] > 100
