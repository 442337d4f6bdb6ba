"""Several configurations at several loads, in interleaved rounds under the same arrivals."""

from autotune.arrivals import Traffic
from autotune.outcome import Measured
from autotune.spec import ModelSpec, ServingConfig, Slo
from autotune.stages.drive import Window, order_of_round, repeats_after, run_trial
from autotune.stats.judge import Judge
from autotune.trial.bench import Bench

Results = dict[float, dict[str, list[Measured]]]
"""Runs by load and side; the nth runs of all sides served the same arrivals."""


def side_by_side(
    model: ModelSpec,
    sides: dict[float, dict[str, ServingConfig]],
    slo: Slo,
    rounds: int,
    window_s: float,
) -> Results:
    """Measure all sides at their loads, in rounds; chance decides who is first."""
    results: Results = {load: {side: [] for side in here} for load, here in sides.items()}
    disturbed: list[bool] = []
    with Bench(model) as bench:
        bench.inspect()  # from now on, wrong answers are noticed
        for number in range(rounds):
            for place, (load_rps, here) in enumerate(sides.items()):
                window = Window(window_s, (7, place, number))
                judge = Judge(slo, load_rps, stop_when=frozenset({"diverged"}))
                for turn in order_of_round(len(here), number, (7, place)):
                    side, config = list(here.items())[turn]
                    traffic, repeats = Traffic(load_rps=load_rps), repeats_after(disturbed)
                    run, _ = run_trial(bench, config, traffic, window, judge, repeats)
                    if not isinstance(run, Measured):
                        raise SystemExit(f"{config.describe()}: {run}")
                    disturbed.append(bool(run.disturbed))
                    results[load_rps][side].append(run)
    return results
