"""autotune's search against NVIDIA's Model Analyzer, both run for real on the same model.

Model Analyzer starts a tritonserver, which serves the model with its Python backend: one ONNX
Runtime session of one intra-op thread per instance, dynamic batching on. Its quick search looks
for the highest throughput with p99 within the SLO. Then `autotune search` runs with the same SLO.
At last both winners and the runtime's default serve the same Poisson arrivals in autotune's
engine, in interleaved rounds, at shares of the throughput that Model Analyzer reported. autotune
stands there with the one configuration that it recommends for all loads and, where it is another,
the one that it names for this load.

Model Analyzer measures in a closed loop through the server, with its load generator on the same
cores, so its figures and autotune's do not compare; its choice does. It never looks at threads,
spinning or batch timeouts. Its program and the server want environments of their own:

    pip install nvidia-pytriton==0.7.0 tritonclient==2.51.0 onnxruntime   # PYTRITON
    pip install triton-model-analyzer==1.58.0                             # ANALYZER
    pip install --no-deps rapidocr_onnxruntime                            # beside autotune

`python benchmarks/against_model_analyzer.py --pytriton PYTRITON --model-analyzer ANALYZER` takes
about 14 minutes on two cores.
"""

import argparse
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from fresh import add_model_options, model_of, spread
from rival_model_analyzer import Rival, Winner, add_tool_options, rival_of
from rounds import Results, side_by_side

from autotune.config_file import TunedFile
from autotune.outcome import Measured
from autotune.spec import RUNTIME_DEFAULT, ServingConfig, Slo
from autotune.stats.paired import compare_latency
from autotune.stats.percentiles import percentile
from autotune.stats.summary import summarize

MODEL = "rapidocr_onnxruntime:ch_ppocr_mobile_v2.0_cls_infer.onnx"
SHAPES = ["x=1x3x48x192"]
THEIRS, OURS, DEFAULT = "Model Analyzer", "autotune", "runtime default"
OURS_HERE = "autotune, for this load"


def run_autotune(name: str, shapes: Sequence[str], slo_ms: int) -> tuple[float, TunedFile]:
    """Search as a person would; return the wall seconds and the answer.

    Raises:
        SystemExit: the search failed.
    """
    command = [sys.executable, "-m", "autotune", "search", name, "--slo", f"{slo_ms}ms", "--json"]
    command.append("--fresh")
    for shape in shapes:
        command += ["--shape", shape]
    with tempfile.TemporaryDirectory(prefix="autotune-") as folder:
        started_s = time.perf_counter()
        done = subprocess.run(
            [*command, "-o", str(Path(folder) / "model.autotune.json")], stdout=subprocess.PIPE
        )
        seconds = time.perf_counter() - started_s
    if done.returncode not in (0, 1):  # 1: the SLO is not met at every load
        raise SystemExit(f"autotune search ended with {done.returncode}")
    return seconds, msgspec.json.decode(done.stdout, type=TunedFile)


def sides_at(load_rps: float, winner: Winner, tuned: TunedFile) -> dict[str, ServingConfig]:
    """Return what is measured at this load."""
    sides = {DEFAULT: RUNTIME_DEFAULT, THEIRS: winner.config, OURS: tuned.recommended}
    reaching = [entry.config for entry in tuned.policy if entry.load_rps >= load_rps]
    if reaching and reaching[0] != tuned.recommended:
        sides[OURS_HERE] = reaching[0]
    return sides


def print_searches(rival: Rival, seconds: float, tuned: TunedFile) -> None:
    """Print what either search cost, and what it chose."""
    tried = {trial.config for trial in tuned.trials}
    (winner,) = rival.winners.values()
    policy = [f"{entry.config.describe()} up to {entry.load_rps:g}/s" for entry in tuned.policy]
    print("| search | wall s | measurements | configurations | choice | as it says |")
    print("|---|---|---|---|---|---|")
    print(
        f"| {THEIRS}, quick | {rival.seconds:.0f} | {rival.measurements} | {rival.configurations} "
        f"| {winner.config.describe()} | {winner.throughput_rps:.0f}/s at p99 "
        f"{winner.p99_ms:.1f} ms, {winner.in_flight} in flight |"
    )
    print(
        f"| {OURS} | {seconds:.0f} | {len(tuned.trials)} | {len(tried)} "
        f"| {tuned.recommended.describe()} | {'; '.join(policy)} |\n"
    )
    print(f"{OURS}: {tuned.summary}\n")


def print_comparison(
    results: Results, configs: dict[float, dict[str, ServingConfig]], slo: Slo, full_rps: float
) -> None:
    """Print the sides at each load, as shares of `full_rps`; ratios are paired by round."""
    print(
        f"| load | of {THEIRS}'s throughput | side | configuration | p99 ms (range of rounds) "
        f"| over {slo.latency_ms:g} ms | p99 over {THEIRS}'s (95 %) | range of rounds | by rounds |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for load_rps, sides in results.items():
        for side, runs in sides.items():
            p99_ms = [1e3 * percentile(run.latency_s, run.lost, 0.99) for run in runs]
            cells = [f"{load_rps:.0f}/s", f"{load_rps / full_rps:.0%}", side]
            cells += [configs[load_rps][side].describe(), spread(p99_ms)]
            cells.append(f"{1 - summarize(runs, slo).slo_attainment:.2%}")
            cells += ["1", "", ""] if side == THEIRS else _against(runs, sides[THEIRS])
            print(f"| {' | '.join(cells)} |")
    runs = [run for sides in results.values() for some in sides.values() for run in some]
    disturbed = sum(bool(run.disturbed) for run in runs)
    print(f"\n{disturbed} of {len(runs)} runs were disturbed by something else on the machine.")


def _against(runs: Sequence[Measured], base: Sequence[Measured]) -> list[str]:
    found = compare_latency(runs, base, 0.99)
    low, high = ("?" if bound is None else f"{bound:.2f}" for bound in (found.low, found.high))
    whole = "lost requests" if found.ratio is None else f"{found.ratio:.2f} ({low} to {high})"
    ratios = [
        percentile(a.latency_s, a.lost, 0.99) / percentile(b.latency_s, b.lost, 0.99)
        for a, b in zip(runs, base, strict=True)
    ]
    known = [ratio for ratio in ratios if not math.isnan(ratio)]  # both lost too many
    between = f"{min(known):.2f} to {max(known):.2f}" if known else "?"
    return [whole, between, "differs" if found.differs else "noise"]


def main() -> None:
    """Run both searches, then print what they cost and how their choices serve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_model_options(parser, MODEL)
    add_tool_options(parser)
    parser.add_argument("--slo", type=int, default=10, help="p99 in whole ms")
    parser.add_argument("--shares", default="0.5,0.8,0.95", help="of Model Analyzer's throughput")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run")
    options = parser.parse_args()
    shapes = options.shape or (SHAPES if options.model == MODEL else [])
    model, slo = model_of(options.model, shapes), Slo(latency_ms=options.slo)
    rival = rival_of({"model": (model, options.slo)}, options)
    seconds, tuned = run_autotune(options.model, shapes, options.slo)
    print_searches(rival, seconds, tuned)
    (winner,) = rival.winners.values()
    loads_rps = [float(share) * winner.throughput_rps for share in options.shares.split(",")]
    sides = {load: sides_at(load, winner, tuned) for load in loads_rps}
    results = side_by_side(model, sides, slo, options.rounds, options.seconds)
    print_comparison(results, sides, slo, winner.throughput_rps)


if __name__ == "__main__":
    main()
