"""A 95 % interval covers the truth in 95 of 100 runs: queues with known answers."""

import math

import numpy as np
import pytest
from sequential_study import KINDS, Kind, simulate, true_quantile_s

from autotune.stats.percentiles import Interval, percentile_interval
from autotune.stats.sequential import LEAD_IN

RUNS = 1_000
REQUESTS = 8_000
CHANCE = 2.5 * math.sqrt(0.95 * 0.05 / RUNS)
"""Two and a half standard deviations of a study of so many runs."""
MM1, MD1, MD2 = KINDS[0], KINDS[2], KINDS[4]


def intervals(kind: Kind, quantile: float, requests: int = REQUESTS) -> list[Interval]:
    """Intervals in seconds of runs that start empty, their lead-ins cut as `measure` cuts them."""
    runs = simulate(kind, RUNS, requests, seed=11)
    first = int(LEAD_IN * requests)
    return [
        percentile_interval(sojourn_s[first:], 0, quantile, fresh=fresh[first:])
        for sojourn_s, fresh in zip(runs.sojourn_s, runs.fresh, strict=True)
    ]


def coverage(found: list[Interval], truth: float) -> float:
    return float(np.mean([(one.low or 0.0) <= truth <= (one.high or math.inf) for one in found]))


@pytest.mark.parametrize(
    ("kind", "quantile"),
    [(MM1, 0.5), (MM1, 0.95), (MD1, 0.9), (MD1, 0.95), (MD2, 0.5), (MD2, 0.95)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_intervals_cover_the_truth_in_93_to_97_of_100_runs(kind: Kind, quantile: float) -> None:
    found = intervals(kind, quantile)
    assert np.mean([one.high is not None for one in found]) > 0.95
    covered = coverage(found, true_quantile_s(kind, quantile))
    assert 0.93 - CHANCE <= covered <= 0.97 + CHANCE


@pytest.mark.parametrize("kind", [MM1, MD1], ids=lambda kind: kind.name)
def test_so_do_those_of_a_p99_where_there_are_enough_requests(kind: Kind) -> None:
    found = intervals(kind, 0.99, requests=25_000)
    assert np.mean([one.high is not None for one in found]) > 0.95
    assert 0.93 - CHANCE <= coverage(found, true_quantile_s(kind, 0.99)) <= 0.97 + CHANCE


def test_and_those_of_independent_requests() -> None:
    samples = np.random.default_rng(0).exponential(size=(RUNS, 2_000))
    fresh = np.ones(2_000, dtype=np.bool_)
    for quantile in (0.5, 0.9, 0.99):
        found = [percentile_interval(row, 0, quantile, fresh=fresh) for row in samples]
        assert 0.93 - CHANCE <= coverage(found, -math.log(1 - quantile)) <= 0.97 + CHANCE


def test_where_requests_do_not_suffice_no_upper_bound_is_claimed() -> None:
    found = intervals(KINDS[1], 0.99, requests=2_000)
    assert np.mean([one.high is None for one in found]) > 0.95
    truth_s = true_quantile_s(KINDS[1], 0.99)
    assert np.mean([one.low is None or one.low <= truth_s for one in found]) >= 0.975 - CHANCE
