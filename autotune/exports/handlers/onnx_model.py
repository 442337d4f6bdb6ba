"""One replica of the tuned model: its session, opened as knobs.json says.

Written by `autotune export`. Needs numpy and onnxruntime. Requests, batches and answers stand in
v2_batches.py.
"""

from typing import Any

import onnxruntime as ort
from v2_batches import FOLDER, Batches, Tensors, threads
from v2_batches import KNOBS as KNOBS

_ERRORS_ONLY = 3


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
    return options


class Replica(Batches):
    """The model, loaded once. One batch at a time: every server here sees to that."""

    def __init__(self, knobs: dict[str, Any] = KNOBS) -> None:
        """Open the session and count the threads that this started."""
        before = threads()
        path = str(FOLDER / knobs["model"])  # an absolute path stays what it is
        self.session = ort.InferenceSession(
            path, session_options(knobs), providers=["CPUExecutionProvider"]
        )
        self.session_threads = threads() - before
        self.outputs = [output.name for output in self.session.get_outputs()]

    def run(self, inputs: Tensors) -> Tensors:
        """Execute one batch."""
        return dict(zip(self.outputs, self.session.run(None, inputs), strict=True))
