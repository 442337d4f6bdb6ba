"""The embedded engine under faults: is every request answered once, with what is its own?

`python benchmarks/engine_under_faults.py [--requests 1000000] [--in-processes 20000]`

First a model in this process that computes a function of each request's number, so that an answer
tells whose it is. It raises errors (also such as would end its thread), returns too few or too many
rows, and takes its time, as the requests tell it to; requests are cancelled, given deadlines that
cannot be met, and submitted by several threads against a full queue. Then the same with a small
ONNX model whose replicas are processes that are killed at random moments. Exits with 1 if a request
was lost, answered twice or with another's answer, or if threads, processes, descriptors or shared
memory are left behind. The second part needs `pip install '.[test]'`.
"""

import argparse
import gc
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from autotune.engine.counters import Counters
from autotune.engine.errors import DeadlineExceededError, QueueFullError, ReplicaGoneError
from autotune.engine.group import Upkeep
from autotune.engine.live import Admission, LiveEngine
from autotune.engine.source import Array, Tensors
from autotune.models.live_replicas import LiveReplicas
from autotune.spec import ModelSpec, ServingConfig

SUBMITTERS = 4
OUTSTANDING = 300
"""Requests that each of them has under way, together more than may be queued."""
MAX_QUEUED = 512
MAX_BATCH, BATCH_TIMEOUT_S = 8, 0.0005
NONE, RAISE, EXIT, FEWER, MORE, DELAY = range(6)
FAULT_SHARES = {RAISE: 0.005, EXIT: 0.001, FEWER: 0.003, MORE: 0.002, DELAY: 0.001}
CANCEL_SHARE, DEADLINE_SHARE, WIDE_SHARE = 0.01, 0.03, 0.05
MOST_DEADLINE_S, MOST_DELAY_S = 0.02, 0.003
PATIENCE_S = 60.0
"""After which a request without an answer is lost."""
PACE_S = 0.006
"""Between two requests of one submitter to processes, so that many of these die meanwhile."""
LIFE_S = 0.8
"""Of a process, on average, until one of them is killed."""
OUTCOMES = ("answered", "failed as injected", "expired", "cancelled")
WRONGS = ("lost", "doubled", "mismatched", "left behind")


class Request(NamedTuple):
    """What is submitted, and what should come of it."""

    number: int
    fault: int
    inputs: Tensors
    timeout_s: float | None
    cancel: bool


Draws = Callable[[random.Random, int], Request]


class Held(NamedTuple):
    """What a process has of the system's."""

    threads: int
    processes: int
    descriptors: int
    mappings: int
    """Of memory shared with replicas."""


class Found(NamedTuple):
    """What became of the requests."""

    tally: Counter[str]
    counters: Counters
    left: dict[str, int]
    """Of each kind that `Held` knows, what there is more than before."""
    killed: int
    seconds: float

    @property
    def wrongs(self) -> dict[str, int]:
        """What must not be, with how often it was."""
        counters = self.counters
        ended = counters.answered + counters.failed + counters.expired + counters.cancelled
        seen = sum(self.tally[name] for name in (*OUTCOMES, "died twice", "mismatched"))
        return {
            "lost": self.tally["lost"] + counters.submitted - ended,
            "doubled": ended - seen - self.tally["lost"],
            "mismatched": self.tally["mismatched"],
            "left behind": sum(self.left.values()),
        }


def value_of(numbers: Array) -> Array:
    """Return what the model answers: another value for each number."""
    return numbers * 2654435761 % 1000000007


def model(inputs: Tensors) -> Tensors:
    """Answer each row by its number, or fail as one of the rows tells."""
    x = inputs["x"]
    faults = {int(fault) for fault in x[:, 1]}
    if RAISE in faults:
        raise ValueError(f"injected for one of {x[x[:, 1] == RAISE, 0].tolist()}")
    if EXIT in faults:
        raise SystemExit(3)
    if DELAY in faults:
        time.sleep(random.random() * MOST_DELAY_S)
    values = value_of(x[:, :1])
    # Whose rows they are could be told from nothing else, so a batch must not be handed out.
    if len({int(number) for number in x[:, 0]}) > 1:
        if FEWER in faults:
            values = values[:-1]
        elif MORE in faults:
            values = np.concatenate([values, values[:1]])
    return {"y": values}


def draw_faulty(rng: random.Random, number: int) -> Request:
    """Return a request of one to three rows, with what shall befall it."""
    (fault,) = rng.choices(
        [NONE, *FAULT_SHARES], [1 - sum(FAULT_SHARES.values()), *FAULT_SHARES.values()]
    )
    width = 3 if rng.random() < WIDE_SHARE else 2
    x = np.zeros((rng.randint(1, 3), width), np.int64)
    x[:, 0], x[:, 1] = number, fault
    short = rng.random() < DEADLINE_SHARE
    timeout_s = rng.random() * MOST_DEADLINE_S if short else rng.choice([None, PATIENCE_S])
    return Request(number, fault, {"x": x}, timeout_s, rng.random() < CANCEL_SHARE)


def draw_plain(rng: random.Random, number: int) -> Request:
    """Return a request that meets with nothing but what happens to its replica."""
    return Request(number, NONE, {"x": np.full((rng.randint(1, 3), 1), number)}, None, False)


def outcome(request: Request, future: "Future[Tensors]") -> str:
    """Wait for a request's end and say what it was."""
    try:
        error = future.exception(timeout=PATIENCE_S)
    except CancelledError:
        return "cancelled" if request.cancel else "mismatched"
    except TimeoutError:
        return "lost"
    if error is None:
        expected = value_of(request.inputs["x"][:, :1])
        right = request.fault not in (RAISE, EXIT) and np.array_equal(
            future.result()["y"], expected
        )
        return "answered" if right else "mismatched"
    if isinstance(error, DeadlineExceededError):
        return "expired" if request.timeout_s is not None else "mismatched"
    if isinstance(error, ReplicaGoneError):
        return "died twice"
    said = {RAISE: f"injected for one of [{request.number}", EXIT: "the model raised SystemExit: 3"}
    as_told = request.fault in said and str(error).startswith(said[request.fault])
    return "failed as injected" if as_told else "mismatched"


def submit_all(engine: LiveEngine, draw: Draws, numbers: range) -> Counter[str]:
    """Submit requests with many under way, and say what became of each."""
    rng, tally = random.Random(numbers.start), Counter[str]()
    under_way: deque[tuple[Request, Future[Tensors]]] = deque()
    for number in numbers:
        request = draw(rng, number)
        while True:
            try:
                future = engine.submit(request.inputs, request.timeout_s)
                break
            except QueueFullError:
                tally["rejected"] += 1
                if under_way:
                    tally[outcome(*under_way.popleft())] += 1
                else:
                    time.sleep(0.001)
        under_way.append((request, future))
        if request.cancel:
            future.cancel()
        if len(under_way) == OUTSTANDING:
            tally[outcome(*under_way.popleft())] += 1
    tally.update(outcome(*one) for one in under_way)
    return tally


def held() -> Held:
    """Return what this process has now, once what nobody holds is gone."""
    gc.collect()
    me = os.getpid()
    children = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            children += int(path.read_text(errors="replace").rpartition(")")[2].split()[1]) == me
        except OSError:
            continue  # it ended meanwhile
    maps = Path("/proc/self/maps").read_text()
    return Held(
        threads=threading.active_count(),
        processes=children,
        descriptors=len(os.listdir("/proc/self/fd")),
        mappings=maps.count("memfd:autotune"),
    )


def drive(open_engine: Callable[[], LiveEngine], draw: Draws, count: int, kill: "Killer") -> Found:
    """Let all submitters loose on an engine, then close it and see what is left."""
    before, began_s = held(), time.perf_counter()
    engine = open_engine()
    bounds = np.linspace(0, count, SUBMITTERS + 1).astype(int).tolist()
    with engine, ThreadPoolExecutor(SUBMITTERS) as pool:
        ending = threading.Event()
        killer = threading.Thread(target=kill.run, args=(ending,))
        killer.start()
        parts = [range(*pair) for pair in pairwise(bounds)]
        tallies = list(pool.map(partial(submit_all, engine, draw), parts))
        ending.set()
        killer.join()
    counters = engine.counters()
    seconds = time.perf_counter() - began_s
    del engine
    left = {
        name: max(0, after - earlier)
        for name, earlier, after in zip(Held._fields, before, held(), strict=True)
    }
    return Found(sum(tallies, Counter[str]()), counters, left, kill.killed, seconds)


class Killer:
    """Kills a replica's process every now and then."""

    def __init__(self) -> None:
        """Know no processes yet."""
        self.replicas: LiveReplicas | None = None
        self.killed = 0

    def run(self, ending: threading.Event) -> None:
        """Go on until told to end."""
        rng = random.Random(0)
        while not ending.wait(rng.expovariate(1 / LIFE_S)):
            if self.replicas is not None:
                try:
                    os.kill(rng.choice(self.replicas.pids), signal.SIGKILL)
                    self.killed += 1
                except ProcessLookupError:
                    continue  # dead already, and nobody has asked it since


def in_threads(count: int) -> Found:
    """Serve with two replicas in this process, which do as the requests tell them."""
    admission = Admission(MAX_QUEUED, ["x"])

    def open_engine() -> LiveEngine:
        return LiveEngine([model, model], MAX_BATCH, BATCH_TIMEOUT_S, admission)

    return drive(open_engine, draw_faulty, count, Killer())


def in_processes(count: int, folder: Path) -> Found:
    """Serve with two replicas in processes, which are killed."""
    config = ServingConfig(replicas=2, intra_op_threads=1, spinning=False, replicas_as="processes")
    spec, kill = ModelSpec(path=str(write_model(folder))), Killer()

    def open_engine() -> LiveEngine:
        kill.replicas = replicas = LiveReplicas(spec, config.session_shape)
        return LiveEngine(
            replicas.infers,
            MAX_BATCH,
            BATCH_TIMEOUT_S,
            Admission(MAX_QUEUED, replicas.names),
            Upkeep(replicas.reopen, replicas.kill, replicas.close),
        )

    def draw(rng: random.Random, number: int) -> Request:
        time.sleep(PACE_S)
        return draw_plain(rng, number)

    return drive(open_engine, draw, count, kill)


def write_model(folder: Path) -> Path:
    """Write an ONNX model that computes `value_of`."""
    import onnx
    from onnx import TensorProto, helper

    def constant(name: str, value: int) -> Any:
        return helper.make_tensor(name, TensorProto.INT64, [1], [value])

    nodes = [
        helper.make_node("Mul", ["x", "factor"], ["product"]),
        helper.make_node("Mod", ["product", "modulus"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.INT64, ["n", 1])
    y = helper.make_tensor_value_info("y", TensorProto.INT64, ["n", 1])
    constants = [constant("factor", 2654435761), constant("modulus", 1000000007)]
    graph = helper.make_graph(nodes, "value_of", [x], [y], initializer=constants)
    path = folder / "value_of.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, str(path))
    return path


def print_table(parts: dict[str, Found]) -> None:
    """Print what became of the requests, a column each part."""
    rows: dict[str, list[int | str]] = {
        "requests": [one.counters.submitted for one in parts.values()]
    }
    for name in (*OUTCOMES, "died twice"):
        rows[name] = [one.tally[name] for one in parts.values()]
    rows["rejected, and submitted again"] = [one.counters.rejected for one in parts.values()]
    rows["replicas killed"] = [one.killed for one in parts.values()]
    rows["replicas replaced"] = [one.counters.replicas_replaced for one in parts.values()]
    for name in WRONGS[:3]:
        rows[f"**{name}**"] = [one.wrongs[name] for one in parts.values()]
    for name in Held._fields:
        rows[f"**{name} left behind**"] = [one.left[name] for one in parts.values()]
    rows["seconds"] = [f"{one.seconds:.0f}" for one in parts.values()]
    print("| | " + " | ".join(parts) + " |")
    print("|---|" + "---:|" * len(parts))
    for name, cells in rows.items():
        texts = (f"{cell:,}" if isinstance(cell, int) else cell for cell in cells)
        print(f"| {name} | " + " | ".join(texts) + " |")


def main() -> int:
    """Run both parts; return 1 if something is as it must not be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1_000_000, help="in this process")
    parser.add_argument("--in-processes", type=int, default=20_000, help="0: none")
    asked = parser.parse_args()
    # That replicas die is what is asked for here.
    logging.getLogger("autotune.engine").setLevel(logging.CRITICAL)
    parts = {"threads": in_threads(asked.requests)}
    if asked.in_processes:
        with tempfile.TemporaryDirectory() as folder:
            parts["processes"] = in_processes(asked.in_processes, Path(folder))
    print_table(parts)
    return int(any(any(one.wrongs.values()) for one in parts.values()))


if __name__ == "__main__":
    sys.exit(main())
