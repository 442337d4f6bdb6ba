"""One configuration under one drawn schedule: the step that exploring and confirming share."""

import time

from autotune.arrivals import Traffic, draw
from autotune.outcome import Measured, TrialOutcome
from autotune.spec import GiveUp, ServingConfig, Slo, TrialSpec
from autotune.trial.bench import Bench

LEAD_IN_SHARE = 0.1
MAX_LEAD_IN_S = 1.0
GIVE_UP_SLOS = 4.0
GIVE_UP_MIN_S = 0.1
"""A request this late, or this many SLOs late, is lost for certain."""
GIVE_UP_HOLD_S = 0.5
"""A stall of the machine heals within this time; a queue that outlasts it grows."""


def run_trial(
    bench: Bench,
    config: ServingConfig,
    traffic: Traffic,
    window: tuple[float, tuple[int, ...]],
    slo: Slo,
) -> tuple[TrialOutcome, float]:
    """Measure for `window` = (seconds, seed); the same seed gives every configuration the same
    arrivals.

    Returns:
        The outcome without its lead-in, and the wall seconds it took.
    """
    duration_s, seed = window
    lead_in_s = min(MAX_LEAD_IN_S, LEAD_IN_SHARE * duration_s)
    arrivals_s = draw(traffic, duration_s + lead_in_s, seed)
    delay_s = max(GIVE_UP_MIN_S, GIVE_UP_SLOS * slo.latency_ms / 1000)
    trial = TrialSpec(
        config=config,
        arrivals_s=arrivals_s.tolist(),
        give_up=GiveUp(delay_s=delay_s, hold_s=max(GIVE_UP_HOLD_S, delay_s)),
    )
    started_s = time.monotonic()
    outcome = bench.measure(trial)
    seconds = time.monotonic() - started_s
    if isinstance(outcome, Measured) and arrivals_s[-1] >= lead_in_s:
        outcome = outcome.counted(lead_in_s)
    return outcome, seconds
