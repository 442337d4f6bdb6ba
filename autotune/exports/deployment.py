"""What is exported, and what an export is."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from autotune.spec import Record, ServingConfig, Slo

Knob = Literal[
    "replicas",
    "intra_op_threads",
    "inter_op_threads",
    "execution_mode",
    "spinning",
    "max_batch_size",
    "batch_timeout_ms",
]
How = Literal["setting", "code", "almost", "no"]
"""The server's own setting; lines of ours that run inside it; nearly; not at all."""
Proof = Literal["run", "parsed"]
"""Whether a real server proved the export in the tests, or a parser of the format did."""

_HANDLERS = Path(__file__).parent / "handlers"
_LONGEST_NAME = 63
"""Of a Kubernetes label, the strictest of all places where the name stands."""


class Deployment(Record, frozen=True):
    """One configuration of one model, for one server."""

    name: str
    """Lower-case letters, digits and dashes: fit for a folder, a URL, pbtxt and Kubernetes."""
    model_path: str
    """Where the model lies; relative to the exported files unless absolute."""
    model_sha256: str
    config: ServingConfig
    load_rps: float
    """The highest load that the configuration was chosen for."""
    slo: Slo
    cores: int
    """Usable on the machine that was tuned on."""
    memory_mib: float | None
    """Peak of the whole serving process while it was measured; None: not known."""
    rows_per_request: int
    """First dimension of a request, which servers count that join rows; 1 where there is none."""
    batchable: bool
    made_by: str
    """Version of autotune, and when it searched: letters, digits and plain punctuation."""

    @property
    def threads(self) -> int:
        """Threads that all replicas together may occupy; the runtime's own choice: all cores."""
        return self.config.replicas * self.config.session_shape.threads(self.cores)


class Carried(NamedTuple):
    """How a server carries a knob, and by what, or what it does instead."""

    how: How
    by: str


class Exporter(NamedTuple):
    """How to export to one server."""

    title: str
    proof: Proof
    carried: Mapping[Knob, Carried]
    files: Callable[[Deployment], dict[str, str]]
    """File name -> text; a name is made of nothing but `Deployment.name` and fixed parts."""
    next_steps: Callable[[Deployment], list[str]]
    """What to do with the files, a line each."""


def safe_name(text: str) -> str:
    """Return a name that no format can misread: `Model: v2.onnx` becomes `model-v2-onnx`."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    name = name if name[:1].isalpha() else f"model-{name}".strip("-")
    return name[:_LONGEST_NAME].strip("-")


def not_carried(exporter: Exporter, deployment: Deployment) -> list[str]:
    """Return a line for each knob of this configuration that the server does not carry as asked."""
    return [
        f"{knob} {_value(deployment.config, knob)}: {carried.by}"
        for knob, carried in exporter.carried.items()
        if carried.how in ("almost", "no") and _matters(deployment.config, knob)
    ]


def _value(config: ServingConfig, knob: Knob) -> str:
    value = getattr(config, knob)
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def _matters(config: ServingConfig, knob: Knob) -> bool:
    """Whether a server that ignores the knob would do something else than was measured."""
    match knob:
        case "spinning":  # runtimes spin unless told not to
            return config.threads_exist and not config.spinning
        case "max_batch_size" | "batch_timeout_ms":
            return config.max_batch_size > 1
        case "inter_op_threads" | "execution_mode":
            return config.execution_mode == "parallel"
        case "replicas":
            return config.replicas > 1
        case "intra_op_threads":
            return True


def handler(name: str) -> str:
    """Return the text of a file that runs inside a server."""
    return (_HANDLERS / name).read_text(encoding="utf-8")


def knobs_json(deployment: Deployment) -> str:
    """Return the file from which the handlers read what to do."""
    config = deployment.config
    knobs: dict[str, Any] = {
        "made_by": deployment.made_by,
        "name": deployment.name,
        "model": deployment.model_path,
        "model_sha256": deployment.model_sha256,
        "load_rps": deployment.load_rps,
        "slo_ms": deployment.slo.latency_ms,
        "rows_per_request": deployment.rows_per_request,
        **{field: getattr(config, field) for field in config.__struct_fields__},
    }
    return to_json(knobs)


def to_json(value: Any) -> str:
    """Return JSON as people like to read it."""
    return json.dumps(value, indent=2) + "\n"


def runtime_files(deployment: Deployment, *names: str) -> dict[str, str]:
    """Return the handlers of a server with what they all need beside them."""
    return {
        "knobs.json": knobs_json(deployment),
        "v2_batches.py": handler("v2_batches.py"),
        "onnx_model.py": handler("onnx_model.py"),
        **{name: handler(name) for name in names},
    }


def placed(deployment: Deployment, folder: str = "this folder") -> list[str]:
    """Say where the model must lie, where the export does not point at it."""
    if Path(deployment.model_path).is_absolute():
        return []
    return [f"put the model into {folder} as {deployment.model_path}"]


IN_SESSION: dict[Knob, Carried] = {
    "intra_op_threads": Carried("code", "set on the session by onnx_model.py"),
    "inter_op_threads": Carried("code", "set on the session by onnx_model.py"),
    "execution_mode": Carried("code", "set on the session by onnx_model.py"),
    "spinning": Carried("code", "set on the session by onnx_model.py"),
}
"""What every server carries that lets us open the session."""
