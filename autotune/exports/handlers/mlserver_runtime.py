"""The tuned model behind MLServer: `model-settings.json` names `mlserver_runtime.TunedModel`.

Written by `autotune export`. Needs mlserver beside tuned_model.py's packages.
"""

from typing import Any

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, Parameters, ResponseOutput
from tuned_model import KNOBS, Replica


class TunedModel(MLModel):
    """One of MLServer's parallel workers: one replica."""

    async def load(self) -> bool:
        """Open the session; called in each worker, and not in the process that has the ports."""
        self.replica = Replica()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a request, which MLServer may have joined from several.

        Nothing is awaited meanwhile, so a worker executes one batch at a time.
        """
        [answer] = self.replica.answer([_plain(payload)])
        seen = {**answer["parameters"], "batch_size": _requests(payload)}
        return InferenceResponse(
            model_name=answer["model_name"],
            outputs=[ResponseOutput(**output) for output in answer["outputs"]],
            parameters=Parameters(**seen),
        )


def _plain(payload: InferenceRequest) -> dict[str, Any]:
    return {
        "inputs": [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": tensor.shape,
                "data": tensor.data.root,
            }
            for tensor in payload.inputs
        ]
    }


def _requests(payload: InferenceRequest) -> int:
    """Return how many requests were joined: MLServer itself only tells the rows of all of them."""
    if KNOBS["max_batch_size"] == 1:
        return 1
    rows: int = payload.inputs[0].shape[0]
    rows_of_each: int = KNOBS["rows_per_request"]
    return max(1, rows // rows_of_each)
