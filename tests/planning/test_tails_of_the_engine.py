"""Simulation and analysis against the engine itself, with replicas that sleep for known times."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tails import CASES, QUANTILES, Case, analyse, serve_for_real, simulate_all

from autotune.outcome import Samples
from autotune.planning.mmpp import draw_mmpp

RUN_S = 5.0


def compare(case: Case, seed: int, run_s: float = RUN_S) -> tuple[Samples, Samples]:
    """Return simulation over the engine on the same arrivals, less one; analysis likewise."""
    times_s = draw_mmpp(case.arrivals, run_s, np.random.default_rng(seed))
    real_s = np.quantile(serve_for_real(case.served, times_s), QUANTILES)
    simulated_s = np.quantile(simulate_all([case.served], times_s)[0], QUANTILES)
    tail = analyse(case.arrivals, case.served)
    analytic_s = np.array([tail.quantile_s(at) for at in QUANTILES])
    return simulated_s / real_s - 1, analytic_s / real_s - 1


def test_the_engine_forms_the_batches_that_are_simulated() -> None:
    with ThreadPoolExecutor(len(CASES)) as all_at_once:
        found = list(all_at_once.map(compare, CASES, range(len(CASES))))
    simulated = np.array([one for one, _ in found])
    assert np.median(np.abs(simulated)) < 0.05
    assert np.median(simulated) <= 0  # the engine takes time of its own, the simulation none


@pytest.mark.slow
def test_analysis_agrees_with_long_runs_of_the_engine() -> None:
    with ThreadPoolExecutor(len(CASES)) as all_at_once:
        found = list(all_at_once.map(lambda case: compare(case, 11, 120.0), CASES))
    assert np.median(np.abs([one for one, _ in found])) < 0.05
    assert np.median(np.abs([one for _, one in found])) < 0.05
