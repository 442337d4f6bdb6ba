"""What a tuned file knows of one configuration at one load, as estimates that can be compared."""

import math
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from autotune.comparison.records import Quantity
from autotune.config_file import PolicyEntry, TunedFile
from autotune.outcome import Samples
from autotune.records import Percentile, Summary
from autotune.spec import ServingConfig
from autotune.stats.independent import (
    MIN_ROUNDS,
    NOTHING,
    Estimate,
    of_rounds,
    of_share,
    subtract,
)

DISTURBED_SHARE = 0.5
"""From this share of disturbed rounds on, latencies speak of the neighbours."""


class Seen(NamedTuple):
    """One configuration at one load."""

    config: ServingConfig
    summary: Summary
    rounds: list[Summary]
    """The windows that `summary` is made of, in order; empty where the file does not have them."""
    slo_quantile: float

    def value(self, quantity: Quantity) -> float | None:
        """As the file has it, in the unit that the quantity's name says."""
        return _value(self.summary, quantity)

    def spoilt(self) -> str:
        """Why nothing can be told from it; empty where something can."""
        windows = self.rounds or [self.summary]
        spoilt = [one.disturbed for one in windows if one.disturbed]
        if len(spoilt) < DISTURBED_SHARE * len(windows):
            return ""
        return f"was disturbed: {(self.summary.disturbed or spoilt[0])[0]}"

    def logs(self, quantity: Quantity) -> Samples | None:
        """Natural logs of the rounds, shape (rounds,); None: too few, or they do not show it."""
        values = [_value(one, quantity) or 0.0 for one in self.rounds]
        if len(values) < MIN_ROUNDS or min(values) <= 0:
            return None
        beyond = _beyond(quantity, self.slo_quantile) * self.summary.requests / len(values)
        # With less than one request beyond it, a percentile of a round is merely its maximum.
        return np.log(values) if beyond >= 1 else None


def seen(tuned: TunedFile, entry: PolicyEntry, of_default: bool) -> Seen | None:
    """Return what was measured of the answer, or of the runtime's default; None: nothing."""
    summary = entry.default if of_default else entry.measured
    config = entry.config.default if of_default else entry.config
    if summary is None:
        return None
    rounds = _rounds(tuned, entry.load_rps, config, summary)
    return Seen(config, summary, rounds, tuned.slo.quantile)


def share_within_slo(one: Seen) -> Estimate | None:
    """Return the share of requests within the SLO; None: too few rounds to say how alike they are.

    All or none needs no rounds: there is nothing that could cluster.
    """
    rounds = one.rounds if len(one.rounds) >= MIN_ROUNDS else [one.summary]
    if len(rounds) == 1 and 0 < one.summary.slo_attainment < 1:
        return None
    counts = np.array([run.requests for run in rounds], dtype=np.float64)
    shares = np.clip([run.slo_attainment for run in rounds], 0.0, 1.0)
    return of_share(shares * counts, counts) if counts.sum() > 0 else None


def log_ratio(a: Seen, b: Seen, quantity: Quantity) -> Estimate | None:
    """Return the log of b over a; None: one has no value, or a single window of unknown spread.

    By rounds where both have them, for these show what varies from minute to minute, too; else
    by the intervals in the files.
    """
    logs = a.logs(quantity), b.logs(quantity)
    if logs[0] is not None and logs[1] is not None:
        return subtract(of_rounds(logs[1]), of_rounds(logs[0]))
    mine, others = _by_interval(a, quantity), _by_interval(b, quantity)
    return None if mine is None or others is None else subtract(others, mine)


def log_ratio_over_default(
    a: tuple[Seen, Seen], b: tuple[Seen, Seen], quantity: Quantity
) -> Estimate | None:
    """Return the same of the ratios to the runtime's default, each (answer, default) of one file.

    Rounds are taken in pairs, for both served the same arrivals at about the same time.
    """
    by_rounds = _paired(*a, quantity), _paired(*b, quantity)
    if by_rounds[0] is not None and by_rounds[1] is not None:
        return subtract(by_rounds[1], by_rounds[0])
    mine, others = _over_by_interval(*a, quantity), _over_by_interval(*b, quantity)
    return None if mine is None or others is None else subtract(others, mine)


def _paired(answer: Seen, default: Seen, quantity: Quantity) -> Estimate | None:
    if answer.config == default.config:
        return NOTHING
    mine, others = answer.logs(quantity), default.logs(quantity)
    if mine is None or others is None or len(mine) != len(others):
        return None
    return of_rounds(mine - others)


def _over_by_interval(answer: Seen, default: Seen, quantity: Quantity) -> Estimate | None:
    if answer.config == default.config:
        return NOTHING
    mine, others = _by_interval(answer, quantity), _by_interval(default, quantity)
    return None if mine is None or others is None else subtract(mine, others)


def _by_interval(one: Seen, quantity: Quantity) -> Estimate | None:
    found = _percentile(one.summary, quantity)
    value = None if found is None else _log(found.value_ms)
    if found is None or value is None:
        return None
    return Estimate(value, _log(found.low_ms), _log(found.high_ms))


def _log(value_ms: float | None) -> float | None:
    return math.log(value_ms) if value_ms is not None and value_ms > 0 else None


def _rounds(
    tuned: TunedFile, load_rps: float, config: ServingConfig, whole: Summary
) -> list[Summary]:
    """Return the first trials of a phase whose requests add up to the summary's."""
    for phase in ("confirm", "search"):
        runs = [
            trial.measured
            for trial in tuned.trials
            if (trial.phase, trial.load_rps, trial.config) == (phase, load_rps, config)
            and trial.measured is not None
        ]
        counts = list(accumulate(run.requests for run in runs))
        if whole.requests in counts:
            return runs[: counts.index(whole.requests) + 1]
    return []


def _percentile(one: Summary, quantity: Quantity) -> Percentile | None:
    match quantity:
        case "p50_ms":
            return one.p50
        case "p95_ms":
            return one.p95
        case "p99_ms":
            return one.p99
        case "objective_ms":
            return one.objective
    return None


def _value(one: Summary, quantity: Quantity) -> float | None:
    found = _percentile(one, quantity)
    if found is not None:
        return found.value_ms
    match quantity:
        case "slo_attainment":
            return one.slo_attainment
        case "cpu_ms_per_request":
            return 1e3 * one.cpu_s_per_request
    return float(one.diverged)


def _beyond(quantity: Quantity, slo_quantile: float) -> float:
    """Share of requests beyond the percentile; 1 for what is no percentile."""
    match quantity:
        case "p50_ms":
            return 0.5
        case "p95_ms":
            return 0.05
        case "p99_ms":
            return 0.01
        case "objective_ms":
            return 1 - slo_quantile
    return 1.0
