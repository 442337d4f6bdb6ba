"""Made-up machine types, a function and bursty traces, to play scaling policies through."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from autotune.config_file import TunedFile
from autotune.outcome import Samples
from autotune.planning.arriving import Arriving
from autotune.planning.machines import MachineType
from autotune.planning.mixes import Mixes
from autotune.planning.prices import MachinePrice
from autotune.planning.served import Served
from autotune.planning.spill_over import SpillOver
from autotune.spec import Slo

Counts = npt.NDArray[np.int64]
DAY_S = 86_400.0


class Made(NamedTuple):
    """A made-up machine type."""

    name: str
    workers: int
    service_s: float
    per_hour: float
    start_s: float = 60.0
    billed_by_s: float = 1.0
    minimum_s: float = 60.0


MADE = (
    Made("small", 2, 0.012, 0.085),
    Made("large", 8, 0.012, 0.34),
    Made("fast", 4, 0.005, 0.60, start_s=90.0),
)
"""Prices of the size of public list prices for 2, 8 and 4 faster cores; 2026, on demand."""
FUNCTION = SpillOver(
    cost_per_request=1e-6,
    mean_batch=1.0,
    execution_s=0.014,
    tail_s=0.030,
    quantile=0.99,
    cold_start_s=2.0,
    keep_alive_s=600.0,
    most=None,
)
"""1769 MB for 14 ms at 0.0000166667 a GB-second, 0.20 a million calls, and a part of its waits."""


def made_served(made: Made, slo_s: float, dispersion: float) -> Served:
    """Return what a machine answers by the heavy-traffic approximation of a queue.

    An execution takes 80 % to 120 % of its mean. A wait exceeds x with probability
    rho^sqrt(2 (c + 1)) exp(-2 c (1 - rho) x / (s d)) (Sakasegawa 1977; Kingman 1962).
    """
    saturation_rps = made.workers / made.service_s
    rates_rps = saturation_rps * np.append(np.geomspace(0.01, 0.995, 27), 1.3)
    dispersions = np.unique(np.geomspace(1.0, max(dispersion, 1.0001), 4))
    latency_s = np.geomspace(made.service_s / 4, 40 * slo_s, 160)
    shares = np.array(
        [
            [_shares(made, min(rate / saturation_rps, 0.999), d, latency_s) for d in dispersions]
            for rate in rates_rps
        ]
    )
    shares[-1] *= 0.2
    within = np.array([[np.interp(slo_s, latency_s, row) for row in by_rate] for by_rate in shares])
    return Served(
        rates_rps=rates_rps,
        dispersions=dispersions,
        config_of=np.zeros(within.shape, dtype=np.int64),
        latency_s=latency_s,
        shares=shares,
        within=within,
        cpu_s=np.full(within.shape, made.service_s),
        saturation_rps=saturation_rps,
    )


def _shares(made: Made, rho: float, dispersion: float, latency_s: Samples) -> Samples:
    """Return the distribution of the sum of an execution and a wait."""
    delayed = rho ** math.sqrt(2 * (made.workers + 1))
    rate = 2 * made.workers * (1 - rho) / (made.service_s * dispersion)
    total = np.zeros(len(latency_s))
    executions_s = made.service_s * np.linspace(0.8, 1.2, 9)
    for execution_s in executions_s:
        left_s = latency_s - execution_s
        total += np.where(left_s < 0, 0.0, 1 - delayed * np.exp(-rate * np.maximum(left_s, 0.0)))
    return np.asarray(total / len(executions_s))


def made_type(made: Made, slo: Slo, dispersion: float, file: TunedFile) -> MachineType:
    """Return a made-up type; `file` stands for a tuned file, which scaling does not read."""
    slo_s = slo.latency_ms / 1000
    served = made_served(made, slo_s, dispersion)
    column = served.within[:, -1]
    capacity_rps = 0.0
    if column[0] >= slo.quantile:
        capacity_rps = float(np.interp(-slo.quantile, -column, served.rates_rps))
    price = MachinePrice(
        name=made.name,
        per_hour=made.per_hour,
        billed_by_s=made.billed_by_s,
        minimum_s=made.minimum_s,
        start_s=made.start_s,
    )
    return MachineType(made.name, price, file, served, capacity_rps, 1.0)


def made_mixes(types: list[MachineType], highest_rps: float, levels: int = 400) -> Mixes:
    """Return cheap machines by load: as many of the cheapest for their capacity as fit, and the
    cheapest single one for what is left."""
    rates = [one.price.per_hour / one.capacity_rps for one in types]
    best = int(np.argmin(rates))
    loads_rps = np.unique(np.geomspace(min(t.capacity_rps for t in types) / 4, highest_rps, levels))
    counts = np.zeros((len(loads_rps), len(types)), dtype=np.int64)
    for row, load_rps in enumerate(loads_rps):
        whole = int(load_rps // types[best].capacity_rps)
        left_rps = load_rps - whole * types[best].capacity_rps
        fits = [place for place, one in enumerate(types) if one.capacity_rps >= left_rps]
        counts[row, best] = whole
        if left_rps > 0:
            counts[row, min(fits, key=lambda place: types[place].price.per_hour)] += 1
    per_s = counts @ np.array([one.price.per_hour for one in types]) / 3600
    return Mixes(loads_rps, counts, np.maximum.accumulate(per_s))


def arriving(counts: Counts, bin_s: float, dispersion: float, source: str) -> Arriving:
    """Return counts as a trace."""
    return Arriving(bin_s, counts, dispersion, (), None, source, ())


def clustered_counts(
    rates_rps: Samples, bin_s: float, dispersion: float, rng: np.random.Generator
) -> Counts:
    """Return counts by bin whose variance is `dispersion` times their mean: negative binomial."""
    means = rates_rps * bin_s
    if dispersion <= 1:
        return rng.poisson(means)
    shape = means / (dispersion - 1)
    return rng.poisson(rng.gamma(np.maximum(shape, 1e-12), dispersion - 1))


def diurnal(seconds: float, bin_s: float, depth: float) -> Samples:
    """Return a daily wave around 1, lowest at midnight."""
    at_s = np.arange(round(seconds / bin_s)) * bin_s
    return np.asarray(1 - depth * np.cos(2 * np.pi * at_s / DAY_S))


def phases(
    seconds: float, bin_s: float, mean_s: tuple[float, float], rng: np.random.Generator
) -> Samples:
    """Return 0 and 1 by bin, whose stretches are exponential with these means."""
    bins = round(seconds / bin_s)
    pairs = round(2 * seconds / sum(mean_s)) + 20
    lasts = rng.exponential(np.tile(mean_s, pairs)) / bin_s
    values = np.tile([0.0, 1.0], pairs)
    return np.repeat(values, np.maximum(1, np.rint(lasts)).astype(np.int64))[:bins]


def crowds(seconds: float, bin_s: float, per_day: float, rng: np.random.Generator) -> Samples:
    """Return flash crowds by bin: within seconds to a heavy-tailed height, gone in minutes."""
    bins = round(seconds / bin_s)
    load = np.zeros(bins)
    for begin in rng.integers(0, bins, size=rng.poisson(per_day * seconds / DAY_S)):
        height, fade_s = 1 + rng.pareto(2.0), rng.uniform(60.0, 300.0)
        after_s = np.arange(min(bins - begin, round(8 * fade_s / bin_s))) * bin_s
        load[begin : begin + len(after_s)] += (
            height * np.exp(-after_s / fade_s) * np.minimum(1.0, after_s / 10.0)
        )
    return load
