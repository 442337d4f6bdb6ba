"""Serve a tuned model over HTTP: FastAPI in front, the engine that was measured behind.

    autotune search magika: --slo 50ms
    TUNED=model.autotune.json MODEL=magika: \\
        uvicorn --app-dir examples/serve-fastapi fastapi_server:app

POST /predict takes arrays by input name, {"bytes": [[0, 1, ...]]}, and answers with the outputs.
One process: the replicas are threads of the engine, so leave uvicorn's --workers at 1.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException, Response

import autotune

TUNED = autotune.load(os.environ.get("TUNED", "model.autotune.json"))
MODEL = os.environ.get("MODEL", TUNED.file.model.name)
_NUMPY = {"float": "float32", "double": "float64", "float16": "float16", "bool": "bool"}
DTYPES = {
    one.name: np.dtype(_NUMPY.get(kind := one.dtype.removeprefix("tensor(")[:-1], kind))
    for one in TUNED.file.model.inputs
}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the replicas before the first request, and serve what is queued before the end."""
    with TUNED.open(MODEL) as engine:
        app.state.engine = engine
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    """Answer once requests can be served."""
    return {"serves": TUNED.config().describe()}


@app.post("/predict")
async def predict(inputs: dict[str, Any], response: Response) -> dict[str, Any]:
    """Queue one request and wait for its outputs; meanwhile others are queued and batched."""
    try:
        arrays = {name: np.array(inputs[name], dtype) for name, dtype in DTYPES.items()}
    except (KeyError, ValueError) as error:
        raise HTTPException(
            422, f"inputs must be arrays for {', '.join(DTYPES)}: {error}"
        ) from None
    queued_s = time.perf_counter()
    try:
        # Returns at once; awaiting its future leaves the event loop to other requests.
        future = app.state.engine.submit(arrays)
    except autotune.QueueFullError as error:
        raise HTTPException(503, str(error)) from None
    outputs = await asyncio.wrap_future(future)
    # What the file promises ends here; the rest of a request's time is HTTP and JSON.
    engine_ms = 1e3 * (time.perf_counter() - queued_s)
    response.headers["Server-Timing"] = f"engine;dur={engine_ms:.2f}"
    return {name: array.tolist() for name, array in outputs.items()}
