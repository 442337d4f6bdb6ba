import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.arrivals import Traffic, draw
from autotune.errors import UsageError
from autotune.outcome import Samples
from autotune.patterns import (
    Bursty,
    Constant,
    Gaps,
    Pattern,
    Poisson,
    Trace,
    explain,
    parse_arrivals,
)


@pytest.mark.parametrize("pattern", [Poisson(), Constant(), Bursty(factor=4), Gaps(gap_s=0.3)])
def test_the_mean_rate_of_a_long_draw_is_the_load(pattern: Pattern) -> None:
    traffic = Traffic(load_rps=80.0, pattern=pattern)
    arrivals_s = draw(traffic, 20_000.0, (1,))
    assert len(arrivals_s) / 20_000 == pytest.approx(traffic.mean_rps, rel=0.03)
    if not isinstance(pattern, Gaps):
        assert traffic.mean_rps == traffic.load_rps


@pytest.mark.parametrize("duration_s", [0.02, 0.3])
def test_short_draws_have_the_mean_rate_too_so_bursts_start_stationary(duration_s: float) -> None:
    traffic = Traffic(load_rps=500.0, pattern=Bursty(factor=4))
    counts = [len(draw(traffic, duration_s, (seed,))) for seed in range(4000)]
    assert np.mean(counts) == pytest.approx(500 * duration_s, rel=0.1)


def counts_in(windows_s: float, traffic: Traffic, duration_s: float) -> Samples:
    arrivals_s = draw(traffic, duration_s, (3,))
    edges_s = np.arange(0.0, duration_s + windows_s / 2, windows_s)
    return np.histogram(arrivals_s, edges_s)[0].astype(np.float64)


@pytest.mark.parametrize("factor", [1.5, 4.0, 10.0])
@pytest.mark.parametrize("window_s", [0.05, 1.0, 20.0])
def test_the_stated_dispersion_is_that_of_the_draws(factor: float, window_s: float) -> None:
    pattern, load_rps = Bursty(factor=factor), 20.0
    counts = counts_in(window_s, Traffic(load_rps=load_rps, pattern=pattern), 60_000.0)
    simulated = counts.var() / counts.mean()
    assert pattern.dispersion(load_rps, window_s) == pytest.approx(simulated, rel=0.12)


@given(st.floats(1.001, 100), st.floats(0.1, 1e4), st.floats(1e-3, 1e3))
def test_dispersion_grows_with_the_window_from_poisson_to_its_limit(
    factor: float, load_rps: float, window_s: float
) -> None:
    pattern = Bursty(factor=factor)
    idc = pattern.dispersion(load_rps, window_s)
    assert 1 <= idc <= pattern.dispersion(load_rps, 2 * window_s) * (1 + 1e-9)
    assert idc <= pattern.dispersion(load_rps) * (1 + 1e-9)


@given(st.floats(1.001, 100))
def test_bursts_carry_half_of_all_requests(factor: float) -> None:
    pattern = Bursty(factor=factor)
    assert factor * pattern.burst_share == pytest.approx(0.5)
    assert pattern.quiet_factor * (1 - pattern.burst_share) == pytest.approx(0.5)
    ends, begins = pattern.switching_per_s
    assert begins / (ends + begins) == pytest.approx(pattern.burst_share)
    assert 1 / ends + 1 / begins == pytest.approx(Traffic(load_rps=1.0, pattern=pattern).cycle_s)


@given(st.floats(2.0, 500), st.integers(0, 1000))
def test_constant_arrivals_are_evenly_spaced_from_a_random_phase(
    load_rps: float, seed: int
) -> None:
    arrivals_s = draw(Traffic(load_rps=load_rps, pattern=Constant()), 5.0, (seed,))
    np.testing.assert_allclose(np.diff(arrivals_s), 1 / load_rps)
    assert arrivals_s[0] < 1 / load_rps
    assert 5.0 - arrivals_s[-1] <= 1 / load_rps * (1 + 1e-9)


@settings(deadline=None)
@given(st.floats(0.2, 5), st.integers(0, 1000))
def test_gaps_are_silent_and_as_long_as_the_spells_between_them(gap_s: float, seed: int) -> None:
    arrivals_s = draw(Traffic(load_rps=1000.0, pattern=Gaps(gap_s=gap_s)), 40.0, (seed,))
    silences = np.flatnonzero(np.diff(arrivals_s) >= gap_s)
    # The first spell may end, or the last begin, a moment from the edge, with no arrival in it.
    assert abs(len(silences) - 40.0 / (2 * gap_s)) <= 2
    spells_s = arrivals_s[silences[1:]] - arrivals_s[silences[:-1] + 1]
    assert (spells_s <= gap_s).all()
    assert (np.delete(np.diff(arrivals_s), silences) < 0.1).all()


def test_a_run_shorter_than_a_spell_still_holds_its_requests() -> None:
    traffic = Traffic(load_rps=1000.0, pattern=Gaps(gap_s=60.0))
    counts = [len(draw(traffic, 1.0, (seed,))) for seed in range(200)]
    assert np.mean(counts) == pytest.approx(1000, rel=0.05)


def test_a_trace_at_another_load_is_the_same_stretched_in_time() -> None:
    recorded = Traffic(load_rps=2.0, pattern=Trace(times_s=np.array([0.0, 0.1, 1.0])))
    twice = recorded.at(4.0)
    assert twice.load_rps == 4
    assert isinstance(twice.pattern, Trace)
    np.testing.assert_allclose(twice.pattern.times_s, [0.0, 0.05, 0.5])
    assert twice.pattern.describe() == "trace scaled to the load"
    assert recorded.pattern.describe() == "trace"


@pytest.mark.parametrize(
    ("text", "pattern", "words"),
    [
        ("poisson", Poisson(), "poisson"),
        ("Constant", Constant(), "constant"),
        ("bursty:4", Bursty(factor=4), "bursty x4"),
        ("bursty:100", Bursty(factor=100), "bursty x100"),
        (" gaps:2s", Gaps(gap_s=2), "poisson with 2 s gaps"),
        ("gaps:1m", Gaps(gap_s=60), "poisson with 60 s gaps"),
    ],
)
def test_patterns_are_read_and_said_in_words(text: str, pattern: Pattern, words: str) -> None:
    assert parse_arrivals(text, "--arrivals") == pattern
    assert pattern.describe() == words


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "none of poisson"),
        ("uniform", "none of poisson"),
        ("poisson:3", "none of poisson"),
        ("constant:", "none of poisson"),
        ("bursty", "bursty:4"),
        ("bursty:", "bursty:4"),
        ("bursty:1", "above 1"),
        ("bursty:nan", "above 1"),
        ("bursty:inf", "up to 100"),
        ("bursty:x4", "bursty:4"),
        ("gaps", "gaps:2s"),
        ("gaps:2", "no unit"),
        ("gaps:0s", "above zero"),
        ("gaps:2m", "up to 60 s"),
        ("gaps:soon", "not a duration"),
    ],
)
def test_a_bad_pattern_is_refused_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=r"^--arrivals ") as caught:
        parse_arrivals(text, "--arrivals")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_patterns_that_need_it_are_explained() -> None:
    assert explain(Poisson(), 80.0) is None
    bursts = explain(Bursty(factor=4), 80.0)
    assert bursts is not None
    assert "at 80/s the variance of arrivals per second is 55.6 times their mean" in bursts
    assert "within a spell" in (explain(Gaps(gap_s=2), 80.0) or "")
