"""autotune's service times against a plain loop of `session.run`, as onnxruntime_perf_test's.

Four sides, each in a fresh process of its own, in interleaved rounds, with the same session options
and the same inputs: the plain loop (one client, back to back, after a warm-up), the plain loop once
more (what two runs of the very same program differ by), autotune's closed loop
(`Bench.service_times`), and the service times that its open loop logs while a backlog keeps the
replica busy, for idle gaps change clocks and caches. Ratios are to the plain loop of the same
round.

`python benchmarks/against_session_run.py` takes 5 minutes for magika and an MLP of about 0.5 ms
(needs `pip install '.[test]'`). For PP-OCR's classifier of text direction, `pip install --no-deps
rapidocr_onnxruntime` and `--model rapidocr_onnxruntime:ch_ppocr_mobile_v2.0_cls_infer.onnx --shape
x=1x3x48x192`.
"""

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
from fresh import add_model_options, config_of, in_fresh_process, model_of, open_replicas, spread

from autotune.outcome import Measured, Samples
from autotune.records import Failed
from autotune.spec import ModelSpec, ServingConfig, SessionShape, TrialSpec
from autotune.trial.bench import Bench
from autotune.trial.wire import ClosedLoop

Side = Callable[[ModelSpec, ServingConfig, float], Samples]
"""Returns service times in seconds, in order, of so many seconds of work."""

MIN_RUNS = 20
GRACE_S = 120.0
TIMEOUT_S = 120.0


def plain_loop(model: ModelSpec, config: ServingConfig, seconds: float) -> Samples:
    """Time `session.run` back to back."""
    return in_fresh_process(_plain_loop, model, config.session_shape, seconds)


def _plain_loop(model: ModelSpec, shape: SessionShape, seconds: float) -> Samples:
    (run,), samples = open_replicas(model, shape)
    times: list[float] = []
    inputs = cycle(samples)
    deadline_s = time.perf_counter() + seconds
    while len(times) < MIN_RUNS or time.perf_counter() < deadline_s:
        feed = next(inputs)
        started_s = time.perf_counter()
        run(None, feed)
        times.append(time.perf_counter() - started_s)
    return np.array(times)


def closed_loop(model: ModelSpec, config: ServingConfig, seconds: float) -> Samples:
    """Let autotune sample service times, as it does to profile."""
    request = ClosedLoop(busy=1, batch_size=1, duration_s=seconds, min_runs=MIN_RUNS)
    with Bench(model) as bench:
        reply = bench.service_times(config.session_shape, request, TIMEOUT_S)
    if isinstance(reply, Failed):
        raise SystemExit(f"autotune's closed loop: {reply}")
    return reply.seconds


def open_loop(model: ModelSpec, config: ServingConfig, seconds: float) -> Samples:
    """Let autotune serve a schedule of which everything is due at once."""
    probe = ClosedLoop(busy=1, batch_size=1, duration_s=0.2, min_runs=MIN_RUNS)
    with Bench(model) as bench:
        reply = bench.service_times(config.session_shape, probe, TIMEOUT_S)
        if isinstance(reply, Failed):
            raise SystemExit(f"autotune's closed loop: {reply}")
        count = max(MIN_RUNS, round(seconds / float(np.median(reply.seconds))))
        trial = TrialSpec(config=config, arrivals_s=[0.0] * count, grace_s=GRACE_S)
        run = bench.measure(trial)
    if not isinstance(run, Measured) or run.lost:
        raise SystemExit(f"autotune's open loop: {run}")
    return run.service_s


SIDES: dict[str, Side] = {
    "plain loop": plain_loop,
    "plain loop again": plain_loop,
    "autotune, closed loop": closed_loop,
    "autotune, open loop": open_loop,
}


def make_mlp(folder: str) -> str:
    """Write an MLP of two layers, 256 x 6400 x 256, for 8 rows a request; return its path."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    layers = [
        numpy_helper.from_array((rng.standard_normal(shape) * 0.05).astype(np.float32), name)
        for name, shape in (("a", (256, 6400)), ("b", (6400, 256)))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "b"], ["y"]),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 8, 256]) for name in "xy"
    )
    graph = helper.make_graph(nodes, "mlp", [x], [y], initializer=layers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = Path(folder) / "mlp.onnx"
    onnx.save(model, str(path))
    return str(path)


def measure(
    model: ModelSpec, config: ServingConfig, rounds: int, seconds: float
) -> dict[str, list[Samples]]:
    """Return service times by side and round; who goes first changes from round to round."""
    results: dict[str, list[Samples]] = {name: [] for name in SIDES}
    names = list(SIDES)
    for number in range(rounds):
        start = number % len(names)
        order = names[start:] + names[:start]
        for name in order if (number // len(names)) % 2 == 0 else reversed(order):
            results[name].append(SIDES[name](model, config, seconds))
    return results


def _print_rows(title: str, results: dict[str, list[Samples]]) -> None:
    plain = results["plain loop"]
    for name, runs in results.items():
        cells = [title, name, f"{sum(map(len, runs)):,}"]
        for statistic in (np.mean, np.median):
            cells.append(spread([float(statistic(run)) * 1e3 for run in runs], 3))
            ratios = [float(statistic(a) / statistic(b)) for a, b in zip(runs, plain, strict=True)]
            cells.append("1" if name == "plain loop" else _ratio(ratios))
        print(f"| {' | '.join(cells)} |")


def _ratio(ratios: list[float]) -> str:
    """Return the median with the interval between the quartiles."""
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """Print mean and median service time of each side, medians over rounds with their range."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_model_options(parser, None)
    parser.add_argument("--threads", type=int, default=1, help="intra-op threads")
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each run")
    options = parser.parse_args()
    config = config_of(1, options.threads)
    print(f"`{shlex.join(['python', *sys.argv])}`\n")
    print(
        "| model | side | runs | mean ms (range of rounds) | ratio (quartiles of rounds) "
        "| median ms (range of rounds) | ratio (quartiles of rounds) |"
    )
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="against-") as folder:
        names = {options.model: options.model} if options.model else {"magika": "magika:"}
        if not options.model:
            names["MLP"] = make_mlp(folder)
        for title, name in names.items():
            model = model_of(name, options.shape)
            _print_rows(title, measure(model, config, options.rounds, options.seconds))


if __name__ == "__main__":
    main()
