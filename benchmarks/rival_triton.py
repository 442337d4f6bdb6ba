"""A tritonserver that needs no GPU or container, a load generator, and what the server serves.

For `rival_model_analyzer.py`.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from fresh import in_fresh_process

from autotune.engine.source import Tensors
from autotune.models.onnx_model import declared, open_session
from autotune.models.sample_inputs import make_samples
from autotune.spec import RUNTIME_DEFAULT, ModelSpec

DEFAULT_MAX_BATCH = 4
"""Of the configuration that Model Analyzer starts from: Triton's own choice for ONNX models."""

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


def add_to_repository(folder: Path, name: str, model: ModelSpec) -> None:
    """Write to a model repository what serves the model, without settings of its own."""
    inputs, outputs = in_fresh_process(signature, model)
    version = folder / name / "1"
    version.mkdir(parents=True)
    shutil.copy(model.path, version / "model.onnx")
    (version / "model.py").write_text(SERVED)
    lines = [f'name: "{name}"', 'backend: "python"', f"max_batch_size: {DEFAULT_MAX_BATCH}"]
    for kind, tensors in (("input", inputs), ("output", outputs)):
        lines += [
            f'{kind} {{ name: "{one.name}" data_type: {one.dtype} dims: {one.shape} }}'
            for one in tensors
        ]
    lines += ["instance_group { count: 1 kind: KIND_CPU }", "dynamic_batching { }", ""]
    (folder / name / "config.pbtxt").write_text("\n".join(lines))


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
