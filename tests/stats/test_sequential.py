"""Verdicts under repeated looks, held against queues whose answers are known."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sequential_study import KINDS, Kind, judge_runs, simulate, true_quantile_s

from autotune.spec import Slo
from autotune.stats.sequential import (
    Evidence,
    Verdict,
    decide,
    decide_once,
    evidence,
    factor_to_decide,
)

P99 = Slo(latency_ms=50)
RUNS = 300
CONFIDENCE = 0.99
MOST_ERRORS = int(binom.ppf(0.999, RUNS, 1 - CONFIDENCE))
"""Nine: a test that errs in exactly 1 % of runs stays within this in 999 of 1000 studies."""


def independent(requests: int, over: int) -> Evidence:
    return Evidence(requests, over, clusters=over, pass_divisor=1.0, fail_divisor=1.0)


@cache
def decisions_at(kind: Kind, quantile: float) -> list[str]:
    """Verdicts on runs of 40 s whose SLO is the true latency at this quantile."""
    slo = Slo(latency_ms=true_quantile_s(kind, quantile) * 1e3)
    runs = simulate(kind, RUNS, 4_000, seed=5)
    return [decision for decision, _ in judge_runs(kind, runs, slo, CONFIDENCE)]


QUICK = ("M/M/1, 80 %", "M/D/4, 80 %")
QUEUES = [
    pytest.param(kind, id=kind.name, marks=[] if kind.name in QUICK else [pytest.mark.slow])
    for kind in KINDS
]


@pytest.mark.parametrize("kind", QUEUES)
def test_an_slo_at_the_true_p99_is_seldom_called_met_or_missed(kind: Kind) -> None:
    found = decisions_at(kind, 0.99)
    assert found.count("passed") <= MOST_ERRORS
    assert found.count("failed") + found.count("diverged") <= MOST_ERRORS


@pytest.mark.parametrize("kind", QUEUES)
def test_a_missed_slo_is_seldom_called_met_and_soon_called_missed(kind: Kind) -> None:
    found = decisions_at(kind, 0.60)
    assert found.count("passed") <= MOST_ERRORS
    assert found.count("failed") >= 0.9 * RUNS


def test_a_kept_slo_is_called_met() -> None:
    found = decisions_at(KINDS[2], 0.99999)
    assert found.count("passed") >= 0.9 * RUNS
    assert found.count("failed") == 0


def test_independent_requests_pass_at_the_count_that_the_mixture_promises() -> None:
    at_most = int(np.ceil(np.log(2 / 0.01) / -np.log(0.99)))
    assert decide(independent(at_most, 0), P99, 0.99) == "pass"
    # ... or earlier by what its other alternatives lend, but never at the 459 of a single look.
    assert decide(independent(459, 0), P99, 0.99) == "undecided"


@pytest.mark.parametrize("p", [0.01, 0.012, 0.008])
def test_on_independent_requests_the_errors_stay_within_alpha_at_all_times_at_once(
    p: float,
) -> None:
    """Ville's inequality holds exactly here, for every number of looks."""
    wrong: Verdict = "pass" if p >= 0.01 else "fail"
    other: Verdict | None = "fail" if p == 0.01 else None
    errors = 0
    for seed in range(400):
        over = np.cumsum(np.random.default_rng(seed).random(6000) < p)
        seen = {decide(independent(n, int(over[n - 1])), P99, 0.95) for n in range(20, 6000, 40)}
        errors += wrong in seen or other in seen
    assert errors <= binom.ppf(0.999, 400, 0.05 if other is None else 0.10)


def test_one_look_needs_no_more_than_the_binomial_test_wants() -> None:
    assert decide_once(independent(458, 0), P99, 0.99) == "undecided"
    assert decide_once(independent(459, 0), P99, 0.99) == "pass"


@given(st.integers(1, 3000), st.integers(0, 60), st.sampled_from([0.9, 0.95, 0.99]))
def test_one_look_is_the_exact_binomial_test(requests: int, over: int, confidence: float) -> None:
    over = min(over, requests)
    found = decide_once(independent(requests, over), P99, confidence)
    few = binom.cdf(over, requests, 0.01) <= 1 - confidence
    many = binom.sf(over - 1, requests, 0.01) <= 1 - confidence and over >= 3
    assert found == ("pass" if few else "fail" if many else "undecided")


@given(st.integers(0, 5000), st.integers(0, 200), st.floats(1, 50))
def test_what_clusters_proves_less(requests: int, over: int, divisor: float) -> None:
    over = min(over, requests)
    loose = independent(requests, over)
    tight = loose._replace(pass_divisor=divisor, fail_divisor=divisor)
    if decide(tight, P99, 0.99) != "undecided":
        assert decide(loose, P99, 0.99) == decide(tight, P99, 0.99)


def test_a_single_spell_of_waiting_does_not_fail_a_configuration() -> None:
    one_spell = Evidence(requests=500, over=200, clusters=1, pass_divisor=1.0, fail_divisor=1.0)
    assert decide(one_spell, P99, 0.99) == "undecided"
    assert decide(one_spell._replace(clusters=3), P99, 0.99) == "fail"


def test_requests_that_wait_together_count_as_few() -> None:
    slo = Slo(latency_ms=1000)
    latencies_s = np.full(2000, 0.1)
    latencies_s[500:600] = 2.0
    fresh = np.ones(2000, dtype=np.bool_)
    fresh[501:600] = False
    seen = evidence(latencies_s, fresh, slo)
    assert (seen.requests, seen.over, seen.clusters) == (2000, 100, 1)
    assert seen.over / seen.fail_divisor < 2
    scattered = evidence(np.random.default_rng(0).permutation(latencies_s), fresh | True, slo)
    assert scattered.over / scattered.fail_divisor > 50


def test_lost_requests_are_beyond_the_slo() -> None:
    latencies_s = np.concatenate([np.full(50, 0.001), np.full(50, np.inf)])
    assert evidence(latencies_s, np.ones(100, dtype=np.bool_), P99).over == 50


def test_no_requests_prove_nothing() -> None:
    nothing = evidence(np.empty(0), np.empty(0, dtype=np.bool_), P99)
    assert decide(nothing, P99, 0.99) == decide_once(nothing, P99, 0.99) == "undecided"


def test_how_much_longer_a_run_must_be_is_said_where_it_can_be() -> None:
    factor = factor_to_decide(independent(250, 0), P99, 0.99)
    assert factor is not None
    assert decide(independent(round(250 * factor), 0), P99, 0.99) == "pass"
    assert decide(independent(round(250 * factor / 1.1), 0), P99, 0.99) == "undecided"
    assert factor_to_decide(independent(1000, 10), P99, 0.99) is None
