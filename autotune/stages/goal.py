"""What the search is to make small, and what must be kept: objectives, as a strategy sees them.

latency    the percentile that the SLO names, at each load
capacity   the same, at loads close together around what is predicted to be sustained
cpu        CPU time per request, the SLO being kept
cores      cores that replicas x threads may use at once, the SLO being kept
energy     joules per request, its share of the idle power included, the SLO being kept
"""

import math

import numpy as np

from autotune.learn.teaching import taught_latency
from autotune.outcome import Samples
from autotune.predict.forecast import cpu_s
from autotune.predict.service_law import spins
from autotune.records import Failed, Percentile, Summary
from autotune.spec import ServingConfig
from autotune.stages.energy import LEAST_JOULES
from autotune.stages.question import Question
from autotune.stages.survey import Ground
from autotune.strategy.plugged import Plugged
from autotune.strategy.plugins import BUILT_IN, find
from autotune.strategy.protocol import (
    Observation,
    Pair,
    Prediction,
    Search,
    SearchSettings,
    Setting,
    over_limit,
)
from autotune.strategy.rrl import Rrl

LOST_NOISE = 0.3
"""Standard error (log) granted to a percentile of which only a bound is known."""
MIN_NOISE = 0.05
"""Repeats of one measurement differ by at least this much (log), however narrow the interval."""
CPU_DOUBT = 0.5
"""Standard deviation (log) of a predicted CPU time: batching is hard to foresee."""
LEAST_DOUBT = 0.02
"""Of energy, where all but nothing of it is CPU time."""
UNPARKED = 0.01
"""What a doubling of replicas must save in energy (log); less than is worth measuring."""
CORES_DOUBT = 0.01
"""Cores are counted, not measured."""


def start(question: Question, ground: Ground) -> Search:
    """Return a search for the question's objective that goes by the prediction.

    Raises:
        UsageError: it is another package's, and cannot be made.
    """
    loads = np.log2([traffic.load_rps for traffic in ground.traffics])
    settings = SearchSettings(max_risk=question.max_risk, seed=question.seed)
    value, excess = expected(question, ground)
    setting = Setting(ground.lattice.coordinates, loads, value, excess, settings)
    if question.strategy == BUILT_IN:
        return Rrl(*setting)
    return Plugged(find(question.strategy), setting)


def expected(question: Question, ground: Ground) -> tuple[Prediction, Prediction | None]:
    """Return what is predicted of the objective and, where the SLO must be kept, of its excess."""
    predictor = ground.predictor
    latency = Prediction(np.log(predictor.predicted_s), predictor.doubt, taught(ground))
    if not must_keep_slo(question):
        return latency, None
    excess = over_limit(latency, question.slo.latency_ms / 1e3)
    if question.objective == "cpu":
        return Prediction(np.log(_cpu_s(ground)), CPU_DOUBT), excess
    if question.objective == "energy":
        return _joules(ground), excess
    if question.objective == "cores":
        row = [math.log(cores_of(config, ground)) for config in ground.lattice.configs]
        shape = predictor.predicted_s.shape
        return Prediction(np.broadcast_to(row, shape), CORES_DOUBT), excess
    return latency, excess


def taught(ground: Ground) -> Prediction | None:
    """Return what latency is expected to be by what other searches teach; None: they do not."""
    experience = ground.pupil.experience
    if experience is None:
        return None
    loads_rps, predictor = [one.load_rps for one in ground.traffics], ground.predictor
    predicted_s, doubt = predictor.predicted_s, predictor.service_doubt
    configs = ground.lattice.configs
    return taught_latency(experience, loads_rps, configs, predicted_s, doubt)


def must_keep_slo(question: Question) -> bool:
    """Whether a configuration that misses the SLO is none at all."""
    return question.objective != "latency" or question.max_risk is not None


def observed(
    question: Question, ground: Ground, pair: Pair, result: Summary | Failed
) -> Observation:
    """Turn a measurement into what the strategy learns: logarithms and their standard errors.

    A percentile that lost requests is only known to be at least what was seen: where that is no
    more than predicted, it confirms the prediction rather than contradicting it.
    """
    if isinstance(result, Failed):
        return Observation(None)
    objective, noise = result.objective, LOST_NOISE
    if objective.value_ms is None:
        predicted_s = float(ground.predicted_s[pair.load, pair.point])
        latency_s = max(predicted_s, result.largest_ms / 1e3)
    else:
        latency_s = objective.value_ms / 1e3
        noise = max(MIN_NOISE, standard_error(objective))
    if not must_keep_slo(question):
        return Observation(math.log(latency_s), noise)
    excess = math.log(latency_s * 1e3 / question.slo.latency_ms)
    value, value_noise = math.log(latency_s), noise
    if question.objective == "cpu":
        value, value_noise = math.log(max(1e-9, result.cpu_s_per_request)), MIN_NOISE
    if question.objective == "energy":
        joules = joules_of(ground, pair.load, result)
        value = math.log(max(LEAST_JOULES, joules)) + _unparked(ground.lattice.configs[pair.point])
        value_noise = MIN_NOISE
    if question.objective == "cores":
        config = ground.lattice.configs[pair.point]
        value, value_noise = math.log(cores_of(config, ground)), CORES_DOUBT
    return Observation(value, value_noise, excess, noise)


def cores_of(config: ServingConfig, ground: Ground) -> int:
    """Return how many cores a configuration may use at once."""
    threads = config.session_shape.threads(ground.info.default_threads)
    return min(ground.cores, config.replicas * threads)


def joules_of(ground: Ground, load: int, seen: Summary) -> float:
    """Return joules per request as measured at a load, or by the model."""
    rps = ground.traffics[load].mean_rps
    return ground.power.joules_per_request(rps, seen.cpu_s_per_request, seen.joules_per_request)


def _joules(ground: Ground) -> Prediction:
    """Return the energy by the model: it is as doubtful as the CPU time that is part of it."""
    rates_rps = np.array([traffic.mean_rps for traffic in ground.traffics])
    busy_j = ground.power.busy_core_watts * _cpu_s(ground)
    total_j = np.maximum(LEAST_JOULES, ground.power.idle_watts / rates_rps[:, None] + busy_j)
    doubt = np.maximum(LEAST_DOUBT, CPU_DOUBT * busy_j / total_j)
    unparked = np.array([_unparked(config) for config in ground.lattice.configs])
    return Prediction(np.log(total_j) + unparked, doubt)


def _unparked(config: ServingConfig) -> float:
    """Of equals, fewer replicas: one that sleeps takes no power that anything here shows."""
    return UNPARKED * math.log2(config.replicas)


def _cpu_s(ground: Ground) -> Samples:
    configs = ground.lattice.configs
    threads = np.array([_busy_threads(config, ground) for config in configs])
    spin = np.array([spins(config.session_shape) for config in configs])
    loads_rps = [traffic.load_rps for traffic in ground.traffics]
    return cpu_s(ground.predictor.lanes, threads, spin, loads_rps)


def _busy_threads(config: ServingConfig, ground: Ground) -> int:
    """Return how many cores one replica alone keeps busy while it executes."""
    if config.on_gpu:
        return 1
    return min(ground.cores, config.session_shape.threads(ground.info.default_threads))


def standard_error(objective: Percentile) -> float:
    """Standard error of the log of a percentile, from its 95 % interval or the known half."""
    value, low, high = objective.value_ms, objective.low_ms, objective.high_ms
    if value is None or low is None:
        return LOST_NOISE
    if high is None:
        return math.log(value / low) / 1.96
    return math.log(high / low) / (2 * 1.96)
