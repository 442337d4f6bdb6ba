"""The cheapest way to serve on a function platform: how much memory, how large batches, how long
they wait.

The question of BATCH (Ali, Pinciroli, Yan and Smirni, SC'20): of all memory sizes, batch sizes and
timeouts, the one of least cost whose latency at the SLO's percentile is within it. An instance has
memory / `mib_per_core` cores. Below one core executions take 1 / cores as long as with one; above,
as long as with that many whole threads, log-log between those known, and with more no shorter than
with the most known. A call carries one batch and costs, by its requests,

    (per_request + GiB x E[seconds, rounded up] x per_gb_s) / mean batch                  (1)

All are judged by analysis (`planning.forming`), then the cheapest are simulated, and the cheapest
that holds in both is chosen. Cold starts and what an execution costs after a rest are left out.
"""

import math
from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import numpy as np
from msgspec import structs

from autotune.errors import UsageError
from autotune.outcome import Samples
from autotune.planning.batching import tail_of
from autotune.planning.forming import Formed, form
from autotune.planning.mmpp import Mmpp, draw_mmpp
from autotune.planning.prices import FunctionPrice
from autotune.planning.records import FunctionPlanned
from autotune.predict.queue_simulation import Lanes, batch_seconds, simulate
from autotune.service import ServiceModel
from autotune.spec import Slo

LARGEST_BATCH = 64
WAITS = (0.0, 1 / 32, 1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8)
"""Timeouts that are tried, in runs of the SLO's latency."""
FINALISTS = 4
"""That are simulated at a time."""
ROUNDS = 4
"""Of finalists."""
REQUESTS = 20_000
"""That are simulated."""
CYCLES = 20
"""Of both phases, in these."""
SLOS_A_PHASE = 30.0
"""Latencies of the SLO that a phase lasts at least, where it is shortened."""
RATIOS = 200
"""Quantiles of the jitter that tails are mixed of."""
MOST_INSTANCES = 512
"""In a simulation."""
MIB_PER_GIB = 1024


class Choice(NamedTuple):
    """What is cheapest, and what to say where there is nothing."""

    best: FunctionPlanned | None
    """None: nothing meets the SLO."""
    nearest: FunctionPlanned
    """The best, or else what comes nearest to the SLO."""


class Candidate(NamedTuple):
    """One way to serve, by analysis."""

    memory_mib: int
    max_batch: int
    timeout_s: float
    within: float
    """Share of the requests within the SLO."""
    cost: float
    """Of a request, by equation (1)."""
    formed: Formed
    batch_s: Samples
    """Of 1, 2, ... `max_batch` requests, the median execution."""


def best_function(
    price: FunctionPrice, model: ServiceModel, arrivals: Mmpp, slo: Slo, seed: int
) -> Choice:
    """Return the cheapest way to serve on a platform, or what comes nearest.

    Args:
        price: of the platform.
        model: how long executions take on cores like its own.
        arrivals: all that it gets.
        slo: that has to be met.
        seed: of the simulation.

    Raises:
        UsageError: it is not known how long executions take on a CPU.
    """
    found = candidates(price, model, arrivals, slo)
    good = sorted(
        (one for one in found if one.within >= slo.quantile),
        key=lambda one: (one.cost, -one.within),
    )
    for begin in range(0, min(len(good), FINALISTS * ROUNDS), FINALISTS):
        some = good[begin : begin + FINALISTS]
        tails_s = simulated(some, price, model, arrivals, slo, seed)
        for one, simulated_s in zip(some, tails_s, strict=True):
            if simulated_s <= slo.latency_ms / 1000:
                best = _planned(one, price, model, arrivals, slo, simulated_s)
                return Choice(best, best)
    nearest = max(found, key=lambda one: (one.within, -one.batch_s[-1], -one.timeout_s))
    (simulated_s,) = simulated([nearest], price, model, arrivals, slo, seed)
    return Choice(None, _planned(nearest, price, model, arrivals, slo, simulated_s))


def candidates(
    price: FunctionPrice, model: ServiceModel, arrivals: Mmpp, slo: Slo
) -> list[Candidate]:
    """Return all ways to serve that are tried, judged by analysis; arguments as above."""
    if not model.alone:
        raise UsageError(
            f"functions.{price.name}: runs on a CPU, and the machine type that it is like "
            "executes on a GPU: name another with like"
        )
    slo_s, jitter = slo.latency_ms / 1000, np.sort(model.jitter)
    largest = min(LARGEST_BATCH, 2 ** (min(len(one.batch_s) for one in model.alone) - 1))
    powers = [2**step for step in range(largest.bit_length())]
    tables = {mib: function_seconds(model, mib / price.mib_per_core) for mib in price.memory_mib}
    found = []
    for wait in WAITS:
        formed = dict(zip(powers, form(arrivals, powers, wait * slo_s), strict=True))
        for (mib, table_s), size in product(tables.items(), powers):
            batch_s = table_s[:size]
            one_is_enough = wait > 0 and size == 1
            if one_is_enough or (size > 1 and batch_s[-1] * jitter[0] > slo_s):
                continue
            billed_s = _billed_s(batch_s, jitter, price.billed_by_s)
            gib_s = mib / MIB_PER_GIB * float(formed[size].size_share @ billed_s)
            cost = (price.per_request + gib_s * price.per_gb_s) / formed[size].mean_batch
            within = _share_within(formed[size], batch_s, jitter, slo_s)
            timeout_s = wait * slo_s
            found.append(Candidate(mib, size, timeout_s, within, cost, formed[size], batch_s))
    return found


def function_seconds(model: ServiceModel, cores: float) -> Samples:
    """Return the median seconds of 1, 2, ... `LARGEST_BATCH` requests on so many cores."""
    threads = np.log2([one.threads for one in model.alone])
    steps = min(len(one.batch_s) for one in model.alone)
    known_s = np.array([one.batch_s[:steps] for one in model.alone])
    at = math.log2(max(1, math.floor(cores)))
    log_s = [np.interp(at, threads, np.log(column)) for column in known_s.T]
    sizes = np.arange(1, LARGEST_BATCH + 1)
    executed_s = batch_seconds(np.exp([log_s]), np.zeros(1, np.int64), sizes)
    engine_s = model.engine_batch_s + model.engine_request_s * sizes
    return np.asarray((executed_s + engine_s) / min(1.0, cores))


def simulated(
    some: Iterable[Candidate],
    price: FunctionPrice,
    model: ServiceModel,
    arrivals: Mmpp,
    slo: Slo,
    seed: int,
) -> list[float]:
    """Return the simulated latency in seconds of each at the SLO's percentile."""
    some = list(some)
    rng = np.random.default_rng(seed)
    times_s = _drawn(arrivals, slo.latency_ms / 1000, rng)
    tables = np.array([_table(one.batch_s) for one in some])
    instances = [_instances(one, price, arrivals) for one in some]
    lanes = Lanes(
        replicas=np.array(instances),
        max_batch=np.array([one.max_batch for one in some]),
        timeout_s=np.array([one.timeout_s for one in some]),
        alone_s=tables,
        crowding=np.ones((len(some), max(instances) + 1)),
    )
    latency_s = simulate(times_s, lanes, np.array(model.jitter), seed)
    return [float(one) for one in np.quantile(latency_s, slo.quantile, axis=1)]


def _drawn(arrivals: Mmpp, slo_s: float, rng: np.random.Generator) -> Samples:
    """Draw arrivals that hold both phases often enough for their shares to be about right.

    Phases that are far longer than any latency are shortened: what their requests meet stays.
    """
    shortest_s, cycle_s = min(arrivals.phase_s), sum(arrivals.phase_s)
    faster = min(
        cycle_s * arrivals.mean_rps * CYCLES / REQUESTS, shortest_s / (SLOS_A_PHASE * slo_s)
    )
    first, second = arrivals.switching_per_s
    faster = max(1.0, faster)
    quick = structs.replace(arrivals, switching_per_s=(faster * first, faster * second))
    times_s = draw_mmpp(quick, REQUESTS / arrivals.mean_rps, rng)
    return times_s if len(times_s) else np.zeros(1)


def _table(batch_s: Samples) -> Samples:
    """Return seconds by powers of two, up to `LARGEST_BATCH`."""
    steps = np.minimum(2 ** np.arange(LARGEST_BATCH.bit_length()), len(batch_s))
    return np.asarray(batch_s[steps - 1])


def _instances(one: Candidate, price: FunctionPrice, arrivals: Mmpp) -> int:
    """As many as are hardly ever all busy, unless the platform has fewer."""
    busiest_rps = max(arrivals.rates_rps)
    batches_rps = max(busiest_rps / one.formed.mean_batch, busiest_rps / one.max_batch)
    busy = batches_rps * float(one.batch_s.max())
    wanted = math.ceil(1.5 * busy + 6 * math.sqrt(busy)) + 2
    return min(wanted, MOST_INSTANCES, price.most or MOST_INSTANCES)


def _share_within(formed: Formed, batch_s: Samples, jitter: Samples, slo_s: float) -> float:
    allowed = (slo_s - formed.lag_s) / batch_s[formed.size - 1]
    shares = np.searchsorted(jitter, allowed * (1 + 1e-12), side="right") / len(jitter)
    return float(shares @ formed.requests / formed.requests.sum())


def _billed_s(batch_s: Samples, jitter: Samples, step_s: float) -> Samples:
    """Return the mean seconds that are billed for a batch of each size."""
    steps = np.ceil(np.multiply.outer(jitter, batch_s) / step_s * (1 - 1e-12))
    return np.asarray(steps.mean(axis=0) * step_s)


def _planned(
    one: Candidate,
    price: FunctionPrice,
    model: ServiceModel,
    arrivals: Mmpp,
    slo: Slo,
    simulated_s: float,
) -> FunctionPlanned:
    at = (np.arange(RATIOS) + 0.5) / RATIOS
    ratios = np.quantile(model.jitter, at, method="inverted_cdf")
    tail = tail_of(one.formed, one.batch_s, ratios.tolist())
    mean_s = float(one.formed.size_share @ one.batch_s) * float(np.mean(model.jitter))
    return FunctionPlanned(
        name=price.name,
        memory_mib=one.memory_mib,
        max_batch_size=one.max_batch,
        batch_timeout_ms=one.timeout_s * 1000,
        cost_per_million=one.cost * 1e6,
        mean_batch_size=one.formed.mean_batch,
        execution_ms=mean_s * 1000,
        percentile=slo.percentile,
        analytic_ms=tail.quantile_s(slo.quantile) * 1000,
        simulated_ms=simulated_s * 1000,
        cold_start_s=price.cold_start_s,
    )
