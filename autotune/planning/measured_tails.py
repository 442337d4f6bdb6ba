"""How measured latency compares with the simulated, by configuration.

A search kept what it measured: latencies at loads. The same configuration is simulated at the same
load under the same arrivals, and its latencies are scaled from then on by the typical ratio r of
n such pairs, of which

    r ** (n / (n + PRIOR))                                                                  (1)

is believed: a percentile of some hundred requests is about as uncertain as the simulation, so one
pair counts by half.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from autotune.arrivals import Traffic, draw
from autotune.config_file import TunedFile
from autotune.outcome import Samples
from autotune.patterns import Pattern, Poisson, parse_description
from autotune.planning.clustered import typical_stretch
from autotune.planning.queues import Queues, Streams, busiest_rps, simulate_queues, taken
from autotune.predict.queue_simulation import Indices
from autotune.records import Summary
from autotune.service import ServiceModel
from autotune.spec import ServingConfig

PRIOR = 1.0
NEAR_SATURATION = 0.95
"""Of a configuration's saturation: above it, how long a trial was decides how slow it was."""
REQUESTS = 3200
MOST_PAIRS = 24
"""Of a configuration, spread over those that there are."""
_SEED = 5


class Corrected(NamedTuple):
    """What measurements say of the lanes; arrays over them."""

    slower: Samples
    """By how much executions must be slower for queues to have grown where they did: 1 or more."""
    latency: Samples
    """Measured latency over simulated, as far as it is believed."""
    pairs: Indices
    """That this rests on; 0: nothing was measured that compares."""


class _Pair(NamedTuple):
    lane: int
    load_rps: float
    pattern: Pattern
    quantile: float
    measured_s: float


def corrected(files: Sequence[TunedFile], queues: Queues, begin: Indices) -> Corrected:
    """Compare what files measured with the simulation.

    Args:
        files: with a service model each.
        queues: a lane for each configuration of each file, one file's after the other's.
        begin: the first lane of each file, and where the last one's end.
    """
    slower, latency, counts = uncorrected(len(queues.replicas))
    limits_rps = busiest_rps(queues)
    pairs: list[_Pair] = []
    for file, first in zip(files, begin[:-1], strict=True):
        service = service_of(file)
        lanes = {one.config: int(first) + place for place, one in enumerate(service.configs)}
        for config, lane in lanes.items():
            diverged_rps = _diverged_rps(file, config)
            slower[lane] = max(1.0, limits_rps[lane] / diverged_rps)
        pairs += _pairs(file, lanes, limits_rps / slower)
    if pairs:
        log_ratios = _log_ratios(pairs, slowed(queues, slower))
        lane_of = np.array([pair.lane for pair in pairs])
        for one in sorted({pair.lane for pair in pairs}):
            own = log_ratios[lane_of == one]
            counts[one] = len(own)
            latency[one] = np.exp(np.median(own) * len(own) / (len(own) + PRIOR))
    return Corrected(slower, latency, counts)


def service_of(file: TunedFile) -> ServiceModel:
    """Return the service model of a file that has one.

    Raises:
        ValueError: it has none.
    """
    if file.service is None:
        raise ValueError("the file holds no service model")
    return file.service


def uncorrected(count: int) -> Corrected:
    """Return the same of so many lanes where nothing was measured."""
    return Corrected(np.ones(count), np.ones(count), np.zeros(count, dtype=np.int64))


def slowed(queues: Queues, slower: Samples) -> Queues:
    """Return lanes whose executions take so many times as long."""
    return queues._replace(alone_s=queues.alone_s * slower[:, None])


def _diverged_rps(file: TunedFile, config: ServingConfig) -> float:
    """The least load at which its queue grew without end, above all at which it did not."""
    stood, grew = 0.0, []
    for trial in file.trials:
        if trial.config != config or trial.measured is None:
            continue
        if not trial.measured.diverged:
            stood = max(stood, trial.load_rps)
        elif not trial.measured.disturbed:
            grew.append(trial.load_rps)
    return min((load_rps for load_rps in grew if load_rps > stood), default=np.inf)


def _pairs(file: TunedFile, lanes: Mapping[ServingConfig, int], limits_rps: Samples) -> list[_Pair]:
    """What was measured that can be compared; rounds that decided stand among the finalists."""
    pattern = parse_description(file.arrivals)
    if pattern is None:
        return []
    found: dict[int, list[_Pair]] = {}
    for config, load_rps, measured in _measurements(file):
        lane, value_ms = lanes.get(config), measured.objective.value_ms
        if lane is None or value_ms is None or measured.diverged:
            continue
        if load_rps <= NEAR_SATURATION * limits_rps[lane]:
            pair = _Pair(lane, load_rps, pattern, file.slo.quantile, value_ms / 1000)
            found.setdefault(lane, []).append(pair)
    kept = []
    for own in found.values():
        at = np.unique(np.linspace(0, len(own) - 1, min(len(own), MOST_PAIRS)).astype(int))
        kept += [own[place] for place in at]
    return kept


def _measurements(file: TunedFile) -> Iterator[tuple[ServingConfig, float, Summary]]:
    for finalist in file.finalists:
        yield finalist.config, finalist.load_rps, finalist.measured
    decided = {(one.config, one.load_rps) for one in file.finalists}
    for trial in file.trials:
        is_round = trial.phase == "confirm" and (trial.config, trial.load_rps) in decided
        if trial.measured is not None and not is_round:
            yield trial.config, trial.load_rps, trial.measured


def _log_ratios(pairs: Sequence[_Pair], queues: Queues) -> Samples:
    lane = np.array([pair.lane for pair in pairs])
    latency_s, begin = simulate_queues(taken(queues, lane), _streams(pairs), _SEED)
    ends = np.append(begin[1:], len(latency_s))
    return np.array(
        [
            np.log(pair.measured_s / np.quantile(latency_s[first:past], pair.quantile))
            for pair, first, past in zip(pairs, begin, ends, strict=True)
        ]
    )


def _streams(pairs: Sequence[_Pair]) -> Streams:
    """Arrivals as a search drew them: all Poisson ones are one stretch, the others drawn."""
    stretches, places, at = [], {}, 0
    for pair in pairs:
        is_poisson = isinstance(pair.pattern, Poisson)
        key = (0.0 if is_poisson else pair.load_rps, pair.pattern)
        if key in places:
            continue
        if is_poisson:
            times = typical_stretch(1.0, REQUESTS, _SEED)
        else:
            traffic = Traffic(load_rps=pair.load_rps, pattern=pair.pattern)
            times = draw(traffic, traffic.seconds_for(REQUESTS), (_SEED,))
        places[key] = (at, at + len(times))
        stretches += [times, np.array([np.inf])]
        at += len(times) + 1
    poisson = np.array([isinstance(pair.pattern, Poisson) for pair in pairs])
    loads_rps = np.array([pair.load_rps for pair in pairs])
    keys = zip(np.where(poisson, 0.0, loads_rps), (pair.pattern for pair in pairs), strict=True)
    ends = np.array([places[float(load_rps), pattern] for load_rps, pattern in keys])
    per_s = np.where(poisson, loads_rps, 1.0)
    return Streams(np.concatenate(stretches), ends[:, 0], ends[:, 1], per_s)
