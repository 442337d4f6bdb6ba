"""Every server that can be started here."""

from collections.abc import Mapping

from autotune.servers.start_bentoml import BENTOML
from autotune.servers.start_litserve import LITSERVE
from autotune.servers.start_mlserver import MLSERVER
from autotune.servers.start_onnxruntime import ONNXRUNTIME
from autotune.servers.start_openvino import OPENVINO
from autotune.servers.start_rayserve import RAYSERVE
from autotune.servers.start_torchserve import TORCHSERVE
from autotune.servers.start_triton_python import TRITON_PYTHON
from autotune.servers.starter import Starter

STARTERS: Mapping[str, Starter] = {
    "onnxruntime": ONNXRUNTIME,
    "triton-python": TRITON_PYTHON,
    "litserve": LITSERVE,
    "bentoml": BENTOML,
    "rayserve": RAYSERVE,
    "mlserver": MLSERVER,
    "torchserve": TORCHSERVE,
    "openvino": OPENVINO,
}
