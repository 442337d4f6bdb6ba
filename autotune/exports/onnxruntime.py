"""ONNX Runtime itself: the session's options as Python and as environment.

Source: ONNX Runtime's documentation, "Thread management", and its session configuration keys.
The runtime reads no environment variable for its threads: the snippet does.
"""

from autotune.exports.deployment import (
    IN_SESSION,
    Carried,
    Deployment,
    Exporter,
    placed,
    runtime_files,
)
from autotune.spec import ServingConfig

_SNIPPET = '''\
"""ONNX Runtime's options for one replica, for up to {load_rps} requests/s.

The environment, as session.env sets it, is stronger than what stands here.
"""

import os

import onnxruntime as ort

_spinning = os.environ.get("AUTOTUNE_SPINNING", "{spinning}")

options = ort.SessionOptions()
options.intra_op_num_threads = int(
    os.environ.get("AUTOTUNE_INTRA_OP_THREADS", "{intra_op_threads}")
)
options.add_session_config_entry("session.intra_op.allow_spinning", _spinning)
if os.environ.get("AUTOTUNE_EXECUTION_MODE", "{execution_mode}") == "parallel":
    options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    options.inter_op_num_threads = int(
        os.environ.get("AUTOTUNE_INTER_OP_THREADS", "{inter_op_threads}")
    )
    options.add_session_config_entry("session.inter_op.allow_spinning", _spinning)
'''


def _files(deployment: Deployment) -> dict[str, str]:
    return {
        "session_options.py": _snippet(deployment),
        "session.env": _environment(deployment),
        **runtime_files(deployment, "http_server.py"),
    }


def _snippet(deployment: Deployment) -> str:
    config = deployment.config
    threads, spinning = _pool(config)
    return _SNIPPET.format(
        load_rps=f"{deployment.load_rps:g}",
        intra_op_threads=threads,
        inter_op_threads=config.inter_op_threads,
        execution_mode=config.execution_mode,
        spinning=int(spinning),
    )


def _pool(config: ServingConfig) -> tuple[int, bool]:
    """Return ONNX Runtime's own threads, and whether they spin, beside those of a provider."""
    if config.provider in ("xnnpack", "dnnl"):
        return 1, False
    return config.intra_op_threads, config.spinning


def _environment(deployment: Deployment) -> str:
    config = deployment.config
    threads, spinning = _pool(config)
    values = {
        "AUTOTUNE_REPLICAS": config.replicas,
        "AUTOTUNE_INTRA_OP_THREADS": threads,
        "AUTOTUNE_INTER_OP_THREADS": config.inter_op_threads,
        "AUTOTUNE_EXECUTION_MODE": config.execution_mode,
        "AUTOTUNE_SPINNING": int(spinning),
        "AUTOTUNE_MAX_BATCH_SIZE": config.max_batch_size,
        "AUTOTUNE_BATCH_TIMEOUT_MS": f"{config.batch_timeout_ms:g}",
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _next_steps(deployment: Deployment) -> list[str]:
    return [
        "open each replica with the options of session_options.py",
        "session.env holds the same as environment variables, which session_options.py obeys",
        *placed(deployment),
        "to try it over HTTP: python http_server.py --port 8000",
    ]


ONNXRUNTIME = Exporter(
    title="ONNX Runtime in your own program",
    proof="run",
    carried={
        **IN_SESSION,
        "replicas_as": Carried("almost", "http_server.py keeps them as threads of one process"),
        "provider": Carried("code", "tuned_model.providers(), for InferenceSession(providers=...)"),
        "replicas": Carried("code", "that many sessions, in http_server.py; yours to open"),
        "intra_op_threads": Carried("setting", "SessionOptions.intra_op_num_threads"),
        "inter_op_threads": Carried("setting", "SessionOptions.inter_op_num_threads"),
        "execution_mode": Carried("setting", "SessionOptions.execution_mode"),
        "spinning": Carried("setting", "session.intra_op.allow_spinning and its inter-op twin"),
        "max_batch_size": Carried(
            "no", "a session does not batch: autotune.load(...).open(...) is a batcher"
        ),
        "batch_timeout_ms": Carried(
            "no", "a session does not batch: autotune.load(...).open(...) is a batcher"
        ),
    },
    files=_files,
    next_steps=_next_steps,
    replicas_as="threads",
)
