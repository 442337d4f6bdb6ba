"""ONNX Runtime's execution providers: which are there, their threads, and which nodes they run.

A provider takes those nodes of the graph that it knows, and the CPU provider runs the others.
ONNX Runtime neither complains when that is all of them, nor, of CUDA, when the provider cannot be
loaded at all. Here both are errors, and the share of each is told.
"""

import contextlib
import ctypes
import io
import json
import os
from collections import Counter
from pathlib import Path

import onnxruntime as ort

from autotune.errors import ModelError
from autotune.spec import ON_GPU, Provider, SessionShape

NAMES: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "dnnl": "DnnlExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""What ONNX Runtime calls them."""
OWN_POOL: tuple[Provider, ...] = ("xnnpack", "dnnl")
"""They compute with threads of their own, so those of ONNX Runtime would only be in their way."""

_FROM: dict[Provider, str] = {
    "openvino": "install onnxruntime-openvino in place of onnxruntime",
    "xnnpack": "build ONNX Runtime with --use_xnnpack",
    "dnnl": "build ONNX Runtime with --use_dnnl",
    "cuda": "install onnxruntime-gpu in place of onnxruntime",
    "tensorrt": "install onnxruntime-gpu in place of onnxruntime",
}
_RECORD_NODES = "session.record_ep_graph_assignment_info"
_DRIVER = "libcuda.so.1"
_MISSING = ": cannot open shared object file"
"""How the dynamic linker ends the name of a library that it does not find."""


def installed_providers() -> tuple[Provider, ...]:
    """Return the providers that this build of ONNX Runtime has, the CPU's first.

    Those of a GPU are in its package, whether there is a GPU or not.
    """
    available = ort.get_available_providers()
    return tuple(provider for provider, name in NAMES.items() if name in available)


def provider_chain(shape: SessionShape, gpu: int = 0) -> list[tuple[str, dict[str, str]]]:
    """Return the providers for one replica of `shape`, with options, the preferred one first.

    Source: ONNX Runtime's "Execution Providers". Threads are `num_of_threads` to OpenVINO, and
    `intra_op_num_threads` to XNNPACK; oneDNN's stand in the environment: see `prepare`. TensorRT
    leaves what it does not know to CUDA, whose memory it shares.
    """
    chain: list[tuple[Provider, dict[str, str]]] = [("cpu", {})]
    threads = str(shape.intra_op_threads) if shape.intra_op_threads else None
    device = {"device_id": str(gpu)}
    match shape.provider:
        case "openvino":
            options = {"device_type": "CPU", "num_streams": "1"} | _unpinned(shape)
            chain.insert(0, ("openvino", options | _given("num_of_threads", threads)))
        case "xnnpack":
            chain.insert(0, ("xnnpack", _given("intra_op_num_threads", threads)))
        case "dnnl":
            chain.insert(0, ("dnnl", {}))
        case "cuda":
            graphs = {"enable_cuda_graph": "1"} if shape.cuda_graphs else {}
            chain.insert(0, ("cuda", device | _arena(shape) | graphs))
        case "tensorrt":
            graphs = {"trt_cuda_graph_enable": "1"} if shape.cuda_graphs else {}
            chain = [("tensorrt", device | graphs), ("cuda", device | _arena(shape)), *chain]
        case "cpu":
            pass
    return [(NAMES[provider], options) for provider, options in chain]


def _given(name: str, value: str | None) -> dict[str, str]:
    return {} if value is None else {name: value}


def _unpinned(shape: SessionShape) -> dict[str, str]:
    """Each session of OpenVINO pins its threads from the first core on: replicas would share it."""
    if shape.replicas == 1:
        return {}
    return {"load_config": json.dumps({"CPU": {"ENABLE_CPU_PINNING": "NO"}})}


def _arena(shape: SessionShape) -> dict[str, str]:
    """An arena that doubles when it grows leaves a GPU too small for its other replicas."""
    return {"arena_extend_strategy": "kSameAsRequested"} if shape.replicas > shape.devices else {}


def set_pool(options: ort.SessionOptions, shape: SessionShape) -> None:
    """Tell ONNX Runtime to record who runs what, and to stay out of the way of other pools."""
    if shape.provider == "cpu":
        return
    options.add_session_config_entry(_RECORD_NODES, "1")
    if shape.provider in OWN_POOL:
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")


def absent_because(provider: Provider) -> str | None:
    """Return why this build of ONNX Runtime cannot have it, and what to do; None: it has it."""
    if provider in installed_providers():
        return None
    return f"this onnxruntime has no provider {provider}: {_FROM[provider]}"


def prepare(shape: SessionShape) -> None:
    """Make this process ready for the provider, before its first session.

    oneDNN takes its threads from OpenMP, which reads the environment once, when it is loaded.

    Raises:
        ModelError: this build of ONNX Runtime does not have it, or cannot tell what it runs.
    """
    provider = shape.provider
    if provider == "cpu":
        return
    if (reason := absent_because(provider)) is not None:
        raise ModelError(reason)
    if not hasattr(ort.InferenceSession, "get_provider_graph_assignment_info"):
        raise ModelError(
            f"onnxruntime {ort.__version__} cannot tell which nodes {provider} runs: "
            "upgrade to 1.24 or newer"
        )
    if provider == "dnnl":
        if shape.intra_op_threads:
            os.environ["OMP_NUM_THREADS"] = str(shape.intra_op_threads)
        os.environ["OMP_WAIT_POLICY"] = "active" if shape.spinning else "passive"
    if provider in ON_GPU:
        # It prints what it does not find, which `why_not_loaded` says better.
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()


def why_not_loaded(provider: Provider) -> str | None:
    """Return in one line which library the provider lacks, and what to do; None: it lacks none."""
    if provider == "cpu":
        return None
    of_nvidia, cannot = provider in ON_GPU, f"provider {provider} cannot be loaded: "
    if of_nvidia and _lacks(_DRIVER):
        return f"{cannot}there is no NVIDIA driver here ({_DRIVER} is missing)"
    library = f"libonnxruntime_providers_{provider}.so"
    missing = _lacks(str(Path(ort.__file__).parent / "capi" / library))
    if missing is None:
        return None
    needs = f"what onnxruntime {ort.__version__} needs for it"
    if of_nvidia:
        needs = f"CUDA {ort.cuda_version} and cuDNN (pip install 'onnxruntime-gpu[cuda,cudnn]')"
        needs += ", and TensorRT" if provider == "tensorrt" else ""
    return f"{cannot}{missing} is missing: install {needs}"


def _lacks(library: str) -> str | None:
    """Return the name of the library that stops this one from being loaded, if any does."""
    try:
        ctypes.CDLL(library)
    except OSError as error:
        # Other complaints are about symbols, which are there once ONNX Runtime loads it.
        name, found, _ = str(error).partition(_MISSING)
        return name if found else None
    return None


def demand_used(session: ort.InferenceSession, path: str, provider: Provider) -> None:
    """See that the provider was loaded, and runs some node.

    Raises:
        ModelError: it was not, or does not.
    """
    if provider == "cpu":
        return
    if NAMES[provider] not in session.get_providers():
        unknown = f"provider {provider} could not be loaded: see what ONNX Runtime said above"
        raise ModelError(f"{path}: {why_not_loaded(provider) or unknown}")
    counts = node_counts(session)
    if not counts.get(provider):
        others = ", ".join(f"{count} on {name}" for name, count in counts.items())
        raise ModelError(f"{path}: provider {provider} runs none of its nodes ({others})")


def node_counts(session: ort.InferenceSession) -> dict[str, int]:
    """Return how many nodes of the model's graph each provider runs, by provider.

    What a provider fuses into one node counts as the nodes that it replaces, so that the sum is
    the same whichever provider runs them. Empty where it is not recorded: on the CPU alone.
    """
    if session.get_providers() == [NAMES["cpu"]]:
        return {}
    providers: dict[str, str] = {name: provider for provider, name in NAMES.items()}
    counts: Counter[str] = Counter()
    for group in session.get_provider_graph_assignment_info():
        counts[providers.get(group.ep_name, group.ep_name)] += len(group.get_nodes())
    return dict(counts)


def share_elsewhere(nodes: dict[str, int], provider: Provider) -> float:
    """Return the share of all nodes in [0, 1] that the provider leaves to others; none: 0."""
    total = sum(nodes.values())
    return (total - nodes.get(provider, 0)) / total if total else 0.0
