"""Predicted latency of every configuration at every load, and what the machine can sustain."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from autotune.outcome import ModelInfo, Samples
from autotune.predict.queue_simulation import Lanes, batch_seconds, simulate, table_sizes
from autotune.predict.service_law import ServiceLaw
from autotune.spec import Family, ServingConfig

Laws = Mapping[Family, ServiceLaw]
"""By family of sessions."""
NO_OTHERS: Laws = {}
QUANTILES = (0.50, 0.95, 0.99)
SPIN_S = 0.03
"""For which a thread without work spins. ONNX Runtime counts turns, not time: with magika, two
threads on two cores, the default took 37, 20 and 13 ms of CPU time a request at 15, 60 and 120
requests/s, of which 9 executed; this makes it 33, 20 and 13."""
CAPACITY_STEPS = 7
"""Bisection steps between nothing and saturation: within 1 % of it."""
CAPACITY_REQUESTS = 1500


class Forecast(NamedTuple):
    """Predicted latency at one load; arrays over the points of the lattice, in seconds."""

    quantiles_s: Samples
    """Shape (points, len(QUANTILES))."""
    objective_s: Samples
    """At the SLO's quantile."""


def make_lanes(
    law: ServiceLaw, configs: Sequence[ServingConfig], info: ModelInfo, others: Laws = NO_OTHERS
) -> Lanes:
    """Translate configurations into simulation lanes.

    Args:
        law: of the default's family, and of all that have no other.
        configs: to translate.
        info: of the model.
        others: laws of further families.
    """
    most = max(config.replicas for config in configs)
    sizes = table_sizes(max(config.max_batch_size for config in configs))
    laws = [law, *others.values()]
    number = {family: place for place, family in enumerate(others, 1)}
    of = [number.get(config.family, 0) for config in configs]
    # To a GPU, the host's threads are none of its own.
    threads = [1 if config.on_gpu else info.default_threads for config in configs]
    lanes = list(zip([laws[place] for place in of], configs, threads, strict=True))
    return Lanes(
        replicas=np.array([config.replicas for config in configs]),
        max_batch=np.array([config.max_batch_size for config in configs]),
        timeout_s=np.array([config.batch_timeout_ms / 1000 for config in configs]),
        alone_s=np.stack([one.batch_s(own, count, sizes) for one, own, count in lanes]),
        crowding=np.stack([one.crowding(own, count, most) for one, own, count in lanes]),
        engine_batch_s=info.engine_batch_s,
        engine_request_s=info.engine_request_s,
        calm_busy=np.array([one.calm_busy(own, count) for one, own, count in lanes]),
        crowded_jitter=law.crowded_jitter,
        rests_s=np.concatenate([own.rests_s for own in laws]),
        rests_as=len(law.rests_s) * np.array(of) + [one.rests_as(own) for one, own, _ in lanes],
    )


def forecast(arrivals_s: Samples, lanes: Lanes, law: ServiceLaw, quantile: float) -> Forecast:
    """Predict the latency of every lane under these arrivals."""
    latency_s = simulate(arrivals_s, lanes, law.jitter, seed=0)
    wanted = (*QUANTILES, quantile)
    found = np.quantile(latency_s, wanted, axis=1, method="inverted_cdf").T
    return Forecast(quantiles_s=found[:, :-1], objective_s=found[:, -1])


def cpu_s(lanes: Lanes, threads: Samples, spin: Samples, loads_rps: Sequence[float]) -> Samples:
    """Return CPU seconds per request, roughly, shape (loads, lanes).

    Every thread of a replica is taken to work while it executes, in batches of what arrives while
    the first request waits for company. Threads that spin, all but the first, go on for `SPIN_S` or
    until the replica's next batch, which comes after an exponential time.

    Args:
        lanes: the configurations.
        threads: of each replica, shape (lanes,).
        spin: whether they do, shape (lanes,).
        loads_rps: at which.
    """
    rates_rps = np.array(loads_rps)[:, None]
    batch = np.minimum(lanes.max_batch, 1 + rates_rps * lanes.timeout_s)
    alone_s = batch_seconds(lanes.alone_s, np.arange(len(lanes.replicas)), batch)
    idle_s = np.maximum(lanes.replicas * batch / rates_rps - alone_s, 1e-9)
    spun_s = -idle_s * np.expm1(-SPIN_S / idle_s)
    return np.asarray((alone_s * threads + spun_s * spin * (threads - 1)) / batch)


def saturation_rps(lanes: Lanes) -> Samples:
    """Return the requests/s that each lane serves when it is never idle: full batches, all busy."""
    index = np.arange(len(lanes.replicas))
    batch_s = batch_seconds(lanes.alone_s, index, lanes.max_batch)
    batch_s = batch_s * lanes.crowding[index, lanes.replicas]
    batch_s += lanes.replicas * (lanes.engine_batch_s + lanes.engine_request_s * lanes.max_batch)
    return np.asarray(lanes.replicas * lanes.max_batch / batch_s)


def sustainable_rps(
    lanes: Lanes,
    law: ServiceLaw,
    slo_s: float,
    quantile: float,
    arrivals_at: Callable[[float], Samples] | None = None,
) -> float:
    """Return the highest load that some lane is predicted to serve within the SLO.

    Found by bisection up to the highest saturation. 0 where not even a nearly idle machine meets
    the SLO.

    Args:
        lanes: the configurations.
        law: their service times.
        slo_s: latency allowed.
        quantile: at which.
        arrivals_at: the arrivals at a load in requests/s, ascending seconds; None: Poisson, one
            schedule stretched to each load.
    """
    schedule = np.cumsum(np.random.default_rng(1).exponential(1.0, CAPACITY_REQUESTS))

    def is_met(load_rps: float) -> bool:
        arrivals_s = arrivals_at(load_rps) if arrivals_at else schedule / load_rps
        predicted = forecast(arrivals_s, lanes, law, quantile)
        return bool(predicted.objective_s.min() <= slo_s)

    high = float(saturation_rps(lanes).max())
    low = high / 1000
    if not is_met(low):
        return 0.0
    for _ in range(CAPACITY_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_met(middle) else (low, middle)
    return low
