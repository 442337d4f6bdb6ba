"""The tuned model behind Ray Serve: `serve run serve_config.yaml`.

Written by `autotune export`. Needs ray[serve] beside tuned_model.py's packages. GET instead of POST
tells whether all replicas run: 200 or 503.
"""

import asyncio
from typing import Any

from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from tuned_model import Replica


@serve.deployment
class TunedModel:
    """One replica, in a process of its own."""

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Open the session; Ray calls this before the first request, and when the YAML changes."""
        self.replica = Replica(user_config)
        self.infer.set_max_batch_size(user_config["max_batch_size"])
        self.infer.set_batch_wait_timeout_s(user_config["batch_timeout_ms"] / 1e3)

    @serve.batch
    async def infer(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Answer a batch.

        It keeps the event loop, which Ray has for this code alone, on purpose: with a free one Ray
        would make a batch of every request that comes while this one executes.
        """
        return self.replica.answer(requests)

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        if request.method == "GET":
            return await self.ready()
        return JSONResponse(await self.infer(await request.json()))

    async def ready(self) -> Response:
        """Ask Ray, which starts to serve when its first replica runs, about all of them."""
        name = serve.get_replica_context().app_name
        status = await asyncio.to_thread(serve.status)
        return Response(status_code=200 if status.applications[name].status == "RUNNING" else 503)


app = TunedModel.bind()  # type: ignore[attr-defined]  # the decorator makes it
