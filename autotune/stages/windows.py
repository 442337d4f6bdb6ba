"""A window of a search, as both of its phases measure them."""

from autotune.arrivals import Traffic
from autotune.config_file import Phase
from autotune.outcome import Measured, TrialOutcome
from autotune.spec import ServingConfig
from autotune.stages.context import Context
from autotune.stages.drive import Window, run_trial
from autotune.stages.progress import doing
from autotune.stats.judge import Judge


def run_window(
    context: Context,
    phase: Phase,
    config: ServingConfig,
    traffic: Traffic,
    window: Window,
    judge: Judge,
) -> tuple[TrialOutcome, float]:
    """Measure as `run_trial` does, saying so before, and note what opening the sessions took."""
    bench, repeats = context.bench, context.journal.repeats()
    context.observe(doing(phase, traffic, config, window))
    before_s = bench.opening_s
    outcome, seconds = run_trial(bench, config, traffic, window, judge, repeats)
    if isinstance(outcome, Measured):
        context.journal.opened(config.session_shape, bench.opening_s - before_s)
    return outcome, seconds
