"""One configuration under one drawn schedule: the step that exploring and confirming share."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autotune.arrivals import Traffic, draw
from autotune.outcome import Measured, TrialOutcome
from autotune.spec import ServingConfig, Slo, TrialSpec
from autotune.stats.disturbance import severity
from autotune.stats.judge import Judge
from autotune.trial.measures import Measures

SEARCH_REQUESTS = 150
MIN_WINDOW_S = 1.0
MAX_WINDOW_SHARE = 0.05
"""One search measurement takes at most this share of the whole budget."""
LEAD_IN_SHARE = 0.1
MAX_LEAD_IN_S = 1.0
GRACE_SLOS = 4.0
MIN_GRACE_S = 0.1
"""A request this late, or this many SLOs late, is lost for certain."""

NEVER_QUIET = 4
"""Windows, each disturbed in its repeat as well, after which no more is repeated."""

ORDER = 1
"""Tells the seed of the order of requests from that of their arrivals."""


class Window(NamedTuple):
    """How long to measure, and which arrivals: the same seed gives every configuration the same."""

    seconds: float
    seed: tuple[int, ...]


def order_of_round(count: int, number: int, seed: tuple[int, ...]) -> list[int]:
    """Return in which order `count` configurations are measured in a round.

    By chance in every other round, and the other way round in the next: the comparison's test
    rests on chance, and going first must not favour whom chance lets go first more often.
    """
    order = np.random.default_rng((*seed, number // 2)).permutation(count)
    return [int(place) for place in (order[::-1] if number % 2 else order)]


def search_window_s(traffic: Traffic, budget_s: float) -> float:
    """Return for how many seconds the search measures a configuration, given its whole budget."""
    longest_s = max(MIN_WINDOW_S, MAX_WINDOW_SHARE * budget_s)
    return min(longest_s, max(MIN_WINDOW_S, traffic.seconds_for(SEARCH_REQUESTS)))


def lead_in_s(window_s: float) -> float:
    """Return the seconds that are measured before a window, and not counted."""
    return min(MAX_LEAD_IN_S, LEAD_IN_SHARE * window_s)


def quieter(first: Measured, second: Measured) -> Measured:
    """Return the run that was disturbed less: undisturbed before lightly disturbed."""
    # Severity alone does not tell: not everything that disturbs a run has a share of CPU time.
    return min(first, second, key=lambda run: (bool(run.disturbed), severity(run.disturbance)))


def repeats_after(disturbed: Sequence[bool]) -> int:
    """How often the next window deserves to be measured again, should it be disturbed.

    Not at all on a machine that has not been quiet for several windows on end: then repeats would
    only spend the time that the marked numbers need.
    """
    last = disturbed[-NEVER_QUIET:]
    return 0 if len(last) == NEVER_QUIET and all(last) else 1


def run_trial(
    bench: Measures,
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
    started_s = bench.now_s()
    best = _run_once(bench, config, traffic, window, judge)
    for _ in range(repeats):
        if not isinstance(best, Measured) or not best.disturbed:
            break
        again = _run_once(bench, config, traffic, window, judge)
        best = quieter(best, again) if isinstance(again, Measured) else again
    return best, bench.now_s() - started_s


def _run_once(
    bench: Measures, config: ServingConfig, traffic: Traffic, window: Window, judge: Judge
) -> TrialOutcome:
    uncounted_s = lead_in_s(window.seconds)
    arrivals_s = draw(traffic, window.seconds + uncounted_s, window.seed)
    outcome = bench.measure(trial_spec(config, arrivals_s.tolist(), judge.slo, window.seed), judge)
    if not isinstance(outcome, Measured) or outcome.diverged or arrivals_s[-1] < uncounted_s:
        return outcome  # What shows a queue growing is its growth, from the beginning.
    return outcome.counted(uncounted_s)


def trial_spec(
    config: ServingConfig, arrivals_s: list[float], slo: Slo, seed: tuple[int, ...]
) -> TrialSpec:
    """Return the trial that gives a request the time after which it is lost for certain."""
    grace_s = max(MIN_GRACE_S, GRACE_SLOS * slo.latency_ms / 1e3)
    return TrialSpec(
        config=config, arrivals_s=arrivals_s, grace_s=grace_s, order_seed=[*seed, ORDER]
    )
