import numpy as np
import pytest
from fleet_scenes import arriving, clustered_counts
from hypothesis import given
from hypothesis import strategies as st

from autotune.planning.load_windows import MOST_STEPS, MOST_WINDOWS, windows_of


@given(
    st.integers(1, 400),
    st.sampled_from([0.05, 0.4, 3.2]),
    st.floats(0.001, 2.0),
    st.floats(1.0, 60.0),
)
def test_every_request_is_in_a_window_of_a_whole_step(
    bins: int, bin_s: float, slo_s: float, step_s: float
) -> None:
    counts = np.arange(bins) % 7
    windows = windows_of(arriving(counts, bin_s, 1.0, "t"), slo_s, step_s)
    assert windows.requests == counts.sum()
    assert len(windows.counts) == windows.steps * windows.step_windows
    assert windows.step_s >= step_s - 1e-6
    assert windows.step_s < step_s + 2 * windows.window_s + bin_s
    assert windows.step_loads_rps.sum() * windows.step_s == pytest.approx(counts.sum())


def test_a_window_is_ten_times_the_slo_or_a_step() -> None:
    trace = arriving(np.ones(6000, dtype=np.int64), 0.05, 1.0, "t")
    assert windows_of(trace, 0.05, 30.0).window_s == pytest.approx(0.5)
    assert windows_of(trace, 0.05, 30.0).step_windows == 60
    assert windows_of(trace, 20.0, 30.0).window_s == pytest.approx(30.0)


def test_a_long_trace_has_no_more_windows_and_steps_than_are_borne() -> None:
    trace = arriving(np.ones(2**20, dtype=np.int64), 0.05, 1.0, "t")
    windows = windows_of(trace, 0.001, 0.1)
    assert len(windows.counts) <= MOST_WINDOWS + windows.step_windows
    assert windows.steps <= MOST_STEPS


def test_what_clusters_within_a_window_is_dispersion_and_what_changes_between_is_not() -> None:
    rng = np.random.default_rng(3)
    wave = np.repeat(rng.uniform(100, 900, 400), 10)
    clustered = arriving(clustered_counts(wave, 0.1, 4.0, rng), 0.1, 1.0, "t")
    assert windows_of(clustered, 0.1, 1.0).dispersion == pytest.approx(4.0, rel=0.15)
    poisson = arriving(rng.poisson(wave * 0.1), 0.1, 1.0, "t")
    assert windows_of(poisson, 0.1, 1.0).dispersion == pytest.approx(1.0, abs=0.1)


def test_the_trace_knows_of_clusters_within_a_bin() -> None:
    trace = arriving(np.full(100, 8), 0.1, 5.0, "t")
    assert windows_of(trace, 0.1, 1.0).dispersion == 5.0
