"""What is exported, and what an export is."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from autotune.records import InputInfo
from autotune.runtime_environment import environment_of, is_torch
from autotune.spec import RUNTIME_DEFAULT, Provider, Record, ReplicasAs, ServingConfig, Slo

Knob = Literal[
    "replicas",
    "intra_op_threads",
    "inter_op_threads",
    "execution_mode",
    "spinning",
    "max_batch_size",
    "batch_timeout_ms",
    "replicas_as",
    "form",
    "provider",
    "devices",
    "overlap",
    "cuda_graphs",
]
SELDOM: tuple[Knob, ...] = (
    "replicas_as",
    "form",
    "provider",
    "devices",
    "overlap",
    "cuda_graphs",
)
"""Knobs of which few configurations have another value than the default."""
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
    """Where the model lies; relative to the exported files unless absolute. Empty: `function`."""
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
    runtime: str
    """What executed the model, and perhaps its version: `torch 2.13.0`."""
    function: str | None
    """`package.module:function` that builds it; None: it is a file."""
    channels_last: bool
    """Whether torch kept images with their channels last."""
    inputs: list[InputInfo]
    """What the model takes."""
    request_shapes: dict[str, list[int]]
    """Shape of each input in one request."""

    @property
    def is_torch(self) -> bool:
        """Whether torch executes it."""
        return is_torch(self.runtime)

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
    replicas_as: ReplicasAs | None = None
    """What replicas are there; None: threads that no interpreter lock can hold back."""
    torch: bool = False
    """Whether it can run a torch model."""
    providers: tuple[Provider, ...] = get_args(Provider)
    """What it can let execute the model."""


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
        if carried.how in ("almost", "no")
        and _matters(exporter, deployment.config, deployment.is_torch, knob)
    ]


def inexpressible(exporter: Exporter, config: ServingConfig, torch: bool) -> list[Knob]:
    """Return the knobs whose values the server would ignore, though they mean something.

    Args:
        exporter: the server.
        config: what would be asked of it.
        torch: whether the model is torch's.
    """
    return [
        knob
        for knob, carried in exporter.carried.items()
        if carried.how == "no"
        and getattr(config, knob) != getattr(RUNTIME_DEFAULT, knob)
        and _matters(exporter, config, torch, knob)
    ]


def _value(config: ServingConfig, knob: Knob) -> str:
    value = getattr(config, knob)
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def _matters(exporter: Exporter, config: ServingConfig, torch: bool, knob: Knob) -> bool:
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
            return not config.on_gpu
        case "replicas_as":
            return _lives_otherwise(exporter, config, torch)
        case "form" | "provider" | "overlap" | "cuda_graphs":
            return bool(getattr(config, knob) != getattr(RUNTIME_DEFAULT, knob))
        case "devices":
            return config.on_gpu and config.devices > 1


def _lives_otherwise(exporter: Exporter, config: ServingConfig, torch: bool) -> bool:
    """Whether replicas share a process where they did not, or do not where it was worth something.

    ONNX Runtime's on a CPU share nothing: it lets go of the interpreter lock while it computes, and
    each session has its own weights. Processes on a GPU each have a context there, which takes
    memory, and compute in turn.
    """
    there = exporter.replicas_as
    if config.replicas == 1 or there in (None, config.replicas_as):
        return False
    return torch or config.on_gpu or there == "threads"


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
    if deployment.is_torch:
        knobs |= {
            "function": deployment.function,
            "channels_last": deployment.channels_last,
            "inputs": [_input(deployment, one) for one in deployment.inputs],
        }
    return to_json(knobs)


def _input(deployment: Deployment, one: InputInfo) -> dict[str, Any]:
    shape = deployment.request_shapes[one.name]
    return {"name": one.name, "dtype": one.dtype, "shape": one.shape, "request": shape}


def to_json(value: Any) -> str:
    """Return JSON as people like to read it."""
    return json.dumps(value, indent=2) + "\n"


def to_yaml(value: Any) -> str:
    """Return a value in one line of YAML, which almost is JSON.

    YAML knows no pairs of surrogates, and no number with an exponent but without a point.
    """
    match value:
        case dict():
            pairs = (f"{to_yaml(str(key))}: {to_yaml(one)}" for key, one in value.items())
            return f"{{{', '.join(pairs)}}}"
        case list():
            return f"[{', '.join(map(to_yaml, value))}]"
        case str():
            quoted = json.dumps(value, ensure_ascii=False)
            return "".join(
                letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in quoted
            )
        case float():
            text = repr(value)
            return text if "." in text else text.replace("e", ".0e")
    return json.dumps(value)


def runtime_files(deployment: Deployment, *names: str) -> dict[str, str]:
    """Return the handlers of a server with what they all need beside them."""
    return {
        "knobs.json": knobs_json(deployment),
        "v2_batches.py": handler("v2_batches.py"),
        "tuned_model.py": handler("torch_model.py" if deployment.is_torch else "onnx_model.py"),
        **{name: handler(name) for name in names},
    }


def placed(deployment: Deployment, folder: str = "this folder") -> list[str]:
    """Say where the model must lie, where the export does not point at it, and what it needs."""
    steps = []
    if deployment.function is not None:
        package = deployment.function.partition(":")[0]
        steps.append(f"see that python finds {package} where the server runs, or in {folder}")
    elif not Path(deployment.model_path).is_absolute():
        steps.append(f"put the model into {folder} as {deployment.model_path}")
    if deployment.config.form == "exported":
        steps.append(f"python tuned_model.py in {folder}: it compiles the model, once")
    needed = environment_of(deployment.is_torch, deployment.config.session_shape)
    if needed:  # torch's threads read it when they are loaded, which no file of ours comes before
        variables = " ".join(f"{name}={value}" for name, value in needed.items())
        steps.append(f"start the server with {variables} in its environment")
    if deployment.config.provider != "cpu":
        steps.append(
            f"install {runtime_package(deployment)} for the server, a build that has the provider "
            f"{deployment.config.provider}"
        )
    return steps


def runtime_package(deployment: Deployment) -> str:
    """Return the package with which python executes the model."""
    if deployment.is_torch:
        return "torch"
    if deployment.config.on_gpu:
        return "onnxruntime-gpu"
    return "onnxruntime-openvino" if deployment.config.provider == "openvino" else "onnxruntime"


_BY_US = Carried("code", "set by tuned_model.py when it opens the model")

IN_SESSION: dict[Knob, Carried] = {
    "intra_op_threads": _BY_US,
    "inter_op_threads": _BY_US,
    "execution_mode": _BY_US,
    "spinning": _BY_US,
    "form": _BY_US,
    "provider": _BY_US,
    "devices": Carried(
        "no", "all replicas use the first GPU: start a server for each, with CUDA_VISIBLE_DEVICES"
    ),
    "overlap": Carried("no", "a replica copies a batch and then computes it"),
    "cuda_graphs": Carried("no", "batches are launched kernel by kernel"),
}
"""What every server carries that lets us open the session."""

IN_PROCESSES: dict[Knob, Carried] = {
    "replicas_as": Carried("almost", "each is a process, with a model and a runtime of its own"),
}
"""Of servers that start a process for each replica."""
