"""The runtime's default against what a search finds, interleaved.

    python benchmarks/default_vs_tuned.py
    python benchmarks/default_vs_tuned.py --torch --forms compiled

Each model is searched as `autotune search` does by itself; then the default and, at each load, what
the search names for it serve the same arrivals in rounds, at 15, 60 and 90 % of the highest load at
which the search met the SLO. Where it names the default, there is nothing to compare. Needs the
packages magika and, without its dependencies, rapidocr_onnxruntime; with --torch torch, whose
default is `model(x)` with torch's own threads.
"""

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

from fresh import model_of, spread
from rounds import Results, side_by_side

from autotune import tune
from autotune.config_file import TunedFile
from autotune.given import make_allowed
from autotune.spec import RUNTIME_DEFAULT, Allowed, ServingConfig, Slo
from autotune.stages.question import Keeping, Question
from autotune.stats.paired import compare_latency
from autotune.stats.percentiles import percentile
from autotune.stats.summary import summarize

SHARES = (0.15, 0.60, 0.90)
"""Of the highest load that met the SLO."""
DEFAULT, TUNED = "runtime default", "tuned"


class Served(NamedTuple):
    """A model and what is asked of it."""

    title: str
    name: str
    shapes: list[str]
    slo: Slo


MODELS = [
    Served("magika", "magika:", [], Slo(latency_ms=50)),
    Served(
        "PP-OCR classifier",
        "rapidocr_onnxruntime:ch_ppocr_mobile_v2.0_cls_infer.onnx",
        ["x=1x3x48x192"],
        Slo(latency_ms=10),
    ),
    Served(
        "PP-OCR recogniser",
        "rapidocr_onnxruntime:ch_PP-OCRv4_rec_infer.onnx",
        ["x=1x3x48x96"],
        Slo(latency_ms=50),
    ),
]
TORCH_MODELS = [
    Served(
        "convolutional, 1.5 M parameters",
        "benchmarks.served_torch:convolutional",
        [],
        Slo(latency_ms=50),
    ),
    Served(
        "transformer, 3.4 M parameters",
        "benchmarks.served_torch:transformer",
        [],
        Slo(latency_ms=50),
    ),
]


def main() -> None:
    """Print the table: medians of rounds with their range; ratios are paired by round."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--torch", action="store_true", help="torch models instead")
    parser.add_argument("--forms", default="", help="of torch models, beside as given")
    given = parser.parse_args()
    forms = [form for form in given.forms.split(",") if form]
    allowed = make_allowed("cpu", None, forms, lambda option: f"--{option}")
    print(
        "| model | load | configuration | default p99 ms | tuned p99 ms | tuned / default (95 %) ",
        end="",
    )
    print("| over the SLO: default | tuned |\n|---|---|---|---|---|---|---|---|")
    for served in TORCH_MODELS if given.torch else MODELS:
        tuned = search(served, allowed)
        sides = {
            float(round(share * highest_met_rps(tuned))): {DEFAULT: RUNTIME_DEFAULT, TUNED: config}
            for share in SHARES
            if (config := named(tuned, share * highest_met_rps(tuned))) != RUNTIME_DEFAULT
        }
        print(f"| {served.title} | met the SLO up to {highest_met_rps(tuned):.0f}/s" + " |" * 7)
        model = model_of(served.name, served.shapes)
        results = side_by_side(model, sides, served.slo, given.rounds, given.seconds)
        for line in rows(served, sides, results):
            print(line, flush=True)


def search(served: Served, allowed: Allowed) -> TunedFile:
    """Search as `autotune search` does."""
    with tempfile.TemporaryDirectory(prefix="autotune-") as folder:
        question = Question(
            model=model_of(served.name, served.shapes),
            name=served.name,
            slo=served.slo,
            traffics=None,
            budget_s=None,
            max_trials=None,
            seed=0,
            output=Path(folder) / "model.autotune.json",
            allowed=allowed,
            keeping=Keeping(store=Path(folder) / "store.sqlite"),
        )
        return tune.search(question)


def highest_met_rps(tuned: TunedFile) -> float:
    """Return the highest load at which the search met the SLO; 0: nowhere."""
    return max((entry.load_rps for entry in tuned.policy if entry.meets_slo), default=0.0)


def named(tuned: TunedFile, load_rps: float) -> ServingConfig:
    """Return what a server would be configured with for this load."""
    return next(entry.config for entry in tuned.policy if entry.load_rps >= load_rps)


def rows(
    served: Served, sides: dict[float, dict[str, ServingConfig]], results: Results
) -> list[str]:
    """Return the table's rows for one model."""
    found = []
    for load_rps, runs in results.items():
        p99_ms = {
            side: [1e3 * percentile(run.latency_s, run.lost, 0.99) for run in mine]
            for side, mine in runs.items()
        }
        ratio = compare_latency(runs[TUNED], runs[DEFAULT], 0.99)
        interval = "default loses requests"
        if ratio.ratio is not None:
            interval = f"{ratio.ratio:.2f} ({ratio.low or 0:.2f} to {ratio.high or 0:.2f})"
        over = {side: 1 - summarize(mine, served.slo).slo_attainment for side, mine in runs.items()}
        cells = [served.title, f"{load_rps:.0f}/s", sides[load_rps][TUNED].describe()]
        cells += [spread(p99_ms[DEFAULT]), spread(p99_ms[TUNED]), interval]
        cells += [f"{over[DEFAULT]:.1%}", f"{over[TUNED]:.1%}"]
        found.append(f"| {' | '.join(cells)} |")
    return found


if __name__ == "__main__":
    main()
