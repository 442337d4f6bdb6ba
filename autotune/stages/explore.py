"""Explore: measure what can still change the answer, until settled or out of time."""

import math

import numpy as np

from autotune.arrivals import Traffic
from autotune.config_file import StopReason
from autotune.outcome import Failed, Samples
from autotune.stages.context import Context
from autotune.stages.drive import Window, run_trial
from autotune.stages.events import Started, Tried
from autotune.stages.survey import Ground
from autotune.stats.judge import Decision, Judge
from autotune.stats.summary import Percentile, Summary
from autotune.strategy.protocol import Observation, Strategy

SEARCH_REQUESTS = 150
MIN_WINDOW_S = 1.0
MAX_WINDOW_SHARE = 0.05
"""One search measurement takes at most this share of the whole budget."""
SEARCH_SHARE = 0.40
"""The search may spend this share of the budget; the rest confirms what it found."""
STOP_WHEN: frozenset[Decision] = frozenset({"failed", "diverged"})
"""A hopeless configuration is not measured further; a good one is, for its latency ranks it."""
MOST_TRIALS = 10_000
CHILD_START_S = 0.4
"""About what starting a process and importing the runtime takes."""
LOST_NOISE = 0.3
"""Standard error (log) granted to a percentile of which only a bound is known."""
MIN_NOISE = 0.05
"""Repeats of one measurement differ by at least this much (log), however narrow the interval."""


def explore(context: Context, ground: Ground, strategy: Strategy) -> StopReason:
    """Measure pairs as the strategy asks. Return why it stopped."""
    question, deadline = context.question, context.deadline
    context.observe(Started(step="searching"))
    search_end_s = SEARCH_SHARE * deadline.budget_s
    windows_s = [_window_s(traffic, deadline.budget_s) for traffic in ground.traffics]
    for count in range(question.max_trials or MOST_TRIALS):
        pair = strategy.ask(_costs(context, ground, windows_s))
        if pair is None:
            return "settled"
        if count and deadline.spent_s + windows_s[pair.load] > search_end_s:
            return "budget"
        traffic, config = ground.traffics[pair.load], ground.lattice.configs[pair.point]
        window = Window(windows_s[pair.load], (question.seed, 1, pair.load))
        judge = Judge(question.slo, traffic.mean_rps, stop_when=STOP_WHEN)
        repeats = context.journal.repeats()
        timed = run_trial(context.bench, config, traffic, window, judge, repeats)
        predicted_s = float(ground.predicted_s[pair.load, pair.point])
        result = context.journal.add("search", traffic, config, predicted_s * 1e3, timed)
        strategy.tell(pair, observed(result, predicted_s))
        best = strategy.best(pair.load)
        context.observe(
            Tried(
                phase="search",
                load_rps=traffic.load_rps,
                config=config,
                predicted_ms=predicted_s * 1e3,
                result=result,
                best=ground.lattice.configs[best[0]] if best else None,
                ends_in_s=deadline.left_s,
            )
        )
    return "trials"


def observed(result: Summary | Failed, predicted_s: float) -> Observation:
    """Turn a measurement into what the strategy learns: a log ratio and its standard error.

    A percentile that lost requests is only known to be at least what was seen: where that is no
    more than predicted, it confirms the prediction rather than contradicting it.
    """
    if isinstance(result, Failed):
        return Observation(log_ratio=None, noise=MIN_NOISE)
    objective = result.objective
    if objective.value_ms is None:
        seen_s = max(predicted_s, result.largest_ms / 1e3)
        return Observation(math.log(seen_s / predicted_s), LOST_NOISE)
    ratio = math.log(objective.value_ms / 1e3 / predicted_s)
    return Observation(ratio, max(MIN_NOISE, _standard_error(objective)))


def _standard_error(objective: Percentile) -> float:
    """Standard error of the log of a percentile, from its 95 % interval or the known half."""
    value, low, high = objective.value_ms, objective.low_ms, objective.high_ms
    if value is None or low is None:
        return LOST_NOISE
    if high is None:
        return math.log(value / low) / 1.96
    return math.log(high / low) / (2 * 1.96)


def _window_s(traffic: Traffic, budget_s: float) -> float:
    longest_s = max(MIN_WINDOW_S, MAX_WINDOW_SHARE * budget_s)
    return min(longest_s, max(MIN_WINDOW_S, traffic.seconds_for(SEARCH_REQUESTS)))


def _costs(context: Context, ground: Ground, windows_s: list[float]) -> Samples:
    """Seconds to measure each pair now: its window, and loading where no session stands."""
    loading_s = np.array(
        [
            0.0
            if context.bench.is_warm(config.session_shape)
            else CHILD_START_S + config.replicas * ground.info.load_s
            for config in ground.lattice.configs
        ]
    )
    return np.asarray(np.array(windows_s)[:, None] + loading_s[None, :])
