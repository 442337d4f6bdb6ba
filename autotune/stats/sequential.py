"""Is the SLO met? Two-sided, and valid however often one looks while a run goes on.

The question is about p, the long-run share of requests beyond the SLO's latency: the SLO is met
where p <= p0 = 1 - quantile. Each side is a mixture of likelihood ratios against p0, whose value
stays below 1 / alpha with probability 1 - alpha at all times at once wherever its side is wrong
(Ville's inequality; Robbins 1970, "Statistical methods related to the law of the iterated
logarithm"; Wald 1945). Half of the weight lies on p = 0, so a run without any request beyond the
SLO passes after 500 independent requests for a p99 at 99 %, where MLPerf LoadGen's test, which may
be looked at once only, wants 459.

Requests in a queue are not independent, so both counts, requests and those beyond, are divided by
how strongly they cluster (`autotune.stats.correlation`) before they enter. That makes the
guarantee approximate; that it holds is shown by simulation (tests/stats/test_sequential.py, at
length in benchmarks/sequential_study.py).
"""

from typing import Literal, NamedTuple

import numpy as np
from scipy.special import betainc

from autotune.outcome import Flags, Samples
from autotune.spec import Slo
from autotune.stats.correlation import dependence, lower_levels

Verdict = Literal["pass", "fail", "undecided"]

LEAD_IN = 0.1
"""Share of a run that is not judged: a queue starts empty, and is longer in the long run."""
PASS_CAUTION = 1.5
"""Clusters beyond the SLO may be larger than those seen below it. At 1.25 false passes reached
1.2 % in an M/M/1 queue at 80 %, at 1.5 they stayed at 0.7 %, where 1 % is stated."""
MIN_CLUSTERS = 3
"""A single long busy period must not fail a configuration."""
HIGH_LEVELS = 2
"""Passing looks at how requests cluster at so many of the highest `LEVELS`, failing at all."""
_PASS_ODDS = np.array([0.0, 0.1, 0.25, 0.5])
_PASS_WEIGHTS = np.array([0.5, 0.15, 0.2, 0.15])
_FAIL_ODDS = np.array([2.0, 4.0, 10.0, 30.0, 400.0])
_FAIL_WEIGHTS = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
"""Odds of the alternatives as multiples of the odds of p0: from near the SLO to hopeless."""


class Evidence(NamedTuple):
    """What a run says about an SLO. Counts are of all judged requests, lost ones included."""

    requests: int
    over: int
    """Requests beyond the SLO's latency."""
    clusters: int
    """Spells of waiting with any of them."""
    pass_divisor: float
    """Requests that count as one, where passing is to be proven."""
    fail_divisor: float
    """Likewise for failing."""


def evidence(latencies_s: Samples, fresh: Flags, slo: Slo) -> Evidence:
    """Weigh a run whose lead-in is cut.

    Args:
        latencies_s: seconds, in order of arrival, shape (requests,); lost or overdue: infinite.
        fresh: which requests found a replica free, same shape.
        slo: the objective.
    """
    limit_s = slo.latency_ms / 1e3
    count = len(latencies_s)
    over = int(np.sum(latencies_s > limit_s))
    if not count:
        return Evidence(0, 0, 0, 1.0, 1.0)
    lower_s = lower_levels(latencies_s, limit_s, 1.0)
    seen = dependence(latencies_s, fresh, np.append(lower_s, limit_s))
    high = slice(max(0, len(lower_s) - HIGH_LEVELS), None)
    # Without any beyond the SLO, what counts is how many clusters there could have been: the mean
    # size; 2 x mean - 1 is the inflation that clusters of geometric size cause.
    size = np.maximum(seen.cluster_size, (1 + seen.inflation) / 2) if not over else seen.inflation
    return Evidence(
        requests=count,
        over=over,
        clusters=int(seen.clusters[-1]),
        pass_divisor=PASS_CAUTION * float(size[high].max()),
        fail_divisor=float(seen.inflation.max()),
    )


def decide(seen: Evidence, slo: Slo, confidence: float) -> Verdict:
    """Return the verdict after any number of looks, each side wrong at most 1 - `confidence`."""
    bar = -np.log(1 - confidence)
    if _log_evidence(seen, slo, seen.pass_divisor, (_PASS_ODDS, _PASS_WEIGHTS)) >= bar:
        return "pass"
    if seen.clusters < MIN_CLUSTERS:
        return "undecided"
    if _log_evidence(seen, slo, seen.fail_divisor, (_FAIL_ODDS, _FAIL_WEIGHTS)) >= bar:
        return "fail"
    return "undecided"


def factor_to_decide(seen: Evidence, slo: Slo, confidence: float) -> float | None:
    """Return how many times as long a run like this one must be for a verdict.

    None where ten thousand times would not do: the share beyond the SLO is too close to what it
    allows.
    """
    for factor in np.geomspace(1.0, 1e4, 119):
        longer = seen._replace(
            requests=round(factor * seen.requests),
            over=round(factor * seen.over),
            clusters=round(factor * seen.clusters),
        )
        if decide(longer, slo, confidence) != "undecided":
            return float(factor)
    return None


def decide_once(seen: Evidence, slo: Slo, confidence: float) -> Verdict:
    """Return the verdict of the one look at a run whose length was fixed beforehand.

    The binomial tails of Clopper and Pearson (1934), with the divided counts.
    """
    allowed, alpha = 1 - slo.quantile, 1 - confidence
    over, within = seen.over / seen.pass_divisor, (seen.requests - seen.over) / seen.pass_divisor
    # P(as few or fewer) for a binomial count, continued between whole numbers.
    if within > 0 and float(betainc(within, over + 1, slo.quantile)) <= alpha:
        return "pass"
    over, within = seen.over / seen.fail_divisor, (seen.requests - seen.over) / seen.fail_divisor
    # P(as many or more).
    proven = seen.clusters >= MIN_CLUSTERS and float(betainc(over, within + 1, allowed)) <= alpha
    return "fail" if proven else "undecided"


def _log_evidence(
    seen: Evidence, slo: Slo, divisor: float, mixture: tuple[Samples, Samples]
) -> float:
    """Return the log of the mixture's likelihood ratio against p0, on divided counts."""
    multiples, weights = mixture
    allowed = 1 - slo.quantile
    odds = multiples * allowed / (1 - allowed)
    rates = odds / (1 + odds)
    over, within = seen.over / divisor, (seen.requests - seen.over) / divisor
    with np.errstate(divide="ignore"):
        beyond = over * np.log(rates / allowed) if over else np.zeros(len(rates))
    terms = np.log(weights) + beyond + within * np.log((1 - rates) / (1 - allowed))
    return float(np.logaddexp.reduce(terms))
