"""LitServe: a Python file that starts it. Source: litserve 0.2, `LitServer` and `LitAPI`."""

from autotune.exports.deployment import (
    IN_PROCESSES,
    IN_SESSION,
    Carried,
    Deployment,
    Exporter,
    placed,
    runtime_files,
)


def _files(deployment: Deployment) -> dict[str, str]:
    return runtime_files(deployment, "litserve_server.py")


def _next_steps(deployment: Deployment) -> list[str]:
    return [*placed(deployment), "python litserve_server.py --port 8000"]


LITSERVE = Exporter(
    title="LitServe",
    proof="run",
    carried={
        "replicas": Carried("setting", "LitServer(workers_per_device), a process each"),
        **IN_PROCESSES,
        **IN_SESSION,
        "max_batch_size": Carried("setting", "LitAPI(max_batch_size)"),
        "batch_timeout_ms": Carried("setting", "LitAPI(batch_timeout), in seconds"),
    },
    files=_files,
    next_steps=_next_steps,
    replicas_as="processes",
    torch=True,
)
