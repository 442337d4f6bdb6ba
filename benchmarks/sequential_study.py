"""How often the sequential verdicts err, and how long they take: queues with known answers.

`python benchmarks/sequential_study.py [QUEUES]` simulates that many independent runs of 40 to 200 s
at 100 requests/s for each kind of queue and looks at each as `autotune measure` does, with the SLO
set exactly at the true p99, where both errors are most likely, and well beside it. Then: how often
95 % intervals hold the true percentile.
"""

import math
import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from queueing import mdc_quantile_s, mm1_quantile_s, serve

from autotune.arrivals import Traffic, draw
from autotune.outcome import Flags, Samples
from autotune.patterns import Bursty, Poisson
from autotune.spec import Slo
from autotune.stats.judge import Decision, Glimpse, Judge
from autotune.stats.percentiles import percentile_interval
from autotune.stats.sequential import LEAD_IN

LOAD_RPS = 100.0
FIRST_LOOK_S = 0.2
GROWTH = 0.1


class Kind(NamedTuple):
    """One kind of queue at `LOAD_RPS`."""

    name: str
    servers: int
    utilisation: float
    exponential: bool = False
    burst_factor: float | None = None

    @property
    def traffic(self) -> Traffic:
        """The arrivals."""
        pattern = Bursty(factor=self.burst_factor) if self.burst_factor else Poisson()
        return Traffic(load_rps=LOAD_RPS, pattern=pattern)

    @property
    def service_s(self) -> float:
        """Mean service time."""
        return self.utilisation * self.servers / LOAD_RPS


KINDS = (
    Kind("M/M/1, 50 %", 1, 0.5, exponential=True),
    Kind("M/M/1, 80 %", 1, 0.8, exponential=True),
    Kind("M/D/1, 50 %", 1, 0.5),
    Kind("M/D/1, 80 %", 1, 0.8),
    Kind("M/D/2, 70 %", 2, 0.7),
    Kind("M/D/4, 80 %", 4, 0.8),
    Kind("bursty x4, D, 30 %", 1, 0.3, burst_factor=4.0),
)


class Runs(NamedTuple):
    """Independent runs of one kind; arrays of shape (runs, requests)."""

    arrivals_s: Samples
    sojourn_s: Samples
    fresh: Flags


def simulate(kind: Kind, runs: int, requests: int, seed: int) -> Runs:
    """Return runs that start empty, as real ones do."""
    rng = np.random.default_rng(seed)
    if kind.burst_factor is None:
        gaps_s = rng.exponential(1 / LOAD_RPS, (runs, requests))
    else:
        gaps_s = np.stack([_gaps(kind.traffic, requests, (seed, run)) for run in range(runs)])
    services_s = np.full((runs, requests), kind.service_s)
    if kind.exponential:
        services_s *= rng.exponential(1.0, (runs, requests))
    sojourn_s, fresh = serve(gaps_s, services_s, kind.servers)
    return Runs(np.cumsum(gaps_s, axis=1), sojourn_s, fresh)


def _gaps(traffic: Traffic, requests: int, seed: tuple[int, ...]) -> Samples:
    """Gaps before so many arrivals, from a schedule surely long enough."""
    arrivals_s = draw(traffic, 4 * requests / LOAD_RPS, seed)[:requests]
    return np.diff(arrivals_s, prepend=0.0)


def true_quantile_s(kind: Kind, quantile: float) -> float:
    """Return the exact quantile, or for bursts that of a long simulation."""
    if kind.burst_factor is not None:
        runs = simulate(kind, 200, 20_000, seed=99)
        return float(np.quantile(runs.sojourn_s[:, 4_000:], quantile))
    if kind.exponential:
        return mm1_quantile_s(LOAD_RPS, kind.service_s, quantile)
    return mdc_quantile_s(LOAD_RPS, kind.service_s, kind.servers, quantile)


def judge_runs(kind: Kind, runs: Runs, slo: Slo, confidence: float) -> list[tuple[Decision, float]]:
    """Return why each run would have been stopped (`go_on`: not at all), and after which time."""
    judge = Judge(slo, LOAD_RPS, confidence, may_pass_after_s=10 * kind.traffic.cycle_s)
    return [_judge_run(judge, *run) for run in zip(*runs, strict=True)]


def _judge_run(
    judge: Judge, arrivals_s: Samples, sojourn_s: Samples, fresh: Flags
) -> tuple[Decision, float]:
    for elapsed_s in _looks(float(arrivals_s[-1])):
        count = int(np.searchsorted(arrivals_s, elapsed_s, side="right"))
        finished_s = arrivals_s[:count] + sojourn_s[:count]
        seen_s = np.where(finished_s <= elapsed_s, finished_s, np.nan)
        glimpse = Glimpse(elapsed_s, arrivals_s[:count], seen_s, fresh[:count])
        decision = judge.decide(glimpse)
        if decision != "go_on":
            return decision, elapsed_s
    return "go_on", float(arrivals_s[-1])


def _looks(end_s: float) -> Iterator[float]:
    elapsed_s = FIRST_LOOK_S
    while elapsed_s < end_s:
        yield elapsed_s
        elapsed_s += max(FIRST_LOOK_S, GROWTH * elapsed_s)
    yield end_s


def main() -> None:
    """Print both tables."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    _print_coverage(runs)
    _print_verdicts(runs)


def _print_coverage(runs: int) -> None:
    """How often 95 % intervals hold the truth, and in how many runs an upper bound is claimed."""
    print("| queue | requests | p50 | p95 | p99 | p99 bounded above |")
    print("|---|---|---|---|---|---|")
    for kind in KINDS[:-1]:
        for requests in (2_000, 8_000, 25_000):
            made = simulate(kind, runs, requests, seed=13)
            cells = [_coverage(made, kind, quantile) for quantile in (0.5, 0.95, 0.99)]
            covered = " | ".join(f"{share:.1%}" for share, _ in cells)
            print(f"| {kind.name} | {requests:,} | {covered} | {cells[-1][1]:.0%} |", flush=True)


def _coverage(made: Runs, kind: Kind, quantile: float) -> tuple[float, float]:
    truth_s, first = true_quantile_s(kind, quantile), int(LEAD_IN * made.sojourn_s.shape[1])
    found = [
        percentile_interval(sojourn_s[first:], 0, quantile, fresh=fresh[first:])
        for sojourn_s, fresh in zip(made.sojourn_s, made.fresh, strict=True)
    ]
    # Half of an M/D/1 queue's requests take exactly one service time, give or take rounding.
    low_s, high_s = truth_s * (1 - 1e-9), truth_s * (1 + 1e-9)
    holds = [(one.low or 0.0) <= high_s and low_s <= (one.high or math.inf) for one in found]
    return float(np.mean(holds)), float(np.mean([one.high is not None for one in found]))


def _print_verdicts(runs: int) -> None:
    print("\n| queue | false pass | false fail | easy pass | s | hopeless fail | s |")
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        long = kind.utilisation > 0.75 or kind.burst_factor is not None
        made = simulate(kind, runs, 20_000 if long else 4_000, seed=7)
        edge = judge_runs(kind, made, _slo(true_quantile_s(kind, 0.99)), 0.99)
        some = Runs(*(column[: max(50, runs // 10)] for column in made))  # type: ignore[arg-type]
        easy = judge_runs(kind, some, _slo(2 * true_quantile_s(kind, 0.999)), 0.99)
        hopeless = judge_runs(kind, some, _slo(true_quantile_s(kind, 0.6)), 0.99)
        print(
            f"| {kind.name} | {_share(edge, {'passed'})} | {_share(edge, {'failed', 'diverged'})} "
            f"| {_share(easy, {'passed'})} | {_median_s(easy)} "
            f"| {_share(hopeless, {'failed', 'diverged'})} | {_median_s(hopeless)} |",
            flush=True,
        )


def _slo(latency_s: float) -> Slo:
    return Slo(latency_ms=latency_s * 1e3)


def _share(found: list[tuple[Decision, float]], which: set[Decision]) -> str:
    return f"{np.mean([decision in which for decision, _ in found]):.1%}"


def _median_s(found: list[tuple[Decision, float]]) -> str:
    return f"{np.median([seconds for _, seconds in found]):.1f}"


if __name__ == "__main__":
    main()
