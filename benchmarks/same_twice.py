"""A configuration compared with itself, live: how often is it called different?

`python benchmarks/same_twice.py [COMPARISONS]` compares magika's default, and two one-thread
replicas, each with itself, on the machine as it is and beside a neighbour that burns one core for
random spells. The sides are processes of their own, as in a real comparison. 5 % are allowed.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from autotune.arrivals import Traffic
from autotune.model_file import locate
from autotune.outcome import Measured
from autotune.spec import RUNTIME_DEFAULT, ModelSpec, ServingConfig, Slo
from autotune.stages.drive import Window, order_of_round, run_trial
from autotune.stats.judge import Judge
from autotune.stats.paired import (
    MIN_ROUNDS,
    Comparison,
    comparable_quantile,
    compare_cpu,
    compare_latency,
)
from autotune.trial.bench import Bench

WINDOW_S = 0.8
LOAD_RPS = 60.0
SLO = Slo(latency_ms=50)
CONFIGS = (RUNTIME_DEFAULT, ServingConfig(replicas=2, intra_op_threads=1, spinning=False))
NEIGHBOUR = """
import os, random, time
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
while os.getppid() > 1:
    until = time.monotonic() + random.expovariate(1.0)
    while time.monotonic() < until: pass
    time.sleep(random.expovariate(1.0))
"""


@contextmanager
def neighbour(noisy: bool) -> Iterator[None]:
    """Keep a process that burns one core half of the time, in spells of a second on average."""
    if not noisy:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", NEIGHBOUR]) as process:
        try:
            yield
        finally:
            process.kill()


def compare(
    benches: tuple[Bench, Bench], config: ServingConfig, seed: int
) -> tuple[Comparison, Comparison]:
    """Compare the configuration in one process with the same in another: p99 or less, and CPU."""
    sides: tuple[list[Measured], list[Measured]] = ([], [])
    judge = Judge(SLO, LOAD_RPS, stop_when=frozenset())
    for number in range(MIN_ROUNDS):
        window = Window(WINDOW_S, (seed, number))
        for side in order_of_round(2, number, (seed,)):
            outcome, _ = run_trial(
                benches[side], config, Traffic(load_rps=LOAD_RPS), window, judge, repeats=1
            )
            if not isinstance(outcome, Measured):
                raise SystemExit(f"{config.describe()}: {outcome}")
            sides[side].append(outcome)
    offered = min(run.served + run.lost for run in [*sides[0], *sides[1]])
    quantile = comparable_quantile(offered, SLO.quantile)
    return compare_latency(*sides, quantile), compare_cpu(*sides)


def main() -> None:
    """Print the table."""
    comparisons = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    model = ModelSpec(path=str(locate("magika:")))
    print("| machine | configuration | comparisons | latency called different | CPU time |")
    print("|---|---|---|---|---|")
    for noisy in (False, True):
        for config in CONFIGS:
            # Other chances in every row: rows that share them would err together.
            first_seed = 1000 * (2 * noisy + CONFIGS.index(config))
            with neighbour(noisy):
                found = []
                for number in range(comparisons):
                    with Bench(model) as one, Bench(model) as other:
                        found.append(compare((one, other), config, first_seed + number))
            latency, cpu = (sum(one.differs for one in kind) for kind in zip(*found, strict=True))
            machine = "noisy neighbour on one core" if noisy else "as it is"
            print(
                f"| {machine} | {config.describe()} | {comparisons} | {latency} | {cpu} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
