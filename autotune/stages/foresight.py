"""How far off the prediction was, held against what was measured."""

import math
from collections.abc import Sequence
from itertools import takewhile

import numpy as np

from autotune.config_file import PolicyEntry, Trial
from autotune.search_info import PredictionError
from autotune.stages.context import Context
from autotune.stages.survey import Ground


def prediction_error(
    context: Context, ground: Ground, entries: Sequence[PolicyEntry]
) -> PredictionError | None:
    """Return the median factors by which predictions missed; None where nothing was measured.

    Only the first measurement of each pair counts, and none whose percentile was lost.
    """
    first: dict[tuple[float, int], Trial] = {}
    number = {config: point for point, config in enumerate(ground.lattice.configs)}
    for trial in context.journal.trials:
        if trial.measured is not None and trial.measured.objective.value_ms is not None:
            first.setdefault((trial.load_rps, number[trial.config]), trial)
    if not first:
        return None
    loads_rps = [traffic.load_rps for traffic in ground.traffics]
    initial, late, median = [], [], []
    for (load_rps, point), trial in first.items():
        measured, load = trial.measured, loads_rps.index(load_rps)
        assert measured is not None
        late.append((measured.objective.value_ms, trial.predicted_ms))
        initial.append((measured.objective.value_ms, 1e3 * ground.profiled_s[load, point]))
        median.append((measured.p50.value_ms, 1e3 * ground.profiled_p50_s[load, point]))
    met = list(takewhile(lambda entry: entry.meets_slo, entries))
    missed = entries[len(met)].load_rps if len(met) < len(entries) else None
    return PredictionError(
        objective=_median_factor(late),
        p50=_median_factor(median),
        profile_only=_median_factor(initial),
        predicted_capacity_rps=ground.sustainable_rps,
        capacity_met_rps=met[-1].load_rps if met else None,
        capacity_missed_rps=missed,
    )


def _median_factor(pairs: Sequence[tuple[float | None, float]]) -> float:
    logs = [abs(math.log(measured / predicted)) for measured, predicted in pairs if measured]
    return math.exp(float(np.median(logs))) if logs else 1.0
