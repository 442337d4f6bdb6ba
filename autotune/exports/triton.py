"""Triton: a model repository, for its ONNX Runtime backend and for its Python backend.

Sources: Triton's model configuration (`model_config.proto`) and the README of its
`onnxruntime_backend`, "Model Config Options". That backend completes a configuration without
batches (`max_batch_size: 0`) by turning dynamic batching on with up to 4 requests, so a model that
can be batched, and shall not, gets the size of one request instead.

Triton wants at least one dimension beside the batch of every input and output, and takes and
answers float16 as binary data only, not as JSON.
"""

from autotune.exports.deployment import (
    IN_PROCESSES,
    IN_SESSION,
    Carried,
    Deployment,
    Exporter,
    Knob,
    placed,
    runtime_files,
    runtime_package,
)
from autotune.spec import ServingConfig

_US_PER_MS = 1000


def config_pbtxt(deployment: Deployment, backend: str) -> str:
    """Return the model's configuration; inputs and outputs are completed by the server."""
    config = deployment.config
    rows = deployment.rows_per_request * config.max_batch_size if deployment.batchable else 0
    lines = [
        f"# {deployment.made_by}: for up to {deployment.load_rps:g} requests/s",
        f'name: "{deployment.name}"',
        f'backend: "{backend}"',
        f"max_batch_size: {rows}",
        f"instance_group [ {', '.join(_instances(config, backend))} ]",
    ]
    if config.max_batch_size > 1:
        delay_us = round(_US_PER_MS * config.batch_timeout_ms)
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {delay_us} }}")
    return "\n".join(lines) + "\n"


def _instances(config: ServingConfig, backend: str) -> list[str]:
    """Return the groups of instances; the Python backend puts its model where it likes."""
    if not config.on_gpu or backend == "python":
        return [f"{{ count: {config.replicas} kind: KIND_CPU }}"]
    on_each = [len(range(gpu, config.replicas, config.devices)) for gpu in range(config.devices)]
    return [
        f"{{ count: {count} kind: KIND_GPU gpus: [ {gpu} ] }}"
        for gpu, count in enumerate(on_each)
        if count
    ]


def _parameters(deployment: Deployment) -> str:
    config = deployment.config
    values = {
        "intra_op_thread_count": config.intra_op_threads,
        "inter_op_thread_count": config.inter_op_threads,
        "execution_mode": int(config.execution_mode == "parallel"),
    }
    return "".join(
        f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}\n'
        for key, value in values.items()
    )


def onnxruntime_backend_pbtxt(deployment: Deployment) -> str:
    """Return the configuration for the ONNX Runtime backend."""
    common = config_pbtxt(deployment, "onnxruntime")
    return common + _parameters(deployment) + _accelerator(deployment)


def _accelerator(deployment: Deployment) -> str:
    if deployment.config.provider != "tensorrt":
        return ""
    accelerator = 'gpu_execution_accelerator [ { name: "tensorrt" } ]'
    return f"optimization {{ execution_accelerators {{ {accelerator} }} }}\n"


def _files(deployment: Deployment) -> dict[str, str]:
    return {f"{deployment.name}/config.pbtxt": onnxruntime_backend_pbtxt(deployment)}


def _python_files(deployment: Deployment) -> dict[str, str]:
    inner = runtime_files(deployment, "triton_model.py")
    inner["model.py"] = inner.pop("triton_model.py")
    return {
        f"{deployment.name}/config.pbtxt": config_pbtxt(deployment, "python"),
        **{f"{deployment.name}/1/{name}": text for name, text in inner.items()},
    }


def _next_steps(deployment: Deployment) -> list[str]:
    return [
        f"put the model into {deployment.name}/1/ as model.onnx",
        "tritonserver --model-repository=THIS_FOLDER",
    ]


def _python_next_steps(deployment: Deployment) -> list[str]:
    return [
        *placed(deployment, f"{deployment.name}/1/"),
        "tritonserver --model-repository=THIS_FOLDER, with numpy and "
        f"{runtime_package(deployment)} for its python3",
    ]


_SCHEDULER: dict[Knob, Carried] = {
    "max_batch_size": Carried("setting", "max_batch_size, in rows"),
    "batch_timeout_ms": Carried("setting", "dynamic_batching.max_queue_delay_microseconds"),
}

TRITON = Exporter(
    title="Triton, ONNX Runtime backend",
    proof="parsed",
    carried={
        "replicas": Carried("setting", "instance_group.count"),
        "intra_op_threads": Carried("setting", "parameters: intra_op_thread_count"),
        "inter_op_threads": Carried("setting", "parameters: inter_op_thread_count"),
        "execution_mode": Carried("setting", "parameters: execution_mode"),
        "spinning": Carried(
            "no", "the backend has no key for it, so idle threads spin, as is the runtime's default"
        ),
        **_SCHEDULER,
        "replicas_as": Carried("setting", "threads of the server, without an interpreter lock"),
        "form": Carried("no", "it takes ONNX models only"),
        "provider": Carried("setting", "KIND_GPU, and execution_accelerators for TensorRT"),
        "devices": Carried("setting", "a group of instances for each GPU"),
        "overlap": Carried("no", "the backend copies a batch and then computes it"),
        "cuda_graphs": Carried("no", "the backend launches batches kernel by kernel"),
    },
    files=_files,
    next_steps=_next_steps,
    providers=("cpu", "cuda", "tensorrt"),
)

TRITON_PYTHON = Exporter(
    title="Triton, Python backend",
    proof="run",
    carried={
        "replicas": Carried("setting", "instance_group.count, a process each"),
        **IN_PROCESSES,
        **IN_SESSION,
        **_SCHEDULER,
    },
    files=_python_files,
    next_steps=_python_next_steps,
    replicas_as="processes",
    torch=True,
)
