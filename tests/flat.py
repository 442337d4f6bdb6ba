"""A machine on which nothing but the batch matters, for tests that predict."""

import numpy as np

from autotune.outcome import ModelInfo
from autotune.predict.service_law import Corner, ServiceLaw, fit_law, take_corners
from autotune.records import InputInfo
from autotune.spec import SessionShape

CORES = 4
BASE_S = 0.02
INFO = ModelInfo(
    inputs=[InputInfo(name="x", dtype="float32", shape=["batch", 8])],
    outputs=[InputInfo(name="y", dtype="float32", shape=["batch", 8])],
    sample_shapes={"x": [1, 8]},
    sample_source="generated",
    batchable=True,
    batch_reason="the first dimension is open",
    outputs_checked=True,
    outputs_reason="synthetic",
    footprint_bytes=1 << 20,
    default_threads=CORES,
    runtime="onnxruntime 1.0",
    load_s=0.1,
    run_s=0.02,
    engine_batch_s=0.0,
    engine_request_s=0.0,
)


def flat_law(batched_s: float = 4 * BASE_S) -> ServiceLaw:
    """A service time that neither threads nor neighbours change; four requests take so long."""

    def measure(shape: SessionShape, busy: int, size: int) -> Corner | None:
        seconds = np.full(5, BASE_S + (batched_s - BASE_S) * (size - 1) / 3)
        if busy > 1:
            return None
        return Corner(shape=shape, busy=busy, batch_size=size, seconds=seconds, cpu_s=0.0)

    return fit_law(take_corners(CORES, 4, 1.0, measure), CORES)
