"""ONNX Runtime's CPU provider against another: service time and throughput, side by side.

Each side in a fresh process of its own, in interleaved rounds, with the same replicas, threads and
inputs; every replica executes requests back to back. Ratios are to the CPU provider of the same
round: above 1, the other is faster. Which share of the model's nodes it leaves to the CPU is told,
and whether its answers are those of the CPU provider, by the rule that a search has.

`python benchmarks/providers.py` takes 10 minutes for magika and the three models of PP-OCR. The
OpenVINO provider comes in a package that replaces onnxruntime, so in an environment of its own:

    python3 -m venv openvino && . openvino/bin/activate
    pip install -c constraints.txt '.[test]' && pip uninstall -y onnxruntime
    pip install onnxruntime-openvino==1.24.1 && pip install --no-deps rapidocr_onnxruntime==1.4.4
"""

import argparse
import shlex
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from itertools import chain, cycle
from typing import NamedTuple

import numpy as np
from fresh import in_fresh_process, model_of, spread

from autotune.engine.replica import Infer
from autotune.engine.source import Tensors
from autotune.models.onnx_model import as_infer, declared, open_session
from autotune.models.onnx_providers import node_counts, share_elsewhere
from autotune.models.output_check import checkable, how_outputs_differ
from autotune.models.sample_inputs import make_samples
from autotune.spec import ModelSpec, Provider, ServingConfig

PP_OCR = "rapidocr_onnxruntime:"
MODELS: dict[str, tuple[str, list[str]]] = {
    "magika": ("magika:", []),
    "PP-OCR, find text": (f"{PP_OCR}ch_PP-OCRv4_det_infer.onnx", ["x=1x3x320x320"]),
    "PP-OCR, read text": (f"{PP_OCR}ch_PP-OCRv4_rec_infer.onnx", ["x=1x3x48x320"]),
    "PP-OCR, direction": (f"{PP_OCR}ch_ppocr_mobile_v2.0_cls_infer.onnx", ["x=1x3x48x192"]),
}
CONFIGS = (
    ServingConfig(),
    ServingConfig(intra_op_threads=1),
    ServingConfig(replicas=2, intra_op_threads=1),
)
WARM_UP_S = 0.5


class Run(NamedTuple):
    """What one side did in one round."""

    median_ms: float
    per_s: float
    left_share: float
    """Of the model's nodes, in [0, 1]: what the provider leaves to the CPU."""
    differs: str | None
    """How its answers differ from those of the CPU provider; None: they do not."""


def run_side(model: ModelSpec, config: ServingConfig, seconds: float) -> Run:
    """Load the replicas and let each execute requests back to back."""
    shape = config.session_shape
    sessions = [open_session(model.path, shape) for _ in range(config.replicas)]
    samples = make_samples(declared(sessions[0].get_inputs()), model)
    infers = [as_infer(session) for session in sessions]
    differs = _difference(infers[0], samples, model)
    times_s: list[list[float]] = [[] for _ in infers]
    for duration_s in (WARM_UP_S, seconds):
        times_s = [[] for _ in infers]
        barrier = threading.Barrier(len(infers))
        threads = [
            threading.Thread(target=_repeat, args=(infer, samples, duration_s, times, barrier))
            for infer, times in zip(infers, times_s, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    per_s = sum(len(times) / sum(times) for times in times_s)
    left = share_elsewhere(node_counts(sessions[0]), config.provider)
    return Run(statistics.median(chain(*times_s)) * 1e3, per_s, left, differs)


def _difference(infer: Infer, samples: Sequence[Tensors], model: ModelSpec) -> str | None:
    plain = as_infer(open_session(model.path, ServingConfig().session_shape))
    return how_outputs_differ(infer(samples[0]), checkable(plain(samples[0])))


def _repeat(
    infer: Infer,
    samples: Sequence[Tensors],
    duration_s: float,
    times_s: list[float],
    barrier: threading.Barrier,
) -> None:
    inputs = cycle(samples)
    barrier.wait()
    deadline_s = time.perf_counter() + duration_s
    while not times_s or time.perf_counter() < deadline_s:
        feed = next(inputs)
        started_s = time.perf_counter()
        infer(feed)
        times_s.append(time.perf_counter() - started_s)


def measure(
    model: ModelSpec, config: ServingConfig, provider: Provider, rounds: int, seconds: float
) -> list[tuple[Run, Run]]:
    """Return the CPU provider's run and the other's, by round; each goes first in half of them."""
    pairs: list[tuple[Run, Run]] = []
    shape = {name: getattr(config, name) for name in ("replicas", "intra_op_threads")}
    sides = [ServingConfig(**shape), ServingConfig(**shape, provider=provider)]
    for number in range(rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        runs = {turn: in_fresh_process(run_side, model, sides[turn], seconds) for turn in order}
        pairs.append((runs[0], runs[1]))
    return pairs


def _cells(title: str, config: ServingConfig, pairs: Sequence[tuple[Run, Run]]) -> list[str]:
    faster = [cpu.median_ms / other.median_ms for cpu, other in pairs]
    more = [other.per_s / cpu.per_s for cpu, other in pairs]
    differs = next((other.differs for _, other in pairs if other.differs), "the same")
    return [
        title,
        config.describe(),
        f"{100 * pairs[0][1].left_share:.3g} %",
        spread([cpu.median_ms for cpu, _ in pairs]),
        spread([other.median_ms for _, other in pairs]),
        _quartiles(faster),
        _quartiles(more),
        differs,
    ]


def _quartiles(ratios: Sequence[float]) -> str:
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Print a row for each model and configuration."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--provider", default="openvino", choices=["openvino", "xnnpack", "dnnl"])
    parser.add_argument("--only", choices=list(MODELS), help="one of the models")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    options = parser.parse_args()
    print(f"`{shlex.join(['python', *sys.argv])}`\n")
    print(
        f"| model | configuration | nodes left to the CPU | cpu, ms (range) "
        f"| {options.provider}, ms (range) | faster by (quartiles) | throughput (quartiles) "
        "| answers |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for title, (name, shapes) in MODELS.items():
        if options.only not in (None, title):
            continue
        for config in CONFIGS:
            model = model_of(name, shapes)
            pairs = measure(model, config, options.provider, options.rounds, options.seconds)
            print(f"| {' | '.join(_cells(title, config, pairs))} |", flush=True)


if __name__ == "__main__":
    main()
