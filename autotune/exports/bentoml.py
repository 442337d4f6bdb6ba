"""BentoML: a service file. Source: bentoml 1.4, "Adaptive batching" and "Workers".

Its batcher has no batch timeout: it learns from the last batches how long they take, and waits
while that pays. `max_latency_ms` is no wait either but the goal of a whole request, from arrival to
answer: what the batcher expects to miss it, it answers with 503. The handler sets 60 s, as long as
BentoML's own `traffic.timeout`, so that no request is lost to it sooner.

Workers accept from one socket, and asyncio's loop accepts all that wait there: of 24 connections
that came at once, one worker took 23. uvloop's accepts one at a time, and the workers share them.
"""

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
    return runtime_files(deployment, "bento_service.py")


def _next_steps(deployment: Deployment) -> list[str]:
    return [
        *placed(deployment),
        "install uvloop beside bentoml: it makes the workers share the connections",
        "bentoml serve bento_service:TunedModel --port 3000",
    ]


BENTOML = Exporter(
    title="BentoML",
    proof="run",
    carried={
        "replicas": Carried("setting", "@bentoml.service(workers), a process each"),
        **IN_PROCESSES,
        **IN_SESSION,
        "max_batch_size": Carried("setting", "@bentoml.api(max_batch_size)"),
        "batch_timeout_ms": Carried(
            "no", "its batcher decides itself how long to wait, by how long batches took"
        ),
    },
    files=_files,
    next_steps=_next_steps,
    replicas_as="processes",
    torch=True,
)
