"""The engine's own ceiling: a model that does nothing. `python benchmarks/engine_overhead.py`"""

import statistics

import numpy as np

from autotune.engine.replica import start_replicas
from autotune.engine.source import ScheduleSource, Tensors
from autotune.probes.threads import cpu_seconds
from autotune.request_log import new_log

ROUNDS = 5
BACKLOG = 20_000
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


def main() -> None:
    """Print the table: medians of interleaved rounds with their range."""
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


if __name__ == "__main__":
    main()
