"""Batches put together in place against stacked anew. `python benchmarks/batch_assembly.py`

First assembly alone, back to back in a thread, as a replica does it. Then requests through the
engine with a model that cuts images into patches (one strided convolution and a mean, so that
moving the data matters): Poisson arrivals at 60 % of what the engine sustains with such batches, at
most 2000/s, and a timeout in which a batch fills on average. Three sides in interleaved rounds
under the same arrivals: stacked by `np.concatenate`; in place, but only when the batch is closed;
as shipped, where large requests are filled in as they arrive. Ratios are to stacking in the same
round. Needs `pip install '.[test]'`; takes 8 minutes.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from fresh import config_of, spread

from autotune.arrivals import Traffic, draw
from autotune.engine import assembly
from autotune.engine.assembly import Assembly
from autotune.engine.replica import Infer, start_replicas
from autotune.engine.source import ScheduleSource, Tensors, stack
from autotune.models.onnx_model import as_infer, open_session
from autotune.outcome import Samples
from autotune.probes.threads import cpu_seconds
from autotune.request_log import new_log
from autotune.stages.drive import order_of_round

SIZES = (64, 224, 640)
BATCHES = (2, 8, 32)
UTILISATION, MAX_RPS = 0.6, 2000.0
KINDS = 16
"""Different requests, so that they are not all in a core's own cache."""
PATCH, CHANNELS = 16, 8

NEVER = sys.maxsize
SIDES: dict[str, tuple[int, int]] = {
    "stacked": (NEVER, NEVER),
    "in place, at the end": (0, NEVER),
    "as shipped": (assembly.MIN_BATCH_BYTES, assembly.MIN_EARLY_BYTES),
}
"""The least bytes of a batch that is put together in place, and of a request filled in early."""
BACKLOG = 40
"""Batches that tell which load can be sustained."""


class Case(NamedTuple):
    """One model under one load."""

    infer: Infer
    samples: list[Tensors]
    batch: int
    load_rps: float
    timeout_s: float


class Run(NamedTuple):
    """What a window gave."""

    latency_s: Samples
    cpu_s: float
    """Per request."""
    batch: float
    """Mean size."""


@contextmanager
def thresholds(batch_bytes: int, early_bytes: int) -> Iterator[None]:
    """Let the engine put batches together in place from these sizes on."""
    before = assembly.MIN_BATCH_BYTES, assembly.MIN_EARLY_BYTES
    assembly.MIN_BATCH_BYTES, assembly.MIN_EARLY_BYTES = batch_bytes, early_bytes
    try:
        yield
    finally:
        assembly.MIN_BATCH_BYTES, assembly.MIN_EARLY_BYTES = before


def requests_of(size: int) -> list[Tensors]:
    """Return images of 3 x size x size, one in each request."""
    rng = np.random.default_rng(0)
    return [{"x": rng.random((1, 3, size, size), np.float32)} for _ in range(KINDS)]


def make_model(folder: Path, size: int) -> Infer:
    """Write the model for images of one size, and open it with one thread."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).standard_normal((CHANNELS, 3, PATCH, PATCH))
    kernel = numpy_helper.from_array(weights.astype(np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], strides=[PATCH, PATCH]),
        helper.make_node("GlobalAveragePool", ["c"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, size, size])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CHANNELS, 1, 1])
    graph = helper.make_graph(nodes, "patches", [x], [y], initializer=[kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / f"patches{size}.onnx"
    onnx.save(model, str(path))
    return as_infer(open_session(str(path), config_of(1, 1).session_shape))


def median_s(call: Callable[[], object], seconds: float) -> float:
    """Return the median time of a call, repeated for so long and at least five times."""
    times: list[float] = []
    deadline_s = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < deadline_s:
        started_s = time.perf_counter()
        call()
        times.append(time.perf_counter() - started_s)
    return statistics.median(times[1:])


def print_alone(rounds: int, seconds: float) -> None:
    """Print what it takes to put a batch together, the requests being there."""
    print("| input | batch | MB | stacked ms (range) | in place ms (range) | ratio (range) |")
    print("|---|---|---|---|---|---|")
    for size in SIZES:
        for batch in BATCHES:
            requests = requests_of(size)
            together = [requests[i % KINDS] for i in range(batch)]
            own = Assembly(None, batch)
            pairs: list[tuple[float, float]] = []
            with thresholds(0, NEVER), ThreadPoolExecutor(1) as pool:
                for number in range(rounds):
                    calls = [partial(stack, together), partial(own.stack, together)]
                    found = [0.0, 0.0]
                    for turn in order_of_round(2, number, (size, batch)):
                        found[turn] = pool.submit(median_s, calls[turn], seconds).result()
                    pairs.append((found[0], found[1]))
            old, new = zip(*pairs, strict=True)
            cells = [f"3x{size}x{size}", str(batch), f"{batch * 12 * size**2 / 1e6:.3g}"]
            cells += [spread([1e3 * value for value in side], 3) for side in (old, new)]
            cells.append(spread([b / a for a, b in pairs]))
            print(f"| {' | '.join(cells)} |", flush=True)


def serve(case: Case, arrivals_s: list[float]) -> Run:
    """Serve a schedule through the engine with one replica."""
    log = new_log(len(arrivals_s))
    source = ScheduleSource(arrivals_s, case.samples, log)
    cpu_before_s = cpu_seconds()
    log.start_clock()
    for thread in start_replicas([case.infer], source, case.batch, case.timeout_s):
        thread.join()
    if source.error is not None:
        raise source.error
    cpu_s = (cpu_seconds() - cpu_before_s) / len(arrivals_s)
    latency_s = log.finished_s - np.array(arrivals_s)
    return Run(latency_s, cpu_s, float(1 / np.mean(1 / log.batch_size)))


def case_of(infer: Infer, size: int, batch: int) -> Case:
    """Find the load from how long the engine takes for a backlog, stacking."""
    case, count = Case(infer, requests_of(size), batch, 0.0, 0.0), BACKLOG * batch
    with thresholds(*SIDES["stacked"]):
        capacity_rps = count / float(np.max(serve(case, [0.0] * count).latency_s))
    load_rps = min(MAX_RPS, UTILISATION * capacity_rps)
    return case._replace(load_rps=load_rps, timeout_s=batch / load_rps)


def print_served(rounds: int, window_s: float) -> None:
    """Print latencies and CPU time of the three sides."""
    print("\n| input | batch (mean) | load/s | side | mean ms (range) | ratio (range) ", end="")
    print("| p99 ms (range) | ratio (range) | CPU ms (range) |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="assembly-") as folder:
        for size in SIZES:
            infer = make_model(Path(folder), size)
            for batch in BATCHES:
                case = case_of(infer, size, batch)
                _print_sides(case, size, _rounds(case, rounds, window_s))


def _rounds(case: Case, rounds: int, window_s: float) -> dict[str, list[Run]]:
    results: dict[str, list[Run]] = {side: [] for side in SIDES}
    for number in range(rounds):
        arrivals_s = draw(Traffic(load_rps=case.load_rps), window_s, (number,))
        for turn in order_of_round(len(SIDES), number, (case.batch,)):
            side = list(SIDES)[turn]
            with thresholds(*SIDES[side]):
                results[side].append(serve(case, arrivals_s.tolist()))
    return results


def _print_sides(case: Case, size: int, results: dict[str, list[Run]]) -> None:
    stacked = results["stacked"]
    for side, runs in results.items():
        mean = statistics.mean(run.batch for run in runs)
        cells = [f"3x{size}x{size}", f"{case.batch} ({mean:.1f})", f"{case.load_rps:,.0f}", side]
        for statistic in (np.mean, lambda values: np.quantile(values, 0.99)):
            own, base = ([float(statistic(r.latency_s)) for r in of] for of in (runs, stacked))
            cells.append(spread([1e3 * value for value in own]))
            ratios = [a / b for a, b in zip(own, base, strict=True)]
            cells.append("1" if side == "stacked" else spread(ratios))
        cells.append(spread([1e3 * run.cpu_s for run in runs], 3))
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print both tables: medians over rounds with their range."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each window")
    options = parser.parse_args()
    print_alone(options.rounds, options.seconds / 20)
    print_served(options.rounds, options.seconds)


if __name__ == "__main__":
    main()
