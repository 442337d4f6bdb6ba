"""What a search found out about executions, as the file keeps it for plans."""

from collections.abc import Sequence

import numpy as np

from autotune.config_file import PolicyEntry
from autotune.predict.kept_lanes import keep_lanes
from autotune.service import ServiceModel
from autotune.stages.context import Context
from autotune.stages.survey import Ground


def service_of(context: Context, ground: Ground, entries: Sequence[PolicyEntry]) -> ServiceModel:
    """Return what `autotune plan` simulates from: the policy's configurations and the default."""
    configs = ground.lattice.configs
    kept = list(dict.fromkeys([*(entry.config for entry in entries), configs[0]]))
    points = np.array([configs.index(config) for config in kept])
    predictor = ground.predictor
    return keep_lanes(
        kept,
        predictor.corrected(points),
        predictor.law,
        ground.info.default_threads,
        context.journal.open_s(),
    )
