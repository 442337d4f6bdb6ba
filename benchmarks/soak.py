"""A soak of the embedded engine near its capacity: does anything grow?

`python benchmarks/soak.py [--minutes 30] [--share 0.9] [--replicas-as threads]`

Two replicas of a small ONNX model, batches of up to 4. A short closed loop, then a short overload,
find how many requests/s they sustain; then that share of it is offered as Poisson arrivals, each
with a deadline, and every 10 s resident memory (that of replicas in processes included), threads,
descriptors and queued requests are read. What each grows by is a Theil-Sen slope with its 95 %
interval (Sen 1968; the first tenth, while everything warms up, is left out). It grows where the
whole interval is above the bound that the table states, it does not where the whole interval is
below, and otherwise the run was too short to tell. Exits with 1 if something grows, is lost, or is
left behind after closing, and with 4 if something is undecided. Needs `pip install '.[test]'`.
"""

import argparse
import contextlib
import math
import os
import random
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import numpy as np
from engine_under_faults import Held, held
from scipy.stats import theilslopes

from autotune.engine.errors import DeadlineExceededError, QueueFullError
from autotune.engine.group import Upkeep
from autotune.engine.live import Admission, LiveEngine
from autotune.engine.source import Tensors
from autotune.models.live_replicas import LiveReplicas
from autotune.outcome import Samples
from autotune.probes.threads import thread_count
from autotune.spec import ModelSpec, ReplicasAs, ServingConfig

REPLICAS, MAX_BATCH, BATCH_TIMEOUT_S = 2, 4, 0.002
MAX_QUEUED, DEADLINE_S = 512, 0.5
WIDTH, HIDDEN = 256, 8192
CAPACITY_S, IN_FLIGHT, OVERLOAD = 5.0, 32, 1.2
EVERY_S = 10.0
WARM_SHARE = 0.1
KINDS = 16
MIB = 1 << 20
BOUNDS = {"memory, MiB": 16.0, "threads": 0.5, "descriptors": 0.5, "queued": 100.0}
"""Growth per hour that is allowed. At 1000 requests/s, 16 MiB are 5 bytes a request. The
queue cannot grow beyond its bound; at 100 an hour it would not in five."""


class Read(NamedTuple):
    """What was read at one moment: seconds since the start, then a number for each bound."""

    at_s: float
    memory_mib: float
    threads: float
    descriptors: float
    queued: float


class Growth(NamedTuple):
    """The slope of a series per hour, with its 95 % interval."""

    per_hour: float
    low: float
    high: float

    def verdict(self, bound: float) -> str:
        """Say whether it grows by more than is allowed."""
        if self.low > bound:
            return "grows"
        return "does not grow" if self.high <= bound else "undecided"


class Outcomes:
    """Counts what became of requests, and their latencies in a histogram that does not grow."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._lock = threading.Lock()
        self.answered = self.expired = self.failed = 0
        self._decibels = [0] * 200
        """Of latencies by tenths of a power of ten, from 1 ns."""

    def follow(self, future: "Future[Tensors]") -> None:
        """Count a request that was just submitted, once it ends."""
        began_s = time.perf_counter()
        future.add_done_callback(lambda done: self._end(done, began_s))

    def _end(self, future: "Future[Tensors]", began_s: float) -> None:
        took_s, error = time.perf_counter() - began_s, future.exception()
        with self._lock:
            if error is None:
                self.answered += 1
                self._decibels[max(0, min(199, int(20 * math.log10(took_s * 1e9))))] += 1
            elif isinstance(error, DeadlineExceededError):
                self.expired += 1
            else:
                self.failed += 1

    def percentile_ms(self, share: float) -> float:
        """Return a percentile of the latencies in ms, 6 % too high at most."""
        sums = np.cumsum(self._decibels)
        place = int(np.searchsorted(sums, share * sums[-1]))
        return float(10 ** ((place + 1) / 20) * 1e-6)


def write_model(folder: Path) -> Path:
    """Write a perceptron that takes about a millisecond."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "b"], ["y"]),
    ]
    weights = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
        for name, shape in {"a": (WIDTH, HIDDEN), "b": (HIDDEN, WIDTH)}.items()
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", WIDTH])
    graph = helper.make_graph(nodes, "perceptron", [x], [y], initializer=weights)
    path = folder / "perceptron.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, str(path))
    return path


def open_engine(path: Path, replicas_as: ReplicasAs) -> tuple[LiveEngine, LiveReplicas]:
    """Open the engine as `Tuned.open` does."""
    config = ServingConfig(
        replicas=REPLICAS, intra_op_threads=1, spinning=False, replicas_as=replicas_as
    )
    replicas = LiveReplicas(ModelSpec(path=str(path)), config.session_shape)
    engine = LiveEngine(
        replicas.infers,
        MAX_BATCH,
        BATCH_TIMEOUT_S,
        Admission(MAX_QUEUED, replicas.names),
        Upkeep(replicas.reopen if replicas.in_processes else None, replicas.kill, replicas.close),
    )
    return engine, replicas


def requests() -> list[Tensors]:
    """Return the requests that take turns."""
    rng = np.random.default_rng(1)
    return [{"x": rng.random((1, WIDTH), np.float32)} for _ in range(KINDS)]


def closed_loop_rps(engine: LiveEngine) -> float:
    """Return what a closed loop sustains: as many requests under way as fill all batches."""
    samples, free = requests(), threading.Semaphore(IN_FLIGHT)
    began_s, count = time.perf_counter(), 0
    while (now_s := time.perf_counter()) < began_s + CAPACITY_S:
        free.acquire()
        future = engine.submit(samples[count % KINDS])
        future.add_done_callback(lambda done: free.release())
        count += 1
    return count / (now_s - began_s)


def capacity_rps(engine: LiveEngine) -> float:
    """Return what is answered when more than a closed loop sustains is offered.

    Or what the closed loop sustains, if that is less: waking for each arrival takes CPU time from
    the replicas, which a closed loop does not show.
    """
    closed_rps = closed_loop_rps(engine)
    before = engine.counters().answered
    soak(engine, [], OVERLOAD * closed_rps, CAPACITY_S)
    answered = engine.counters().answered - before
    return min(closed_rps, answered / CAPACITY_S)


def read(engine: LiveEngine, pids: list[int], began_s: float) -> Read:
    """Read what must not grow."""
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in ["self", *pids])
    return Read(
        at_s=time.perf_counter() - began_s,
        memory_mib=sum(pages) * os.sysconf("SC_PAGE_SIZE") / MIB,
        threads=thread_count() + sum(map(thread_count, pids)),
        descriptors=len(os.listdir("/proc/self/fd")),
        queued=engine.counters().queued,
    )


def soak(
    engine: LiveEngine, pids: list[int], load_rps: float, seconds: float
) -> tuple[list[Read], Outcomes]:
    """Offer Poisson arrivals for so long, whatever becomes of them."""
    rng, samples, outcomes = random.Random(0), requests(), Outcomes()
    began_s = due_s = time.perf_counter()
    reads, count = list[Read](), 0
    while due_s < began_s + seconds:
        due_s += rng.expovariate(load_rps)
        if (wait_s := due_s - time.perf_counter()) > 0:
            time.sleep(wait_s)
        with contextlib.suppress(QueueFullError):  # which the engine counts
            outcomes.follow(engine.submit(samples[count % KINDS], DEADLINE_S))
        count += 1
        if due_s - began_s >= EVERY_S * (len(reads) + 1):
            reads.append(read(engine, pids, began_s))
    return reads, outcomes


def growth_of(reads: list[Read]) -> dict[str, Growth]:
    """Return the slope of each series, without the time in which everything warms up."""
    table: Samples = np.array(reads[int(len(reads) * WARM_SHARE) :])
    found = {}
    for column, name in enumerate(BOUNDS, 1):
        slope = theilslopes(table[:, column], table[:, 0] / 3600)
        found[name] = Growth(float(slope.slope), float(slope.low_slope), float(slope.high_slope))
    return found


def print_growth(reads: list[Read], growth: dict[str, Growth]) -> None:
    """Print a row for each series."""
    print("| | first | median | largest | last | growth per hour (95 %) | allowed | |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    table: Samples = np.array(reads)
    for column, (name, bound) in enumerate(BOUNDS.items(), 1):
        series, slope = table[:, column], growth[name]
        seen = [series[0], np.median(series), series.max(), series[-1]]
        cells = [f"{value:.6g}" for value in seen]
        cells.append(f"{slope.per_hour:.3g} ({slope.low:.3g} to {slope.high:.3g})")
        print(f"| {name} | {' | '.join(cells)} | {bound:g} | {slope.verdict(bound)} |")


def print_requests(outcomes: Outcomes, rejected: int) -> None:
    """Print what became of the requests."""
    print(
        f"\n{outcomes.answered:,} answered (p50 {outcomes.percentile_ms(0.5):.3g} ms, p99 "
        f"{outcomes.percentile_ms(0.99):.3g} ms), {outcomes.expired:,} expired after "
        f"{1e3 * DEADLINE_S:g} ms, {rejected:,} rejected, {outcomes.failed:,} failed."
    )


def main() -> int:
    """Soak, print what was read, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--share", type=float, default=0.9, help="of the capacity")
    parser.add_argument("--replicas-as", choices=["threads", "processes"], default="threads")
    asked = parser.parse_args()
    before = held()
    with tempfile.TemporaryDirectory() as folder:
        engine, replicas = open_engine(write_model(Path(folder)), asked.replicas_as)
        with engine:
            most_rps = capacity_rps(engine)
            load_rps = asked.share * most_rps
            print(
                f"{most_rps:,.0f} requests/s sustained by {REPLICAS} replicas as "
                f"{asked.replicas_as}; {load_rps:,.0f}/s offered for {asked.minutes:g} minutes.\n",
                flush=True,
            )
            while engine.counters().queued or engine.counters().executing:
                time.sleep(0.01)  # what the overload left
            at_first = engine.counters()
            reads, outcomes = soak(engine, replicas.pids, load_rps, 60 * asked.minutes)
        counters = engine.counters()
        del engine, replicas
    growth = growth_of(reads)
    print_growth(reads, growth)
    print_requests(outcomes, counters.rejected - at_first.rejected)
    ended = outcomes.answered + outcomes.expired + outcomes.failed
    lost = counters.submitted - at_first.submitted - ended
    left = [after - earlier for earlier, after in zip(before, held(), strict=True)]
    print(f"Lost: {lost}. Left after closing: {Held(*left)}")
    verdicts = {slope.verdict(BOUNDS[name]) for name, slope in growth.items()}
    if "grows" in verdicts or lost or any(number > 0 for number in left):
        return 1
    return 4 if "undecided" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
