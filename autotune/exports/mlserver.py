"""MLServer: settings.json, model-settings.json and a runtime of our own.

Source: MLServer 1.7, "Settings" and "Adaptive Batching": `max_batch_size` counts requests, and
`max_batch_time: 0` turns batching off. It forms batches before it hands them to the workers in
turn, whether one is free or not, and joins what it finds: it takes requests to be of one shape.
"""

from autotune.exports.deployment import (
    IN_PROCESSES,
    IN_SESSION,
    Carried,
    Deployment,
    Exporter,
    placed,
    runtime_files,
    runtime_package,
    to_json,
)

_SHORTEST_S = 0.0001
"""Instead of no wait: what has arrived together is still joined."""


def _files(deployment: Deployment) -> dict[str, str]:
    config = deployment.config
    batching = config.max_batch_size > 1
    model = {
        "name": deployment.name,
        "implementation": "mlserver_runtime.TunedModel",
        "max_batch_size": config.max_batch_size if batching else 0,
        "max_batch_time": max(_SHORTEST_S, config.batch_timeout_ms / 1e3) if batching else 0,
        "parameters": {"uri": deployment.model_path, "version": "tuned"},
    }
    return {
        "settings.json": to_json({"parallel_workers": config.replicas, "debug": False}),
        "model-settings.json": to_json(model),
        **runtime_files(deployment, "mlserver_runtime.py"),
    }


def _next_steps(deployment: Deployment) -> list[str]:
    runtime = runtime_package(deployment)
    return [
        *placed(deployment),
        f'pip install mlserver {runtime} "uvloop<0.22": with a later uvloop no worker starts',
        "mlserver start THIS_FOLDER",
    ]


MLSERVER = Exporter(
    title="MLServer",
    proof="run",
    carried={
        "replicas": Carried("setting", "settings.json: parallel_workers, a process each"),
        **IN_PROCESSES,
        **IN_SESSION,
        "max_batch_size": Carried(
            "setting", "model-settings.json: max_batch_size, of requests that have one shape"
        ),
        "batch_timeout_ms": Carried(
            "almost",
            "a batch is closed after max_batch_time, from 0.1 ms, even if no worker is free",
        ),
    },
    files=_files,
    next_steps=_next_steps,
    replicas_as="processes",
    torch=True,
)
