"""What a search keeps for others to learn from."""

import math
from collections.abc import Sequence

import numpy as np

from autotune.lesson import Lesson, SeenLatency, SeenTimes
from autotune.predict.predictor import Predictor
from autotune.spec import ServingConfig
from autotune.stages.context import Context
from autotune.stages.goal import MIN_NOISE, standard_error
from autotune.stages.survey import Ground


def lesson_of(context: Context, ground: Ground) -> Lesson | None:
    """Return what a search has to teach; None: it was not to learn, so the machine is not known."""
    if context.past.machine is None:
        return None
    law = ground.predictor.law
    return Lesson(
        model=ground.info.traits,
        machine=context.past.machine,
        cores=law.cores,
        default_threads=ground.info.default_threads,
        slo=context.question.slo,
        base_s=law.base_s,
        sustainable_rps=ground.sustainable_rps,
        times=seen_times(ground.predictor, ground.lattice.configs),
        latencies=seen_latencies(context, ground),
    )


def seen_latencies(context: Context, ground: Ground) -> list[SeenLatency]:
    """Return the measurements of each configuration at each load as one, lost ones left out."""
    found: dict[tuple[float, ServingConfig], list[tuple[float, float]]] = {}
    for trial in context.journal.trials:
        measured = trial.measured
        if measured is None or measured.diverged or measured.objective.value_ms is None:
            continue
        noise = max(MIN_NOISE, standard_error(measured.objective))
        known = found.setdefault((trial.load_rps, trial.config), [])
        known.append((math.log(measured.objective.value_ms), noise))
    loads = {traffic.load_rps: load for load, traffic in enumerate(ground.traffics)}
    return [
        SeenLatency(
            load_rps=load_rps,
            config=config,
            predicted_ms=ground.predicted_ms(loads[load_rps], config),
            measured_ms=math.exp(float(np.mean([value for value, _ in seen]))),
            noise=float(np.mean([noise for _, noise in seen])) / math.sqrt(len(seen)),
        )
        for (load_rps, config), seen in found.items()
    ]


def seen_times(predictor: Predictor, configs: Sequence[ServingConfig]) -> list[SeenTimes]:
    """Return the service times that a predictor learnt from."""
    shapes = list(dict.fromkeys(config.session_shape for config in configs))
    return [
        SeenTimes(
            shape=shapes[session],
            batch_size=state.batch_size,
            busy=state.busy,
            seconds=state.median_s,
            law_s=law_s,
            executions=state.executions,
        )
        for session, state, law_s in predictor.seen()
    ]
