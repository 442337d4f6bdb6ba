"""The tuned model behind LitServe: `python litserve_server.py --port 8000`.

Written by `autotune export`. Needs litserve beside tuned_model.py's packages.
"""

import argparse
from typing import Any

import litserve
from tuned_model import KNOBS, Replica


class TunedModel(litserve.LitAPI):
    """One worker: one replica."""

    def setup(self, device: str) -> None:
        """Open the session."""
        self.replica = Replica()

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Leave requests as they are; `predict` joins their arrays."""
        return inputs

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return one answer per request, as `predict` made them."""
        return output

    def predict(self, x: Any) -> Any:
        """Answer a batch, or a single request where there are no batches."""
        return self.replica.answer(x) if isinstance(x, list) else self.replica.answer([x])[0]


def server() -> litserve.LitServer:
    """Return the server with the knobs that LitServe itself has."""
    api = TunedModel(
        max_batch_size=KNOBS["max_batch_size"],
        batch_timeout=KNOBS["batch_timeout_ms"] / 1e3,
        api_path=f"/v2/models/{KNOBS['name']}/infer",
    )
    return litserve.LitServer(api, accelerator="cpu", workers_per_device=KNOBS["replicas"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--host", default="127.0.0.1")
    given = parser.parse_args()
    server().run(host=given.host, port=given.port, generate_client_file=False)
