"""The tuned model behind TorchServe: the handler that `torch-model-archiver` packs.

Written by `autotune export`. Needs tuned_model.py's packages beside TorchServe's own.
"""

import json
from pathlib import Path
from typing import Any

from ts.context import Context
from tuned_model import KNOBS, Replica


class TunedModel:
    """One worker: one replica."""

    def initialize(self, context: Context) -> None:
        """Open the session; a model that was packed lies beside this file, archives are flat."""
        model = Path(KNOBS["model"])
        self.replica = Replica(
            {**KNOBS, "model": str(model) if model.is_absolute() else model.name}
        )

    def handle(self, data: list[dict[str, Any]], context: Context) -> list[str]:
        """Answer a batch: the bodies of its requests, which TorchServe has read as JSON."""
        answers = self.replica.answer([request["body"] for request in data])
        for index in range(len(answers)):
            context.set_response_content_type(index, "application/json")
        return [json.dumps(answer) for answer in answers]
