"""Serve a tuned model over HTTP: FastAPI in front, the engine that was measured behind.

pip install fastapi uvicorn && autotune search magika: --slo 50ms
TUNED=model.autotune.json MODEL=magika: uvicorn --app-dir examples fastapi_server:app

POST /predict takes arrays by input name, {"bytes": [[0, 1, ...]]}, and answers with the outputs.
One process: the replicas are threads of the engine, so leave uvicorn's --workers at 1.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException

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
async def predict(inputs: dict[str, Any]) -> dict[str, Any]:
    """Queue one request and wait for its outputs; meanwhile others are queued and batched."""
    try:
        arrays = {name: np.array(inputs[name], dtype) for name, dtype in DTYPES.items()}
    except (KeyError, ValueError) as error:
        raise HTTPException(
            422, f"inputs must be arrays for {', '.join(DTYPES)}: {error}"
        ) from None
    outputs = await asyncio.wrap_future(app.state.engine.submit(arrays))
    return {name: array.tolist() for name, array in outputs.items()}
