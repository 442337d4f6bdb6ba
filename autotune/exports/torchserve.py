"""TorchServe: a model configuration and a handler.

Source: TorchServe 0.12, "Model Archiver", "Batch Inference" and "Advanced configuration";
unmaintained since 2025. `maxBatchDelay` is in whole milliseconds, from when a worker takes the
first request on. Of its own, the server holds 100 requests and takes bodies of 6.5 MB.
"""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from autotune.exports.deployment import (
    IN_PROCESSES,
    IN_SESSION,
    Carried,
    Deployment,
    Exporter,
    placed,
    runtime_files,
    runtime_package,
)

_CONFIG = """\
default_workers_per_model=1
disable_token_authorization=true
job_queue_size=10000
max_request_size=1000000000
max_response_size=1000000000
"""


def archiver_command(name: str, model_path: str, more: Sequence[str] = ()) -> list[str]:
    """Return what packs the exported files, more of them, and the model if it lies beside them."""
    packed = ["tuned_model.py", "v2_batches.py", "knobs.json", *more]
    if model_path and not Path(model_path).is_absolute():
        packed.append(model_path)
    options = {
        "--model-name": name,
        "--version": "1.0",
        "--handler": "torchserve_handler.py",
        "--extra-files": ",".join(packed),
        "--config-file": "model-config.yaml",
        "--export-path": ".",
    }
    return ["torch-model-archiver", *(word for pair in options.items() for word in pair), "--force"]


def _files(deployment: Deployment) -> dict[str, str]:
    config = deployment.config
    delay_ms = max(1, math.ceil(config.batch_timeout_ms)) if config.max_batch_size > 1 else 1
    return {
        "model-config.yaml": (
            f"# {deployment.made_by}: for up to {deployment.load_rps:g} requests/s\n"
            f"minWorkers: {config.replicas}\n"
            f"maxWorkers: {config.replicas}\n"
            f"batchSize: {config.max_batch_size}\n"
            f"maxBatchDelay: {delay_ms}\n"
        ),
        "config.properties": _CONFIG,
        **runtime_files(deployment, "torchserve_handler.py"),
    }


def _next_steps(deployment: Deployment) -> list[str]:
    onnx = "" if deployment.is_torch else f" {runtime_package(deployment)}"
    more = ["compiled.pt2"] if deployment.config.form == "exported" else []
    return [
        *placed(deployment),
        f"pip install torchserve torch-model-archiver torch pyyaml{onnx}, beside Java 17",
        shlex.join(archiver_command(deployment.name, deployment.model_path, more)),
        f"torchserve --foreground --model-store . --models {deployment.name}.mar "
        "--ts-config config.properties",
    ]


TORCHSERVE = Exporter(
    title="TorchServe",
    proof="run",
    carried={
        "replicas": Carried("setting", "minWorkers and maxWorkers, a process each"),
        **IN_PROCESSES,
        **IN_SESSION,
        "max_batch_size": Carried("setting", "batchSize"),
        "batch_timeout_ms": Carried("almost", "maxBatchDelay counts whole milliseconds, from 1"),
    },
    files=_files,
    next_steps=_next_steps,
    replicas_as="processes",
    torch=True,
)
