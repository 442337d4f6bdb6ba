"""Default against two one-thread replicas on magika at three loads, interleaved.

`python benchmarks/default_vs_tuned.py` measures a fixed pair, so that the table can be repeated
without depending on what a search happens to find.
"""

import statistics

from autotune.arrivals import Traffic
from autotune.model_file import locate
from autotune.outcome import Measured
from autotune.spec import RUNTIME_DEFAULT, ModelSpec, ServingConfig, Slo
from autotune.stages.drive import Window, run_trial
from autotune.stats.judge import Judge
from autotune.stats.summary import summarize
from autotune.trial.bench import Bench

ROUNDS = 4
WINDOW_S = 4.0
LOADS_RPS = (30.0, 110.0, 160.0)
SLO = Slo(latency_ms=50)
TUNED = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)


def main() -> None:
    """Print the table: medians over rounds with their range; ratios are paired by round."""
    p99: dict[tuple[float, ServingConfig], list[float]] = {}
    over: dict[tuple[float, ServingConfig], list[float]] = {}
    with Bench(ModelSpec(path=str(locate("magika:")))) as bench:
        for round_number in range(ROUNDS):
            for load_rps in LOADS_RPS:
                for config in (RUNTIME_DEFAULT, TUNED):
                    window = Window(WINDOW_S, (7, round_number))
                    judge = Judge(SLO, load_rps, stop_when=frozenset({"diverged"}))
                    traffic = Traffic(load_rps=load_rps)
                    outcome, _ = run_trial(bench, config, traffic, window, judge)
                    if not isinstance(outcome, Measured):
                        raise SystemExit(f"{config.describe()}: {outcome}")
                    summary = summarize([outcome], SLO)
                    p99.setdefault((load_rps, config), []).append(
                        summary.p99.value_ms or float("inf")
                    )
                    over.setdefault((load_rps, config), []).append(1 - summary.slo_attainment)
    print("| load | default p99 ms | tuned p99 ms | default / tuned | default over SLO | tuned |")
    print("|---|---|---|---|---|---|")
    for load_rps in LOADS_RPS:
        default, tuned = p99[load_rps, RUNTIME_DEFAULT], p99[load_rps, TUNED]
        ratios = [a / b for a, b in zip(default, tuned, strict=True)]
        shares = [statistics.mean(over[load_rps, c]) for c in (RUNTIME_DEFAULT, TUNED)]
        print(
            f"| {load_rps:.0f}/s | {_spread(default)} | {_spread(tuned)} | {_spread(ratios)} | "
            f"{shares[0]:.1%} | {shares[1]:.1%} |"
        )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
