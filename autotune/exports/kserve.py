"""KServe: an InferenceService on its Triton runtime, with the CPU that the threads need.

Source: KServe's v1beta1 API, `PredictorSpec`. The replicas stand in one pod, as they were
measured, through Triton's `config.pbtxt`; more pods come with more load (`scaleMetric: rps`).
"""

import math

from autotune.exports.deployment import Carried, Deployment, Exporter
from autotune.exports.triton import TRITON, onnxruntime_backend_pbtxt

_SERVER_MIB = 512
"""For Triton itself, beside what the model was measured to take."""


def _files(deployment: Deployment) -> dict[str, str]:
    return {
        "inference_service.yaml": _yaml(deployment),
        f"{deployment.name}/config.pbtxt": onnxruntime_backend_pbtxt(deployment),
    }


def _yaml(deployment: Deployment) -> str:
    cores = min(deployment.threads, deployment.cores)
    resources = {"cpu": f'"{cores}"'}
    if deployment.memory_mib is not None:
        resources["memory"] = f"{math.ceil(deployment.memory_mib) + _SERVER_MIB}Mi"
    if deployment.config.on_gpu:
        resources["nvidia.com/gpu"] = f'"{deployment.config.devices}"'
    amounts = "".join(f"          {name}: {amount}\n" for name, amount in resources.items())
    return (
        f"# {deployment.made_by}\n"
        "apiVersion: serving.kserve.io/v1beta1\n"
        "kind: InferenceService\n"
        "metadata:\n"
        f"  name: {deployment.name}\n"
        "spec:\n"
        "  predictor:\n"
        "    minReplicas: 1\n"
        "    # One pod was tuned for this load; Kubernetes adds pods above it.\n"
        "    scaleMetric: rps\n"
        f"    scaleTarget: {max(1, math.floor(deployment.load_rps))}\n"
        "    model:\n"
        "      modelFormat:\n"
        "        name: onnx\n"
        "      runtime: kserve-tritonserver\n"
        "      protocolVersion: v2\n"
        "      storageUri: pvc://CHANGE-ME\n"
        "      resources:\n"
        f"        requests:\n{amounts}"
        f"        limits:\n{amounts}"
    )


def _next_steps(deployment: Deployment) -> list[str]:
    return [
        f"put the model into {deployment.name}/1/ as model.onnx, and the folder {deployment.name} "
        "where storageUri shall point",
        "set storageUri in inference_service.yaml, then kubectl apply -f inference_service.yaml",
    ]


KSERVE = Exporter(
    title="KServe",
    proof="parsed",
    carried={
        **TRITON.carried,
        "replicas": Carried("setting", "instance_group.count in one pod with the CPU for all"),
    },
    files=_files,
    next_steps=_next_steps,
    providers=TRITON.providers,
)
