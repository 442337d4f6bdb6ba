"""The engine's own ceiling: a model that does nothing. `python benchmarks/engine_overhead.py`

First a backlog (how many requests/s, at how many microseconds of CPU time each), then Poisson
arrivals at growing rates: how late are requests issued, and up to which rate is that below 1 ms?
"""

import statistics

import numpy as np

from autotune.arrivals import Traffic, draw
from autotune.engine.replica import start_replicas
from autotune.engine.source import ScheduleSource, Tensors
from autotune.probes.threads import cpu_seconds
from autotune.request_log import new_log

ROUNDS = 5
BACKLOG = 20_000
RATES_RPS = (100.0, 1_000.0, 5_000.0, 10_000.0, 20_000.0, 40_000.0, 60_000.0)
WINDOW_S = 2.0
SAMPLES: list[Tensors] = [{"x": np.zeros((1, 16), np.float32)}]


def run(replicas: int, max_batch_size: int) -> tuple[float, float]:
    """Return requests/s and CPU microseconds per request over a backlog."""
    log = new_log(BACKLOG)
    source = ScheduleSource([0.0] * BACKLOG, SAMPLES, log)
    cpu_before_s = cpu_seconds()
    log.start_clock()
    for thread in start_replicas([lambda inputs: inputs] * replicas, source, max_batch_size, 0.0):
        thread.join()
    return BACKLOG / log.elapsed_s, (cpu_seconds() - cpu_before_s) / BACKLOG * 1e6


def issue(load_rps: float, seed: int) -> tuple[float, float, float]:
    """Return lateness of issue in ms (p50, p99) and CPU microseconds per request at a load."""
    arrivals_s = draw(Traffic(load_rps=load_rps), WINDOW_S, (seed,))
    log = new_log(len(arrivals_s))
    source = ScheduleSource(arrivals_s.tolist(), SAMPLES, log)
    cpu_before_s = cpu_seconds()
    log.start_clock()
    for thread in start_replicas([lambda inputs: inputs], source, 1, 0.0):
        thread.join()
    cpu_us = (cpu_seconds() - cpu_before_s) / len(arrivals_s) * 1e6
    late_ms = (log.claimed_s - arrivals_s) * 1e3  # behind schedule, for whatever reason
    p50, p99 = np.quantile(late_ms, [0.5, 0.99])
    return float(p50), float(p99), cpu_us


def print_issue_lateness() -> None:
    """Print how late requests are issued at growing rates; all of it is the harness's doing."""
    found: dict[float, list[tuple[float, float, float]]] = {rate: [] for rate in RATES_RPS}
    for number in range(ROUNDS):
        for rate in RATES_RPS:
            found[rate].append(issue(rate, number))
    print("\n| requests/s | lateness p50 ms (range) | p99 ms (range) | CPU us per request |")
    print("|---|---|---|---|")
    for rate, rounds in found.items():
        p50, p99, cpu = (_spread(values) for values in zip(*rounds, strict=True))
        print(f"| {rate:,.0f} | {p50} | {p99} | {cpu} |")


def _spread(values: tuple[float, ...]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main() -> None:
    """Print the tables: medians of interleaved rounds with their range."""
    cases = [(1, 1), (2, 1), (1, 8), (2, 8)]
    results: dict[tuple[int, int], list[tuple[float, float]]] = {case: [] for case in cases}
    for _ in range(ROUNDS):
        for case in cases:
            results[case].append(run(*case))
    print("| replicas | max batch | requests/s (range) | CPU us per request (range) |")
    print("|---|---|---|---|")
    for (replicas, batch), pairs in results.items():
        rates, costs = zip(*pairs, strict=True)
        print(
            f"| {replicas} | {batch} | {statistics.median(rates):,.0f} "
            f"({min(rates):,.0f} to {max(rates):,.0f}) | {statistics.median(costs):.1f} "
            f"({min(costs):.1f} to {max(costs):.1f}) |"
        )
    print_issue_lateness()


if __name__ == "__main__":
    main()
