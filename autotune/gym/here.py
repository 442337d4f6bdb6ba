"""This machine as ground: every step is a measurement, as a search makes them."""

import numpy as np
from gymnasium import logger

from autotune.arrivals import Traffic
from autotune.gym.ground import Ground, Reading
from autotune.probes.alone import measuring_alone
from autotune.records import Failed
from autotune.space.lattice import placed
from autotune.spec import ModelSpec, Slo
from autotune.stages.drive import Window, run_trial, search_window_s
from autotune.stages.question import DEFAULT_BUDGET_S, Question
from autotune.stages.survey import look_around
from autotune.stats.judge import Judge
from autotune.stats.percentiles import percentile
from autotune.trial.bench import Bench

_SEEDS = 2**31
"""Of arrivals."""


def here(model: ModelSpec, slo: Slo, loads_rps: tuple[float, ...]) -> Ground:
    """Return this machine; the model is loaded once, and processes measure until it is closed.

    A measurement waits while another autotune measures on this machine, and says so.

    Raises:
        ModelError, UsageError: the model, or what is known of its requests, cannot be used.
    """
    traffics = [Traffic(load_rps=load_rps) for load_rps in loads_rps]
    question = Question(
        model=model,
        name=model.path,
        slo=slo,
        traffics=traffics,
        budget_s=None,
        max_trials=None,
        seed=model.seed,
        output=None,
    )
    bench = Bench(model)
    try:
        with measuring_alone(_waiting):
            site = look_around(question, bench, lambda event: None)
    except BaseException:
        bench.close()
        raise
    configs = site.lattice.configs
    coordinates, axes = placed(configs, site.info.default_threads)

    def measure(rng: np.random.Generator, load: int, point: int) -> Reading:
        traffic = traffics[load]
        judge = Judge(slo, traffic.mean_rps, stop_when=frozenset({"diverged"}))
        window = Window(search_window_s(traffic, DEFAULT_BUDGET_S), (int(rng.integers(_SEEDS)),))
        with measuring_alone(_waiting):
            outcome, _ = run_trial(bench, configs[point], traffic, window, judge)
        if isinstance(outcome, Failed):
            return Reading(None, f"{outcome.kind}: {outcome.detail}")
        return Reading(percentile(outcome.latency_s, outcome.lost, slo.quantile))

    return Ground(
        name=f"{model.path} here",
        configs=configs,
        coordinates=coordinates,
        axes=axes,
        slo=slo,
        loads_rps=loads_rps,
        sustainable_rps=None,
        measure=measure,
        close=bench.close,
    )


def _waiting(pid: int) -> None:
    logger.warn(f"waiting for process {pid}, which measures on this machine")
