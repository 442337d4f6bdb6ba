"""Tune a model, serve it over HTTP with the engine that was measured, and hold it to its promise.

pip install -c constraints.txt . magika fastapi uvicorn
python examples/serve-fastapi/tune_and_serve.py
"""

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import numpy as np

import autotune

MODEL = "magika:"
INPUTS = {"bytes": [[number % 256 for number in range(2048)]]}
SLO_MS = 100
LOAD_RPS = 30
SECONDS = 10


class Answer(NamedTuple):
    """How long one request took, in ms."""

    client_ms: float
    """From when it was due to be sent until its answer was there."""
    engine_ms: float
    """In the server, from its queue to its outputs."""


@contextmanager
def serve(tuned: Path) -> Iterator[int]:
    """Start the server and yield its port, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = ["--app-dir", str(Path(__file__).parent), "fastapi_server:app"]
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", *app, "--port", str(port), "--log-level", "warning"],
        env={**os.environ, "TUNED": str(tuned), "MODEL": MODEL},
    )
    try:
        for _ in range(300):
            if server.poll() is not None:
                raise SystemExit("the server did not start")
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait()


def post(port: int, due_s: float) -> Answer:
    """Send one request; its time counts from when it was due."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/predict", json.dumps(INPUTS), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"the server answered {answer.status} {answer.reason}")
    engine_ms = float(answer.headers["Server-Timing"].removeprefix("engine;dur="))
    return Answer(1e3 * (time.perf_counter() - due_s), engine_ms)


def drive(port: int) -> list[Answer]:
    """Send requests as independent users do, whether or not earlier ones were answered.

    A client that waits for each answer before it sends the next would not see any queue.
    """
    rng = random.Random(0)
    with ThreadPoolExecutor(64) as pool:
        for _ in range(4):
            post(port, time.perf_counter())  # the first ones find everything cold
        futures = []
        due_s = time.perf_counter()
        for _ in range(LOAD_RPS * SECONDS):
            due_s += rng.expovariate(LOAD_RPS)
            time.sleep(max(0.0, due_s - time.perf_counter()))
            futures.append(pool.submit(post, port, due_s))
        return [future.result() for future in futures]


def row(name: str, p50_ms: float | None, p99_ms: float | None) -> None:
    """Print two latencies; None: so many requests were lost that there is none."""
    cells = ("lost" if ms is None else f"{ms:.1f}" for ms in (p50_ms, p99_ms))
    print(f"{name:<22}", *(f"{cell:>8}" for cell in cells))


def main() -> None:
    """Tune, serve, drive, and print promised beside seen."""
    path = Path(tempfile.mkdtemp(prefix="autotune-fastapi-")) / "model.autotune.json"
    tuned = autotune.search(
        MODEL, slo_ms=SLO_MS, loads_rps=LOAD_RPS, budget_s=20, output=path, progress=True
    )
    print(tuned, flush=True)
    with serve(path) as port:
        print(f"\nServing {tuned.config().describe()} on port {port}", flush=True)
        answers = drive(port)
    promised = tuned.file.policy[0].measured
    print(f"{len(answers)} requests answered, {LOAD_RPS} a second\n\n{'':<22}  p50 ms   p99 ms")
    if promised is not None:  # else the search had no time to measure what it predicted
        row("promised by the file", promised.p50.value_ms, promised.p99.value_ms)
    for name, seen_ms in (
        ("seen by the engine", [one.engine_ms for one in answers]),
        ("seen by the client", [one.client_ms for one in answers]),
    ):
        p50_ms, p99_ms = np.percentile(seen_ms, [50, 99])
        row(name, p50_ms, p99_ms)
    within = sum(one.client_ms <= SLO_MS for one in answers) / len(answers)
    print(f"\nWithin the SLO of {SLO_MS} ms: {within:.1%}. The tuned file: {path}")


if __name__ == "__main__":
    main()
