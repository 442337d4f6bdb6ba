"""Replicas of the tuned model in OpenVINO: one compiled model, an inference request for each.

Written by `autotune export`. Needs numpy and openvino. Requests, batches and answers stand in
v2_batches.py. Compiling starts all threads, for all replicas together, so each reports the same
`session_threads`; and each reports the `streams` and `threads` that OpenVINO really gave, which
are never more than there are cores.
"""

import json

import openvino as ov
from v2_batches import FOLDER, KNOBS, Batches, Seen, Tensors, threads

PROPERTIES: dict[str, str] = json.loads((FOLDER / "openvino_config.json").read_text())["CPU"]


class Replica(Batches):
    """One inference request of the compiled model."""

    def __init__(self, compiled: ov.CompiledModel, session_threads: int) -> None:
        """Open it, in the thread that opens all of them.

        Asking for a dtype is more than it seems: OpenVINO 2026.4 hangs for ever where two threads
        are the first to do so, which their first inferences are.
        """
        self.session_threads = session_threads
        self.request = compiled.create_infer_request()
        self.dtypes = {one.any_name: one.element_type.to_dtype() for one in compiled.inputs}
        self.outputs = [output.any_name for output in compiled.outputs]
        self.given: Seen = {
            "streams": compiled.get_property("NUM_STREAMS"),
            "threads": compiled.get_property("INFERENCE_NUM_THREADS"),
        }

    def run(self, inputs: Tensors) -> Tensors:
        """Execute one batch.

        OpenVINO itself takes an input that is missing from the request before, and casts others.
        """
        dtypes = {name: array.dtype for name, array in inputs.items()}
        if dtypes != self.dtypes:
            raise ValueError(f"the inputs are {self.dtypes}, not {dtypes}")
        return dict(zip(self.outputs, self.request.infer(inputs).to_tuple(), strict=True))

    def seen(self) -> Seen:
        """Return what there is to see of this replica beside its batches."""
        return {**super().seen(), **self.given}


def replicas() -> list[Replica]:
    """Compile the model and open its replicas."""
    before = threads()
    path = str(FOLDER / KNOBS["model"])  # an absolute path stays what it is
    compiled = ov.Core().compile_model(path, "CPU", PROPERTIES)
    started = threads() - before
    return [Replica(compiled, started) for _ in range(KNOBS["replicas"])]
