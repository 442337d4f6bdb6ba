"""How often `autotune watch` raises a false alarm, and how soon it sees a real change.

    python benchmarks/watch_alarms.py [RECORDS]

Each record comes from a simulated queue, and is held against a tuned file that promises what
another run of the same queue came to, of 4,000 requests. First unchanged queues: any alarm is
false, and 1 % is stated; at the edge, the promise is the very truth and nothing beyond it is
tolerated. Then queues whose service becomes slower half-way: how many requests after the change it
is proven, and where the change is said to have been. A table for each.
"""

import sys
from typing import NamedTuple

import msgspec
import numpy as np
from queueing import serve

from autotune.arrivals import Traffic, draw
from autotune.config_file import PolicyEntry, TunedFile
from autotune.drift.judge import Watched, judge
from autotune.drift.records import Change, DriftReport
from autotune.observed import Observed
from autotune.outcome import Samples
from autotune.patterns import Bursty, Pattern, Poisson
from autotune.records import Percentile
from autotune.stats.percentiles import percentile_interval
from autotune.stats.summary import as_record

LOAD_RPS = 100.0
MEASURED = 4_000
"""Requests of the run that the promise rests on: half a minute and more of a search's rounds."""
SLOWER = (1.1, 1.3, 2.0)


class Kind(NamedTuple):
    """One kind of queue at `LOAD_RPS`."""

    name: str
    servers: int
    utilisation: float
    spread: float
    """Standard deviation of the logarithm of service times; infinite: exponential."""
    pattern: Pattern = Poisson()
    requests: int = 20_000
    """Of a record."""


KINDS = (
    Kind("M/M/1, 50 %", 1, 0.5, np.inf),
    Kind("M/M/1, 80 %", 1, 0.8, np.inf),
    Kind("M/M/1, 90 %", 1, 0.9, np.inf, requests=40_000),
    Kind("M/G/1, 70 %", 1, 0.7, 0.3),
    Kind("M/D/2, 70 %", 2, 0.7, 0.0),
    Kind("M/G/4, 85 %", 4, 0.85, 0.3),
    Kind("bursty x4, D, 30 %", 1, 0.3, 0.0, Bursty(factor=4.0), 40_000),
)


def simulate(
    kind: Kind, records: int, seed: int, slower: float = 1.0, requests: int | None = None
) -> tuple[Samples, Samples]:
    """Return arrivals in s and latencies in ms, shape (records, requests).

    The second half of each is served `slower` times as slowly. The queue starts full of what was
    before: a lead-in is cut.
    """
    rng = np.random.default_rng(seed)
    count = requests or kind.requests
    lead_in = count // 10
    total = count + lead_in
    traffic = Traffic(load_rps=LOAD_RPS, pattern=kind.pattern)
    if isinstance(kind.pattern, Poisson):
        gaps_s = rng.exponential(1 / LOAD_RPS, (records, total))
    else:
        times_s = [
            draw(traffic, 3 * total / LOAD_RPS, (seed, one))[:total] for one in range(records)
        ]
        gaps_s = np.diff(np.stack(times_s), axis=1, prepend=0.0)
    mean_s = kind.utilisation * kind.servers / LOAD_RPS
    if np.isinf(kind.spread):
        services_s = rng.exponential(mean_s, gaps_s.shape)
    else:
        noise = rng.standard_normal(gaps_s.shape)
        services_s = mean_s * np.exp(kind.spread * noise - kind.spread**2 / 2)
    services_s[:, lead_in + count // 2 :] *= slower
    sojourn_s, _ = serve(gaps_s, services_s, kind.servers)
    return np.cumsum(gaps_s, axis=1)[:, lead_in:], 1e3 * sojourn_s[:, lead_in:]


def promise(tuned: TunedFile, kind: Kind, latency_ms: Samples, exact: bool = False) -> TunedFile:
    """Return a file of one load that promises what a run came to, and an SLO that it keeps.

    `exact`: the run is so long that its percentiles are the truth, and have no interval.
    """

    def at(quantile: float) -> Percentile:
        if exact:
            value_ms = float(np.quantile(latency_ms, quantile))
            return Percentile(value_ms=value_ms, low_ms=value_ms, high_ms=value_ms)
        return as_record(percentile_interval(latency_ms, 0, quantile))

    entry = tuned.policy[-1]
    assert entry.measured is not None
    slo = msgspec.structs.replace(tuned.slo, latency_ms=float(2 * np.quantile(latency_ms, 0.999)))
    measured = msgspec.structs.replace(
        entry.measured, requests=len(latency_ms), p50=at(0.5), p95=at(0.95), p99=at(0.99)
    )
    changed: PolicyEntry = msgspec.structs.replace(
        entry, load_rps=LOAD_RPS, measured=measured, meets_slo=True
    )
    return msgspec.structs.replace(
        tuned, policy=[changed], slo=slo, arrivals=kind.pattern.describe()
    )


def watched(
    tuned: TunedFile,
    kind: Kind,
    records: int,
    seed: int,
    slower: float = 1.0,
    exact: bool = False,
) -> list[DriftReport]:
    """Return what watching finds in so many records, each with a promise of its own.

    `exact`: the promise is the very truth, and nothing beyond it is tolerated.
    """
    if exact:
        _, before_ms = simulate(kind, 60, 99, requests=40_000)
        files = [promise(tuned, kind, before_ms.ravel(), exact)] * records
    else:
        _, before_ms = simulate(kind, records, seed + 1, requests=MEASURED)
        files = [promise(tuned, kind, one_ms) for one_ms in before_ms]
    arrived_s, latency_ms = simulate(kind, records, seed, slower)
    return [
        judge(
            Watched(
                tuned=files[one],
                file="model.autotune.json",
                observed=Observed(arrived_s[one], latency_ms[one]),
                source="latencies.csv",
                false_alarms=0.01,
                tolerance=1e-9 if exact else 0.1,
            )
        )
        for one in range(records)
    ]


def first_alarm(report: DriftReport) -> Change | None:
    """Return the change about latencies that was proven first."""
    known = [one for one in report.changes if one.kind in ("slower", "slo_missed")]
    return min(known, key=lambda one: one.proven_s, default=None)


def main(records: int = 200) -> None:
    """Print both tables."""
    from pathlib import Path

    from autotune import config_file

    golden = Path(__file__).parents[1] / "tests" / "golden" / "v6.autotune.json"
    tuned = config_file.read(golden)
    print("| queue | requests | a block | false alarms | at the edge | fits | too few to tell |")
    print("|---|---|---|---|---|---|---|")
    for number, kind in enumerate(KINDS):
        found = watched(tuned, kind, records, 100 * number)
        edge = watched(tuned, kind, records, 100 * number + 20, exact=True)
        answers = [one.answer for one in found]
        false, at_edge = (sum(bool(one.changes) for one in some) for some in (found, edge))
        size = float(np.median([one.block_requests for one in found]))
        print(
            f"| {kind.name} | {kind.requests:,} | {size:,.0f} | {false} of {records} "
            f"| {at_edge} of {records} | {answers.count('fits')} | {answers.count('too_little')} |",
            flush=True,
        )
    print(
        "\n| queue | slower | caught | requests until then, median | said to begin, requests off |"
    )
    print("|---|---|---|---|---|")
    few = max(20, records // 4)
    for number, kind in enumerate(KINDS):
        for slower in SLOWER:
            print(_row(watched(tuned, kind, few, 100 * number + 50, slower), kind, slower))
            sys.stdout.flush()


def _row(found: list[DriftReport], kind: Kind, slower: float) -> str:
    after, off = [], []
    for report in found:
        alarm = first_alarm(report)
        changed_s = report.started_s + report.seconds / 2
        if alarm is not None and alarm.proven_s > changed_s:
            after.append(LOAD_RPS * (alarm.proven_s - changed_s))
            off.append(LOAD_RPS * (alarm.since_s - changed_s))
    numbers = f"{np.median(after):,.0f} | {np.median(off):+,.0f}" if after else "- | -"
    return f"| {kind.name} | x{slower:g} | {len(after)} of {len(found)} | {numbers} |"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
