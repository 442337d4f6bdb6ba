"""Ray Serve: its YAML, and the application that it names.

Source: ray 2.60, "Serve Config Files". Its schema accepts misspelt keys of a deployment, so only a
running server proves them. `ray_actor_options.num_cpus` reserves and limits nothing: the session's
own options do.

Ray forms batches as requests come, also while one executes: without a batch timeout most would be
of one request. The handler therefore keeps Ray's event loop while it executes.
"""

import json

from autotune.exports.deployment import (
    IN_PROCESSES,
    IN_SESSION,
    Carried,
    Deployment,
    Exporter,
    knobs_json,
    placed,
    runtime_files,
    to_yaml,
)


def _files(deployment: Deployment) -> dict[str, str]:
    return {**runtime_files(deployment, "ray_app.py"), "serve_config.yaml": _yaml(deployment)}


def _yaml(deployment: Deployment) -> str:
    config = deployment.config
    knobs = to_yaml(json.loads(knobs_json(deployment)))
    return (
        f"# {deployment.made_by}: for up to {deployment.load_rps:g} requests/s\n"
        "http_options:\n"
        "  host: 127.0.0.1\n"
        "  port: 8000\n"
        "applications:\n"
        f"  - name: {deployment.name}\n"
        f"    route_prefix: /v2/models/{deployment.name}/infer\n"
        "    import_path: ray_app:app\n"
        "    deployments:\n"
        "      - name: TunedModel\n"
        f"        num_replicas: {config.replicas}\n"
        f"        max_ongoing_requests: {_in_flight(config.max_batch_size)}\n"
        "        ray_actor_options:\n"
        "          num_cpus: 0\n"
        f"        user_config: {knobs}\n"
    )


def _in_flight(max_batch_size: int) -> int:
    """Requests that a replica may hold, so that the next batch gathers while one executes."""
    return max(100, 4 * max_batch_size)


def _next_steps(deployment: Deployment) -> list[str]:
    return [*placed(deployment), "serve run serve_config.yaml"]


RAYSERVE = Exporter(
    title="Ray Serve",
    proof="run",
    carried={
        "replicas": Carried("setting", "num_replicas, a process each"),
        **IN_PROCESSES,
        **IN_SESSION,
        "max_batch_size": Carried("setting", "user_config -> set_max_batch_size"),
        "batch_timeout_ms": Carried("setting", "user_config -> set_batch_wait_timeout_s"),
    },
    files=_files,
    next_steps=_next_steps,
    replicas_as="processes",
    torch=True,
)
