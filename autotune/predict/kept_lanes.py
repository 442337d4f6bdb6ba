"""Simulation lanes to and from what a tuned file keeps of them."""

from collections.abc import Mapping, Sequence

import numpy as np

from autotune.outcome import Samples
from autotune.predict.queue_simulation import Lanes, table_sizes
from autotune.predict.service_law import ServiceLaw
from autotune.service import AloneTimes, ConfigTimes, ServiceModel
from autotune.spec import ServingConfig, SessionShape

JITTERS = 200
"""Quantiles that are kept of a distribution."""
DIGITS = 4
"""Significant ones, of all that is kept."""


def keep_lanes(
    configs: Sequence[ServingConfig],
    lanes: Lanes,
    law: ServiceLaw,
    default_threads: int,
    open_s: Mapping[SessionShape, float],
) -> ServiceModel:
    """Return what is kept of lanes, one a configuration.

    Args:
        configs: of the lanes.
        lanes: as they are predicted from.
        law: of the default's family.
        default_threads: that the runtime chooses by default.
        open_s: seconds to open sessions, as far as they were seen.

    Raises:
        ValueError: lanes without rests or jitter, which no search makes.
    """
    if lanes.rests_s is None or lanes.rests_as is None or lanes.calm_busy is None:
        raise ValueError("lanes lack what an execution costs after a rest")
    kinds, rests = np.unique(lanes.rests_as, return_inverse=True)
    times = [
        ConfigTimes(
            config=config,
            batch_s=_kept(lanes.alone_s[place]),
            crowding=_kept(lanes.crowding[place, 1 : config.replicas + 1]),
            calm_busy=int(lanes.calm_busy[place]),
            rests=int(rests[place]),
            open_s=open_s.get(config.session_shape),
        )
        for place, config in enumerate(configs)
    ]
    return ServiceModel(
        configs=times,
        alone=[] if configs[0].on_gpu else _alone(law, default_threads),
        jitter=_quantiles(law.jitter),
        crowded_jitter=_quantiles(law.crowded_jitter),
        rests_s=[[_kept(draws) for draws in lanes.rests_s[kind]] for kind in kinds],
        engine_batch_s=lanes.engine_batch_s,
        engine_request_s=lanes.engine_request_s,
        default_threads=default_threads,
    )


def lanes_of(model: ServiceModel, times: Sequence[ConfigTimes]) -> Lanes:
    """Return the lanes of configurations of a model, in order; a configuration may recur.

    With `model.jitter` as the jitter, `simulate` predicts from them as the search did.
    """
    configs = [one.config for one in times]
    most = max(config.replicas for config in configs)
    steps = max(len(one.batch_s) for one in times)
    return Lanes(
        replicas=np.array([config.replicas for config in configs]),
        max_batch=np.array([config.max_batch_size for config in configs]),
        timeout_s=np.array([config.batch_timeout_ms / 1000 for config in configs]),
        alone_s=np.array([_padded(one.batch_s, steps) for one in times]),
        crowding=np.array([_padded([1.0, *one.crowding], most + 1) for one in times]),
        engine_batch_s=model.engine_batch_s,
        engine_request_s=model.engine_request_s,
        calm_busy=np.array([one.calm_busy for one in times]),
        crowded_jitter=np.array(model.crowded_jitter),
        rests_s=np.array(model.rests_s),
        rests_as=np.array([one.rests for one in times]),
    )


def _alone(law: ServiceLaw, default_threads: int) -> list[AloneTimes]:
    sizes = table_sizes(max(int(known[-1]) for _, known, _ in law.growth))
    counts = sorted({*(2**step for step in range(law.cores.bit_length())), law.cores})
    found = []
    for threads in counts:
        config = ServingConfig(intra_op_threads=threads, spinning=False)
        batch_s = law.batch_s(config, default_threads, sizes)
        found.append(AloneTimes(threads=threads, batch_s=_kept(batch_s)))
    return found


def _quantiles(jitter: Samples) -> list[float]:
    at = (np.arange(JITTERS) + 0.5) / JITTERS
    return _kept(np.quantile(jitter, at, method="inverted_cdf"))


def _padded(values: Sequence[float], length: int) -> list[float]:
    return [*values[:length], *[values[-1]] * (length - len(values))]


def _kept(values: Samples) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]
