"""Runs NVIDIA's Model Analyzer on models, with a tritonserver that needs no GPU or container.

For `against_model_analyzer.py`, which says where the programs come from, and
`joint_against_model_analyzer.py`. Everything is written to one folder; every process that was
started is gone afterwards.
"""

import argparse
import contextlib
import csv
import json
import math
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from rival_triton import Tools, add_to_repository, write_wrappers

from autotune.spec import ModelSpec, Record, ServingConfig

LONGEST_S = 3600.0
RESULT = "model-analyzer.json"


class Winner(Record, frozen=True):
    """What Model Analyzer chose for a model."""

    config: ServingConfig
    in_flight: int
    """Requests that its load generator kept waiting or running when this was best."""
    throughput_rps: float
    p99_ms: float


class Rival(Record, frozen=True):
    """What Model Analyzer did and found."""

    seconds: float
    """Wall time of the whole program."""
    measurements: int
    configurations: int
    winners: dict[str, Winner]
    """By model."""


class Wanted(NamedTuple):
    """What Model Analyzer is asked of a model."""

    model: ModelSpec
    slo_ms: int
    """p99."""
    stable_within_percent: int | None = None
    """By which windows of the load generator may differ from each other; None: its own choice."""


def run_model_analyzer(wanted: Mapping[str, Wanted], tools: Tools, folder: Path) -> Rival:
    """Let Model Analyzer search, from an empty folder; several models are profiled concurrently.

    Raises:
        SystemExit: it failed, nothing that it measured keeps the SLO, or the folder is not empty.
    """
    if any(folder.iterdir()):
        raise SystemExit(f"{folder}: holds something else; name an empty or a new folder")
    for name, one in wanted.items():
        add_to_repository(folder / "repository", name, one.model)
    server, load_generator = write_wrappers(folder, tools)
    http, grpc, metrics = _free_ports(3)
    config = {
        "model_repository": str(folder / "repository"),
        "profile_models": {
            name: {
                "cpu_only": True,
                "objectives": {"perf_throughput": 10},
                "constraints": {"perf_latency_p99": {"max": one.slo_ms}},
                "perf_analyzer_flags": _flags(one),
            }
            for name, one in wanted.items()
        },
        "run_config_search_mode": "quick",
        "run_config_profile_models_concurrently_enable": len(wanted) > 1,
        "gpus": [],
        "triton_launch_mode": "local",
        "triton_server_path": str(server),
        "triton_output_path": str(folder / "tritonserver.log"),
        "triton_http_endpoint": f"localhost:{http}",
        "triton_grpc_endpoint": f"localhost:{grpc}",
        "triton_metrics_url": f"http://localhost:{metrics}/metrics",
        "perf_analyzer_path": str(load_generator),
        "output_model_repository_path": str(folder / "variants"),
        "checkpoint_directory": str(folder / "checkpoints"),
        "export_path": str(folder / "export"),
    }
    (folder / "config.yaml").write_text(json.dumps(config, indent=2))  # JSON is YAML
    started_s = time.perf_counter()
    status = _run_and_sweep([str(tools.model_analyzer), "profile", "-f", "config.yaml"], folder)
    seconds = time.perf_counter() - started_s
    results = folder / "export" / "results" / "metrics-model-inference.csv"
    if status or not results.exists():
        tail = (folder / "model-analyzer.log").read_text()[-2000:]
        raise SystemExit(f"Model Analyzer ended with {status}:\n{tail}")
    rival = read_results(results, seconds)
    (folder / RESULT).write_bytes(msgspec.json.encode(rival))
    return rival


def _run_and_sweep(command: Sequence[str], folder: Path) -> int:
    """Run in the folder, and leave no process behind, whatever happens; return the status."""
    with (folder / "model-analyzer.log").open("w") as log:
        running = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return running.wait(LONGEST_S)
        finally:
            _end_group(running.pid, folder)
            running.wait()
            servers = folder / "servers"
            for pid in servers.read_text().split() if servers.exists() else []:
                _end_group(int(pid), folder)


def _end_group(pid: int, folder: Path) -> None:
    """Kill a process and its children, if it is still the one that was started in the folder."""
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/cwd").resolve() == folder.resolve():
            os.killpg(pid, signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]


def _flags(wanted: Wanted) -> dict[str, int]:
    within = wanted.stable_within_percent
    return {} if within is None else {"stability-percentage": within}


def read_results(path: Path, seconds: float) -> Rival:
    """Read Model Analyzer's table, one measurement per row.

    Of what keeps the SLOs, the highest throughput wins; of several models, the highest geometric
    mean: Model Analyzer compares by the mean of their relative gains.

    Raises:
        SystemExit: nothing keeps the SLOs.
    """
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file, skipinitialspace=True) if row["Model"]]
    kept = [row for row in rows if row["Satisfies Constraints"] == "Yes"]
    if not kept:
        raise SystemExit("Model Analyzer found nothing that keeps the SLO")
    best = max(kept, key=lambda row: math.prod(map(float, _each(row["Throughput (infer/sec)"]))))
    return Rival(
        seconds=seconds,
        measurements=len(rows),
        configurations=len({row["Model Config Path"] for row in rows}),
        winners=dict(zip(_each(best["Model"]), _winners(best), strict=True)),
    )


def _winners(row: Mapping[str, str]) -> list[Winner]:
    columns = [
        "Instance Group",
        "Max Batch Size",
        "Concurrency",
        "Throughput (infer/sec)",
        "p99 Latency (ms)",
    ]
    return [
        Winner(
            config=ServingConfig(
                replicas=int(group.split(":")[0]),
                intra_op_threads=1,
                spinning=False,
                max_batch_size=int(batch),
            ),
            in_flight=int(in_flight),
            throughput_rps=float(rate),
            p99_ms=float(p99),
        )
        for group, batch, in_flight, rate, p99 in zip(
            *(_each(row[column]) for column in columns), strict=True
        )
    ]


def _each(cell: str) -> list[str]:
    """Return what a cell says of each model: `341.6, [150.0,191.6]`, `2,4`, or of one `2`."""
    _, bracket, inner = cell.partition("[")
    return (inner.rstrip("] ") if bracket else cell).split(",")


def add_tool_options(parser: argparse.ArgumentParser) -> None:
    """Let the other side's programs be named, and where what it found is kept."""
    environment = "the program, or the environment or folder that holds it"
    parser.add_argument("--pytriton", type=Path, required=True, help="its environment")
    parser.add_argument("--model-analyzer", type=Path, required=True, help=environment)
    parser.add_argument("--perf-analyzer", type=Path, help=f"{environment} [default: PYTRITON]")
    parser.add_argument(
        "--stable-within",
        type=int,
        help="percent by which windows of its load generator may differ [default: its own, 10]",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        help="work in this folder; a search of Model Analyzer's that ended here is not run again",
    )


def rival_of(wanted: Mapping[str, tuple[ModelSpec, int]], options: argparse.Namespace) -> Rival:
    """Return what Model Analyzer finds, or found before in a folder that was kept.

    Args:
        wanted: each model with its SLO, a p99 in whole ms.
        options: of `add_tool_options`.
    """
    tools = Tools(
        find_program(options.pytriton, "python"),
        find_program(options.perf_analyzer or options.pytriton, "perf_analyzer"),
        find_program(options.model_analyzer, "model-analyzer"),
    )
    with _folder_of(options.keep) as folder:
        if (found := folder / RESULT).exists():
            return msgspec.json.decode(found.read_bytes(), type=Rival)
        asked = {
            name: Wanted(model, slo_ms, options.stable_within)
            for name, (model, slo_ms) in wanted.items()
        }
        return run_model_analyzer(asked, tools, folder)


@contextlib.contextmanager
def _folder_of(keep: Path | None) -> Iterator[Path]:
    """Yield the folder to work in: one that is kept, or one that is gone afterwards."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="model-analyzer-") as folder:
            yield Path(folder)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()


def find_program(place: Path, name: str) -> Path:
    """Return the program that was named, or the one in the folder or environment.

    Raises:
        SystemExit: there is none.
    """
    for path in (place, place / name, place / "bin" / name):
        if path.is_file():
            return path.absolute()
    raise SystemExit(f"{place}: no {name} there; the head of this file says how to get it")
