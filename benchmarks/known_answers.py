"""The engine, live, against queueing theory: a model that takes a set time, Poisson arrivals.

`python benchmarks/known_answers.py` serves M/D/1, M/D/2 and M/D/4 queues with the engine that
measures and serves real models. The model sleeps, so that replicas do not compete for this
machine's cores; the service time in the formula is the mean that was logged, for sleeps wake late.
So do replicas that wait for an arrival: theory knows no such lateness of issue, so it is shown.
"""

import time

import numpy as np
from queueing import mdc_quantile_s

from autotune.arrivals import Traffic, draw
from autotune.engine.replica import start_replicas
from autotune.engine.source import ScheduleSource, Tensors
from autotune.outcome import Flags, Samples
from autotune.request_log import RequestLog, new_log
from autotune.stats.percentiles import Interval, percentile_interval

SERVICE_S = 0.005
WINDOW_S = 20.0
LEAD_IN_S = 2.0
CASES = ((1, 0.3), (1, 0.5), (1, 0.7), (2, 0.5), (2, 0.7), (4, 0.7))
"""Replicas and utilisation."""
QUANTILES = (0.5, 0.9, 0.99)
SAMPLES: list[Tensors] = [{"x": np.zeros((1, 16), np.float32)}]


def sleeping_model(inputs: Tensors) -> Tensors:
    """Take `SERVICE_S`."""
    time.sleep(SERVICE_S)
    return inputs


def run(replicas: int, load_rps: float) -> tuple[Samples, RequestLog]:
    """Serve one window with real replicas; return the schedule and the log of it."""
    arrivals_s = draw(Traffic(load_rps=load_rps), WINDOW_S, (5, replicas))
    log = new_log(len(arrivals_s))
    source = ScheduleSource(arrivals_s.tolist(), SAMPLES, log)
    for thread in start_replicas([sleeping_model] * replicas, source, 1, 0.0):
        thread.join()
    return arrivals_s, log


def main() -> None:
    """Print the table."""
    print(
        "| queue | utilisation | requests | percentile | theory ms | measured ms (95 %) | ratio |"
    )
    print("|---|---|---|---|---|---|---|")
    for replicas, utilisation in CASES:
        load_rps = utilisation * replicas / SERVICE_S
        arrivals_s, log = run(replicas, load_rps)
        kept = arrivals_s >= LEAD_IN_S
        latency_s = (log.finished_s - arrivals_s)[kept]
        fresh: Flags = log.ready_s <= arrivals_s
        late_s = log.claimed_s - np.maximum(arrivals_s, log.ready_s)
        service_s = float(np.mean(log.finished_s - log.started_s))
        for quantile in QUANTILES:
            exact_s = mdc_quantile_s(load_rps, service_s, replicas, quantile)
            found = percentile_interval(latency_s, 0, quantile, fresh=fresh[kept])
            print(
                f"| M/D/{replicas} | {load_rps * service_s / replicas:.0%} | {len(latency_s):,} "
                f"| p{100 * quantile:g} | {exact_s * 1e3:.2f} | {_ms(found)} "
                f"| {found.value / exact_s:.3f} | {np.median(late_s[kept & fresh]) * 1e3:.2f} |",
                flush=True,
            )


def _ms(found: Interval) -> str:
    low, high = ("?" if bound is None else f"{bound * 1e3:.2f}" for bound in found[1:])
    return f"{found.value * 1e3:.2f} ({low} to {high})"


if __name__ == "__main__":
    main()
