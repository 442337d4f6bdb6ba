"""Tails of latency by analysis, by simulation and of the engine: `python benchmarks/tails.py`.

Executions are sleeps of known length, so that many replicas run on few cores.
"""

import time
from functools import partial
from typing import NamedTuple

import numpy as np

from autotune.engine.replica import start_replicas
from autotune.engine.source import ScheduleSource, Tensors
from autotune.outcome import Samples
from autotune.planning.batching import Batching, Tail, tail_replicas, tail_unlimited
from autotune.planning.mmpp import Mmpp, draw_mmpp, poisson
from autotune.predict.queue_simulation import Lanes, simulate, table_sizes
from autotune.request_log import new_log

QUANTILES = (0.95, 0.99)
MANY = 32
"""Replicas of which one is free at any time, in the runs below."""
ENGINE_S = 20.0
REQUESTS = 400_000
"""Of a simulation that the analysis is held against."""
DRAWN = 40
"""Ways to serve, of each kind of arrivals."""


class Served(NamedTuple):
    """A way to serve requests."""

    batching: Batching
    batch_s: Samples
    """Of 1, 2, ... `max_batch` requests: a part that is fixed, and as much for each."""
    replicas: int


class Case(NamedTuple):
    """What the engine is tried with."""

    name: str
    arrivals: Mmpp
    served: Served


def linear_s(most: int, fixed_s: float, each_s: float) -> Samples:
    """Return seconds of batches of 1, 2, ... `most` requests."""
    return np.asarray(fixed_s + each_s * np.arange(1, most + 1))


BURSTS = Mmpp(rates_rps=(160.0, 40.0), switching_per_s=(4.0, 2.0))
CASES = (
    Case(
        "poisson, unlimited",
        poisson(120.0),
        Served(Batching(4, 0.03), linear_s(4, 0.03, 0.01), MANY),
    ),
    Case("poisson, one", poisson(14.0), Served(Batching(1, 0.0), linear_s(1, 0.03, 0.01), 1)),
    Case(
        "poisson, one, batches",
        poisson(60.0),
        Served(Batching(8, 0.02), linear_s(8, 0.03, 0.006), 1),
    ),
    Case("poisson, four", poisson(100.0), Served(Batching(4, 0.02), linear_s(4, 0.05, 0.01), 4)),
    Case("bursts, unlimited", BURSTS, Served(Batching(8, 0.04), linear_s(8, 0.03, 0.005), MANY)),
    Case("bursts, two", BURSTS, Served(Batching(8, 0.03), linear_s(8, 0.03, 0.006), 2)),
)


def sleeping(batch_s: Samples, inputs: Tensors) -> Tensors:
    """Take as long as a batch of that size."""
    time.sleep(batch_s[len(inputs["x"]) - 1])
    return inputs


def serve_for_real(served: Served, times_s: Samples) -> Samples:
    """Return the latency in seconds of each request, of the engine with sleeping replicas."""
    log = new_log(len(times_s))
    source = ScheduleSource(times_s.tolist(), [{"x": np.zeros((1, 1))}], log)
    infers = [partial(sleeping, served.batch_s)] * served.replicas
    for thread in start_replicas(infers, source, *served.batching):
        thread.join()
    return np.asarray(log.finished_s - times_s)


def simulate_all(ways: list[Served], times_s: Samples) -> Samples:
    """Return simulated latencies in seconds on the same arrivals, shape (ways, requests)."""
    sizes = table_sizes(max(one.batching.max_batch for one in ways)).astype(np.int64)
    tables = [one.batch_s[np.minimum(sizes, len(one.batch_s)) - 1] for one in ways]
    most = max(one.replicas for one in ways)
    lanes = Lanes(
        replicas=np.array([one.replicas for one in ways]),
        max_batch=np.array([one.batching.max_batch for one in ways]),
        timeout_s=np.array([one.batching.timeout_s for one in ways]),
        alone_s=np.array(tables),
        crowding=np.ones((len(ways), most + 1)),
    )
    return simulate(times_s, lanes, np.ones(1), 0)


def analyse(arrivals: Mmpp, served: Served) -> Tail:
    """Return the tail by analysis."""
    if served.replicas >= MANY:
        return tail_unlimited(arrivals, served.batching, served.batch_s)
    return tail_replicas(arrivals, served.batching, served.batch_s, served.replicas)


def draw_ways(count: int, seed: int, replicas: tuple[int, ...] = (1, 2, 4, 8, 16)) -> list[Served]:
    """Draw ways to serve one request/s, busy for 10 to 80 % of the time if all batches are full."""
    rng = np.random.default_rng(seed)
    ways = []
    for _ in range(count):
        most, servers = int(rng.choice([1, 2, 4, 8, 16])), int(rng.choice(replicas))
        whole_s = rng.uniform(0.1, 0.8) * servers * most
        fixed = rng.uniform(0.1, 0.9)
        wait_s = float(rng.choice([0.0, 0.25, 0.5, 1.0, 2.0])) * whole_s if most > 1 else 0.0
        batch_s = linear_s(most, fixed * whole_s, (1 - fixed) * whole_s / most)
        ways.append(Served(Batching(most, wait_s), batch_s, servers))
    return ways


def bursty(factor: float, phase_s: float) -> Mmpp:
    """Return one request/s on average, half of them in bursts of `factor` requests/s."""
    share = 1 / (2 * factor)
    rates_rps = (factor, 0.5 / (1 - share))
    return Mmpp(rates_rps=rates_rps, switching_per_s=(1 / phase_s, share / (1 - share) / phase_s))


def errors(ways: list[Served], arrivals: Mmpp, latency_s: Samples) -> Samples:
    """Return analysis over simulation, less one, shape (ways, quantiles)."""
    tails = [analyse(arrivals, one) for one in ways]
    analytic_s = [[tail.quantile_s(at) for at in QUANTILES] for tail in tails]
    return np.asarray(analytic_s / np.quantile(latency_s, QUANTILES, axis=1).T - 1)


def _tell(name: str, off: Samples) -> None:
    cells = [
        f"{np.median(np.abs(one)):.1%} | {np.median(one):+.1%} | {np.quantile(abs(one), 0.9):.1%}"
        for one in off.T
    ]
    print(f"| {name} | {len(off)} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the tables."""
    head = " | ".join(f"p{100 * at:g} median | signed | 90 %" for at in QUANTILES)
    print(f"| analysis against simulation | ways | {head} |\n|---|---|{'---|' * 6}")
    kinds = {"poisson": poisson(1.0), "bursts x2": bursty(2.0, 20.0), "bursts x4": bursty(4.0, 5.0)}
    for seed, (name, arrivals) in enumerate(kinds.items()):
        times_s = draw_mmpp(arrivals, REQUESTS, np.random.default_rng(seed))
        arrivals = _as_drawn(arrivals, times_s)
        ways = draw_ways(DRAWN, seed)
        off = errors(ways, arrivals, simulate_all(ways, times_s))
        alone = np.array([one.replicas == 1 for one in ways])
        eager = np.array([one.batching.timeout_s == 0 and len(one.batch_s) > 1 for one in ways])
        _tell(f"{name}, one replica", off[alone])
        _tell(f"{name}, several, that wait or have no batches", off[~alone & ~eager])
        _tell(f"{name}, several, batches without waiting", off[~alone & eager])
    print("\n| engine | p95, p99 ms | simulation | analysis |\n|---|---|---|---|")
    for seed, case in enumerate(CASES):
        times_s = draw_mmpp(case.arrivals, ENGINE_S, np.random.default_rng(seed))
        real_s = np.quantile(serve_for_real(case.served, times_s), QUANTILES)
        simulated_s = np.quantile(simulate_all([case.served], times_s)[0], QUANTILES)
        tail = analyse(case.arrivals, case.served)
        analytic_s = np.array([tail.quantile_s(at) for at in QUANTILES])
        cells = [
            ", ".join(f"{one - 1:+.1%}" for one in found / real_s)
            for found in (simulated_s, analytic_s)
        ]
        real = ", ".join(f"{1000 * one:.1f}" for one in real_s)
        print(f"| {case.name} | {real} | {' | '.join(cells)} |", flush=True)


def _as_drawn(arrivals: Mmpp, times_s: Samples) -> Mmpp:
    """Return the process at the mean rate that was drawn."""
    factor = len(times_s) / (float(times_s[-1]) * arrivals.mean_rps)
    first, second = arrivals.rates_rps
    return Mmpp(
        rates_rps=(first * factor, second * factor), switching_per_s=arrivals.switching_per_s
    )


if __name__ == "__main__":
    main()
