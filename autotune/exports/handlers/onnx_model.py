"""One replica of the tuned model: its session, opened as knobs.json says.

Written by `autotune export`, as tuned_model.py. Needs numpy and onnxruntime: the package of it that
has the execution provider. Requests, batches and answers stand in v2_batches.py.
"""

import json
import os
from typing import Any

import onnxruntime as ort
from v2_batches import FOLDER, Batches, Declared, Tensors, threads
from v2_batches import KNOBS as KNOBS

_ERRORS_ONLY = 3
_OWN_POOL = ("xnnpack", "dnnl")
_NAMES = {
    "openvino": "OpenVINOExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
    "dnnl": "DnnlExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

Provider = tuple[str, dict[str, str]]


def session_options(knobs: dict[str, Any]) -> ort.SessionOptions:
    """Return ONNX Runtime's options for one replica."""
    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = knobs["intra_op_threads"]
    spin = "1" if knobs["spinning"] else "0"
    options.add_session_config_entry("session.intra_op.allow_spinning", spin)
    if knobs["execution_mode"] == "parallel":
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
        options.inter_op_num_threads = knobs["inter_op_threads"]
        options.add_session_config_entry("session.inter_op.allow_spinning", spin)
    if knobs["provider"] in _OWN_POOL:
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def providers(knobs: dict[str, Any]) -> list[Provider]:
    """Return the execution providers with their options, the preferred one first.

    oneDNN takes its threads from the environment, which is set here.
    """
    cpu: Provider = ("CPUExecutionProvider", {})
    name, threads = knobs["provider"], str(knobs["intra_op_threads"])
    options: dict[str, str] = {}
    if name == "cpu":
        return [cpu]
    if name == "openvino":
        options = {"device_type": "CPU", "num_streams": "1"}
        if knobs["replicas"] > 1:  # each would pin its threads from the first core on
            options["load_config"] = json.dumps({"CPU": {"ENABLE_CPU_PINNING": "NO"}})
        options |= {"num_of_threads": threads} if threads != "0" else {}
    elif name == "xnnpack":
        options = {"intra_op_num_threads": threads} if threads != "0" else {}
    elif name == "dnnl":
        os.environ |= {"OMP_NUM_THREADS": threads} if threads != "0" else {}
        os.environ["OMP_WAIT_POLICY"] = "active" if knobs["spinning"] else "passive"
    else:
        return [*_on_gpu(name, knobs), cpu]
    return [(_NAMES[name], options), cpu]


def _on_gpu(name: str, knobs: dict[str, Any]) -> list[Provider]:
    """TensorRT leaves to CUDA what it does not know."""
    ort.preload_dlls()
    cuda = {"device_id": "0"}
    if knobs["replicas"] > knobs["devices"]:
        cuda["arena_extend_strategy"] = "kSameAsRequested"
    chain = [(_NAMES["cuda"], cuda)]
    return chain if name == "cuda" else [(_NAMES[name], {"device_id": "0"}), *chain]


class Replica(Batches):
    """The model, loaded once. One batch at a time: every server here sees to that."""

    def __init__(self, knobs: dict[str, Any] = KNOBS) -> None:
        """Open the session and count the threads that this started."""
        before = threads()
        path = str(FOLDER / knobs["model"])  # an absolute path stays what it is
        chain = providers(knobs)
        self.session = ort.InferenceSession(
            path, session_options(knobs), providers=chain, enable_fallback=0
        )
        # ONNX Runtime goes on without a provider whose libraries are missing.
        if chain[0][0] not in self.session.get_providers():
            raise RuntimeError(f"{chain[0][0]} cannot be loaded here: see the lines above")
        self.session_threads = threads() - before
        self.outputs = [output.name for output in self.session.get_outputs()]

    def run(self, inputs: Tensors) -> Tensors:
        """Execute one batch."""
        return dict(zip(self.outputs, self.session.run(None, inputs), strict=True))

    def declared(self) -> tuple[list[Declared], list[Declared]]:
        """Return inputs and outputs."""
        arguments = self.session.get_inputs(), self.session.get_outputs()
        inputs, outputs = ([Declared(a.name, a.type, a.shape) for a in some] for some in arguments)
        return inputs, outputs
