"""OpenVINO: properties for `compile_model`, in the file that its benchmark_app loads.

Source: OpenVINO 2026, "CPU device" properties: `NUM_STREAMS` inferences run at once, and
`INFERENCE_NUM_THREADS` are shared by all streams. `INFERENCE_PRECISION_HINT` is there because the
device would otherwise compute in bfloat16 where it can, and answer other numbers than measured.
"""

from autotune.exports.deployment import (
    Carried,
    Deployment,
    Exporter,
    handler,
    knobs_json,
    placed,
    to_json,
)


def _files(deployment: Deployment) -> dict[str, str]:
    return {
        "openvino_config.json": to_json({"CPU": properties(deployment)}),
        "knobs.json": knobs_json(deployment),
        "v2_batches.py": handler("v2_batches.py"),
        "openvino_model.py": handler("openvino_model.py"),
        "http_server.py": handler("http_server.py"),
    }


def properties(deployment: Deployment) -> dict[str, str]:
    """Return the properties of the CPU device; without a number of threads it takes all cores."""
    config = deployment.config
    chosen = {"NUM_STREAMS": str(config.replicas), "INFERENCE_PRECISION_HINT": "f32"}
    if config.intra_op_threads:
        chosen["INFERENCE_NUM_THREADS"] = str(config.replicas * config.intra_op_threads)
    return chosen


def _next_steps(deployment: Deployment) -> list[str]:
    return [
        "it is another runtime than the one measured: `autotune verify` says what it makes of it",
        *placed(deployment),
        "to try it over HTTP: python http_server.py --runtime openvino --port 8000",
    ]


OPENVINO = Exporter(
    title="OpenVINO",
    proof="run",
    carried={
        "replicas": Carried("setting", "NUM_STREAMS, of one compiled model"),
        "intra_op_threads": Carried("setting", "INFERENCE_NUM_THREADS, for all streams"),
        "inter_op_threads": Carried("no", "its executor has no inter-op threads"),
        "execution_mode": Carried("no", "its executor has no parallel mode"),
        "spinning": Carried("no", "its threads have no such setting"),
        "max_batch_size": Carried("no", "a compiled model does not batch requests"),
        "batch_timeout_ms": Carried("no", "a compiled model does not batch requests"),
        "replicas_as": Carried("setting", "streams of one process, without an interpreter lock"),
        "form": Carried("no", "it takes ONNX models only"),
        "provider": Carried("setting", "it is OpenVINO itself"),
        "devices": Carried("no", "the files are for its CPU device"),
        "overlap": Carried("no", "the files are for its CPU device"),
        "cuda_graphs": Carried("no", "the files are for its CPU device"),
    },
    files=_files,
    next_steps=_next_steps,
    providers=("cpu", "openvino"),
)
