"""The tuned model behind BentoML: `bentoml serve bento_service:TunedModel --port 3000`.

Written by `autotune export`. Needs bentoml and uvloop beside tuned_model.py's packages. A body is a
JSON list of requests, and so is the answer: BentoML joins the lists of its clients into batches.
"""

import os
from pathlib import Path
from typing import Any

import bentoml
import uvloop as uvloop  # used where installed; else one worker takes nearly all connections
from tuned_model import KNOBS, Replica

LONGEST_MS = 60_000
"""Of a whole request: what BentoML's batcher expects to take longer it answers with 503."""

Requests = list[dict[str, Any]]
BATCHES = KNOBS["max_batch_size"] > 1
LIMITS = {"max_batch_size": KNOBS["max_batch_size"], "max_latency_ms": LONGEST_MS}


def workers_folder() -> Path:
    """Return the folder that BentoML empties at the start and shares between the workers."""
    return Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])


@bentoml.service(name=KNOBS["name"], workers=KNOBS["replicas"])
class TunedModel:
    """One worker: one replica."""

    def __init__(self) -> None:
        """Open the session."""
        self.replica = Replica()
        (workers_folder() / f"{os.getpid()}.started").touch()

    def __is_ready__(self) -> bool:
        """Tell `/readyz` whether all workers started: any of them may be asked."""
        return len(list(workers_folder().glob("*.started"))) >= KNOBS["replicas"]

    @bentoml.api(
        route=f"/v2/models/{KNOBS['name']}/infer",
        batchable=BATCHES,
        **(LIMITS if BATCHES else {}),  # a largest batch of 1 is refused
    )
    def infer(self, requests: Requests, /) -> Requests:
        """Answer a batch, or one after the other where there are no batches."""
        if BATCHES:
            return self.replica.answer(requests)
        return [self.replica.answer([request])[0] for request in requests]
