"""ONNX Runtime's options for one replica, for up to 120 requests/s.

The environment, as session.env sets it, is stronger than what stands here.
"""

import os

import onnxruntime as ort

_spinning = os.environ.get("AUTOTUNE_SPINNING", "0")

options = ort.SessionOptions()
options.intra_op_num_threads = int(
    os.environ.get("AUTOTUNE_INTRA_OP_THREADS", "3")
)
options.add_session_config_entry("session.intra_op.allow_spinning", _spinning)
if os.environ.get("AUTOTUNE_EXECUTION_MODE", "parallel") == "parallel":
    options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    options.inter_op_num_threads = int(
        os.environ.get("AUTOTUNE_INTER_OP_THREADS", "2")
    )
    options.add_session_config_entry("session.inter_op.allow_spinning", _spinning)
