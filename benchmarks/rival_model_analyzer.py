"""Runs NVIDIA's Model Analyzer on a model, with a tritonserver that needs no GPU or container.

For `against_model_analyzer.py`, which says where the programs come from. Everything is written to
one folder; every process that was started is gone afterwards.
"""

import contextlib
import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from fresh import in_fresh_process

from autotune.engine.source import Tensors
from autotune.models.onnx_model import declared, open_session
from autotune.models.sample_inputs import make_samples
from autotune.spec import RUNTIME_DEFAULT, ModelSpec, Record, ServingConfig

DEFAULT_MAX_BATCH = 4
"""Of the configuration that Model Analyzer starts from: Triton's own choice for ONNX models."""
LONGEST_S = 3600.0
RESULT = "model-analyzer.json"

SERVED = '''"""Serves model.onnx with one session per instance, and batches as they come."""

from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as backend


class TritonPythonModel:
    def initialize(self, args):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            str(Path(__file__).with_name("model.onnx")),
            options,
            providers=["CPUExecutionProvider"],
        )
        self.inputs = [one.name for one in self.session.get_inputs()]
        self.outputs = [one.name for one in self.session.get_outputs()]

    def execute(self, requests):
        feeds = {}
        for name in self.inputs:
            parts = [
                backend.get_input_tensor_by_name(request, name).as_numpy() for request in requests
            ]
            feeds[name] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        ends = np.cumsum([len(part) for part in parts])
        results = self.session.run(None, feeds)
        return [
            backend.InferenceResponse(
                [
                    backend.Tensor(name, whole[end - len(part) : end])
                    for name, whole in zip(self.outputs, results)
                ]
            )
            for part, end in zip(parts, ends)
        ]
'''


class Tools(NamedTuple):
    """The programs of the other side."""

    python: Path
    """Of the environment that holds nvidia-pytriton."""
    perf_analyzer: Path
    model_analyzer: Path


class Tensor(NamedTuple):
    """An input or output of one request, without its batch axis."""

    name: str
    dtype: str
    """As Triton calls it."""
    shape: list[int]


class Rival(Record, frozen=True):
    """What Model Analyzer did and found."""

    seconds: float
    """Wall time of the whole program."""
    measurements: int
    configurations: int
    winner: ServingConfig
    in_flight: int
    """Requests that its load generator kept waiting or running when the winner was best."""
    throughput_rps: float
    p99_ms: float


def signature(model: ModelSpec) -> tuple[list[Tensor], list[Tensor]]:
    """Return the inputs and outputs of a request; needs a process of its own.

    Raises:
        SystemExit: the model has no batch axis in front.
    """
    session = open_session(model.path, RUNTIME_DEFAULT.session_shape)
    sample = make_samples(declared(session.get_inputs()), model)[0]
    names = [output.name for output in session.get_outputs()]
    answer = dict(zip(names, session.run(None, sample), strict=True))

    def tensors(arrays: Tensors) -> list[Tensor]:
        if any(array.ndim < 2 or array.shape[0] != 1 for array in arrays.values()):
            raise SystemExit(f"{model.path}: needs a batch axis in front, and one more")
        return [
            Tensor(name, _triton_type(a.dtype.name), [*a.shape[1:]]) for name, a in arrays.items()
        ]

    return tensors(sample), tensors(answer)


def _triton_type(dtype: str) -> str:
    return "TYPE_" + dtype.upper().replace("FLOAT", "FP")


def build_repository(folder: Path, model: ModelSpec) -> None:
    """Write a model repository that serves the model, without settings of its own."""
    inputs, outputs = in_fresh_process(signature, model)
    version = folder / "model" / "1"
    version.mkdir(parents=True)
    shutil.copy(model.path, version / "model.onnx")
    (version / "model.py").write_text(SERVED)
    lines = ['name: "model"', 'backend: "python"', f"max_batch_size: {DEFAULT_MAX_BATCH}"]
    for kind, tensors in (("input", inputs), ("output", outputs)):
        lines += [
            f'{kind} {{ name: "{one.name}" data_type: {one.dtype} dims: {one.shape} }}'
            for one in tensors
        ]
    lines += ["instance_group { count: 1 kind: KIND_CPU }", "dynamic_batching { }", ""]
    (folder / "model" / "config.pbtxt").write_text("\n".join(lines))


def write_wrappers(folder: Path, tools: Tools) -> tuple[Path, Path]:
    """Make a server and a load generator that find what they need; return both programs."""
    ask = "import json, sys, sysconfig as s; v = sys.version_info; print(json.dumps("
    ask += "[s.get_path('platlib'), s.get_config_var('LIBDIR'), f'{v[0]}.{v[1]}']))"
    said = subprocess.check_output([tools.python, "-c", ask], text=True)
    packages, python_libraries, version = json.loads(said)
    server = Path(packages) / "pytriton" / "tritonserver"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    backend, libraries = folder / "backends" / "python", folder / "libraries"
    backend.mkdir(parents=True)
    libraries.mkdir()
    for file in (stub, *(server / "backends" / "python").glob("*.*")):
        shutil.copy(file, backend)
    bundled = Path(packages) / "nvidia_pytriton.libs"
    for pattern, name in (("libb64-*", "libb64.so.0d"), ("libcudart-*", "libcudart.so.12")):
        (libraries / name).symlink_to(next(bundled.glob(pattern)))
    # The stub runs the `python3` that comes first; without the library path the server hangs.
    serve = _program(
        folder / "tritonserver",
        f'echo $$ >> "{folder}/servers"',
        f'export PATH="{tools.python.parent}:$PATH"',
        f'export LD_LIBRARY_PATH="{bundled}:{python_libraries}"',
        f'exec "{server}/bin/tritonserver" "$@" --backend-directory="{backend.parent}" '
        "--allow-gpu-metrics=false --pinned-memory-pool-byte-size=0",
    )
    load = _program(
        folder / "perf_analyzer",
        f'export LD_LIBRARY_PATH="{libraries}"',
        f'exec "{tools.perf_analyzer}" "$@"',
    )
    return serve, load


def _program(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def run_model_analyzer(model: ModelSpec, slo_ms: int, tools: Tools, folder: Path) -> Rival:
    """Let Model Analyzer search, from an empty folder.

    Raises:
        SystemExit: it failed, nothing that it measured keeps the SLO, or the folder is not empty.
    """
    if any(folder.iterdir()):
        raise SystemExit(f"{folder}: holds something else; name an empty or a new folder")
    build_repository(folder / "repository", model)
    server, load_generator = write_wrappers(folder, tools)
    http, grpc, metrics = _free_ports(3)
    config = {
        "model_repository": str(folder / "repository"),
        "profile_models": {
            "model": {
                "cpu_only": True,
                "objectives": {"perf_throughput": 10},
                "constraints": {"perf_latency_p99": {"max": slo_ms}},
            }
        },
        "run_config_search_mode": "quick",
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


def read_results(path: Path, seconds: float) -> Rival:
    """Read Model Analyzer's table, one measurement per row.

    Raises:
        SystemExit: nothing keeps the SLO.
    """
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file, skipinitialspace=True) if row["Model"]]
    kept = [row for row in rows if row["Satisfies Constraints"] == "Yes"]
    if not kept:
        raise SystemExit("Model Analyzer found nothing that keeps the SLO")
    best = max(kept, key=lambda row: float(row["Throughput (infer/sec)"]))
    winner = ServingConfig(
        replicas=int(best["Instance Group"].split(":")[0]),
        intra_op_threads=1,
        spinning=False,
        max_batch_size=int(best["Max Batch Size"]),
    )
    return Rival(
        seconds=seconds,
        measurements=len(rows),
        configurations=len({row["Model Config Path"] for row in rows}),
        winner=winner,
        in_flight=int(best["Concurrency"]),
        throughput_rps=float(best["Throughput (infer/sec)"]),
        p99_ms=float(best["p99 Latency (ms)"]),
    )


def find_program(place: Path, name: str) -> Path:
    """Return the program that was named, or the one in the folder or environment.

    Raises:
        SystemExit: there is none.
    """
    for path in (place, place / name, place / "bin" / name):
        if path.is_file():
            return path.absolute()
    raise SystemExit(f"{place}: no {name} there; the head of this file says how to get it")
