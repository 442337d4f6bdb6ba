"""One configuration under one drawn schedule: the step that exploring and confirming share."""

import time
from typing import NamedTuple

from autotune.arrivals import Traffic, draw
from autotune.outcome import Measured, TrialOutcome
from autotune.spec import ServingConfig, Slo, TrialSpec
from autotune.stats.disturbance import severity
from autotune.stats.judge import Judge
from autotune.trial.bench import Bench

LEAD_IN_SHARE = 0.1
MAX_LEAD_IN_S = 1.0
GRACE_SLOS = 4.0
MIN_GRACE_S = 0.1
"""A request this late, or this many SLOs late, is lost for certain."""

ORDER = 1
"""Tells the seed of the order of requests from that of their arrivals."""


class Window(NamedTuple):
    """How long to measure, and which arrivals: the same seed gives every configuration the same."""

    seconds: float
    seed: tuple[int, ...]


def run_trial(
    bench: Bench,
    config: ServingConfig,
    traffic: Traffic,
    window: Window,
    judge: Judge,
    repeats: int = 0,
) -> tuple[TrialOutcome, float]:
    """Measure for the window, or until the judge has seen enough.

    A window that something disturbed is measured again, at most `repeats` times; the least
    disturbed counts. What its latencies were has no say in that.

    Returns:
        The outcome without its lead-in, and the wall seconds it took, repeats included.
    """
    started_s = time.monotonic()
    best = _run_once(bench, config, traffic, window, judge)
    for _ in range(repeats):
        if not isinstance(best, Measured) or not best.disturbed:
            break
        again = _run_once(bench, config, traffic, window, judge)
        if not isinstance(again, Measured):
            best = again
        else:
            best = min(best, again, key=lambda run: severity(run.disturbance))
    return best, time.monotonic() - started_s


def _run_once(
    bench: Bench, config: ServingConfig, traffic: Traffic, window: Window, judge: Judge
) -> TrialOutcome:
    lead_in_s = min(MAX_LEAD_IN_S, LEAD_IN_SHARE * window.seconds)
    arrivals_s = draw(traffic, window.seconds + lead_in_s, window.seed)
    outcome = bench.measure(trial_spec(config, arrivals_s.tolist(), judge.slo, window.seed), judge)
    if isinstance(outcome, Measured) and arrivals_s[-1] >= lead_in_s:
        outcome = outcome.counted(lead_in_s)
    return outcome


def trial_spec(
    config: ServingConfig, arrivals_s: list[float], slo: Slo, seed: tuple[int, ...]
) -> TrialSpec:
    """Return the trial that gives a request the time after which it is lost for certain."""
    grace_s = max(MIN_GRACE_S, GRACE_SLOS * slo.latency_ms / 1e3)
    return TrialSpec(
        config=config, arrivals_s=arrivals_s, grace_s=grace_s, order_seed=[*seed, ORDER]
    )
