"""What a stored search answered, and what its measurements hold for."""

import hashlib
import json
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import structs

from autotune import model_file
from autotune.arrivals import Traffic
from autotune.patterns import Pattern
from autotune.probes.machine import Machine, this_machine
from autotune.spec import ModelSpec, Record
from autotune.stages.gate_rounds import GateQuestion
from autotune.stages.question import MeasureQuestion, Question, Watts
from autotune.strategy.plugins import BUILT_IN, origin

_MACHINE_WORDS = {
    "cpu": "the processor",
    "cores_usable": "usable cores",
    "cpu_quota": "the CPU quota",
    "memory_gib": "memory in GiB",
    "gpus": "the GPUs",
    "os": "the system",
}
_ONNX_PACKAGES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-training",
    "openvino",
)
"""Any of which may be what is imported as onnxruntime, or brings one of its providers."""


class Premises(Record, frozen=True):
    """All that must be the same for a measurement to be used again."""

    model_sha256: str
    files: dict[str, str]
    """Other files that belong to the model, with their SHA-256."""
    machine: Machine
    versions: dict[str, str]
    """Of autotune, Python and what executes the model."""

    def with_files(self, files: Iterable[str]) -> "Premises":
        """Return the same with other files of the model, as they are now."""
        return structs.replace(self, files={name: _sha256(Path(name)) for name in sorted(files)})


def premises_of(model: ModelSpec, on_gpu: bool) -> Premises:
    """Return what measurements hold for that are made here and now, but for the model's files.

    Args:
        model: what is measured.
        on_gpu: whether GPUs take part.
    """
    return Premises(
        model_sha256=model_file.sha256(Path(model.path)),
        files={},
        machine=this_machine(with_gpus=on_gpu),
        versions=versions_of(model.is_named_onnx),
    )


def differences(before: Premises, now: Premises) -> list[str]:
    """Return what is no longer as it was, a clause each; empty: nothing."""
    found = [] if before.model_sha256 == now.model_sha256 else ["the model's file changed"]
    found += [
        f"{name} changed"
        for name in sorted(before.files.keys() | now.files.keys())
        if before.files.get(name) != now.files.get(name)
    ]
    for field in Machine.__struct_fields__:
        old, new = getattr(before.machine, field), getattr(now.machine, field)
        if old != new:
            found.append(f"{_MACHINE_WORDS.get(field, field)}: {_said(old)} became {_said(new)}")
    for name in before.versions.keys() | now.versions.keys():
        was, is_now = before.versions.get(name), now.versions.get(name)
        if was != is_now:
            found.append(f"{name}: {_said(was)} became {_said(is_now)}")
    return found


def asked_of(question: Question) -> str:
    """Return as JSON what a search is asked, whatever the files are called.

    Not in it: name and place of the model, the file to write, and where measurements are kept.
    A strategy is, unless it is the built-in one, with its package's version.

    Raises:
        UsageError: there is no such strategy any more.
    """
    other = question.strategy != BUILT_IN
    return as_json(
        {
            "model": requests_of(question.model),
            "slo": question.slo,
            "traffics": [traffic_of(one) for one in question.traffics or []],
            "pattern": _pattern(question.pattern),
            "objective": question.objective,
            "max_risk": question.max_risk,
            "budget_s": question.budget_s,
            "max_trials": question.max_trials,
            "allowed": question.allowed,
            "seed": question.seed,
            **({"strategy": origin(question.strategy)} if other else {}),
            **({} if question.watts == Watts() else {"watts": question.watts}),
            **_past(question),
            **_through(question),
        }
    )


def _past(question: Question) -> dict[str, Any]:
    """What it is to learn from and to start from, as far as that is not as usual."""
    learning, found = question.learning, dict[str, Any]()
    if learning.sources or learning.blank:
        found["learning"] = [learning.blank, [_sha256(path) for path in learning.sources]]
    if question.incumbent:
        found["incumbent"] = question.incumbent
    return found


def _through(question: Question) -> dict[str, Any]:
    """The server, and the answer of the engine that the search through it starts from."""
    if question.target is None or question.engine is None:
        return {}
    policy = [[one.load_rps, one.config] for one in question.engine.policy]
    return {"target": question.target, "engine": policy}


def asked_to_measure(question: MeasureQuestion) -> str:
    """Return likewise what a measurement is asked."""
    return as_json(
        {
            "model": requests_of(question.model),
            "slo": question.slo,
            "traffic": traffic_of(question.traffic),
            "configs": question.configs,
            "confidence": question.confidence,
            "duration_s": question.duration_s,
            "seed": question.seed,
        }
    )


def asked_to_check(question: GateQuestion) -> str:
    """Return likewise what a check is asked."""
    return as_json(
        {
            "model": requests_of(question.model),
            "slo": question.tuned.slo,
            "pattern": _pattern(question.pattern),
            "entry": question.entry,
            "tolerance": question.tolerance,
            "budget_s": question.budget_s,
            "seed": question.seed,
        }
    )


def as_json(asked: object) -> str:
    """Return a question as text."""
    return json.dumps(msgspec.to_builtins(asked, enc_hook=_digest_of_array), sort_keys=True)


def requests_of(model: ModelSpec) -> dict[str, Any]:
    """Return how a model is loaded and what requests to it are, wherever its files lie."""
    return {
        "function": model.function,
        "dtypes": model.dtypes,
        "channels_last": model.channels_last,
        "trust_pickle": model.trust_pickle,
        "seed": model.seed,
        "requests": [
            [one.weight, one.shapes, one.input_file and _sha256(Path(one.input_file))]
            for one in model.kinds
        ],
    }


def traffic_of(traffic: Traffic) -> list[Any]:
    """Return a load and its pattern."""
    return [traffic.load_rps, _pattern(traffic.pattern)]


def _pattern(pattern: Pattern) -> dict[str, Any]:
    """Its kind and numbers, wherever they were read."""
    fields = {name: value for name, value in structs.asdict(pattern).items() if name != "file"}
    return {"kind": type(pattern).__name__, **fields}


def _digest_of_array(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    raise NotImplementedError(f"{type(value).__name__} is no part of a question")


def versions_of(named_onnx: bool) -> dict[str, str]:
    """Return the versions of autotune, Python and what executes such a model, by name.

    Args:
        named_onnx: whether the model's name says that it is ONNX Runtime's.
    """
    found = {"Python": platform.python_version()}
    executes = _ONNX_PACKAGES if named_onnx else (*_ONNX_PACKAGES, "torch")
    for package in ("autotune", "numpy", *executes):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _sha256(path: Path) -> str:
    try:
        return model_file.sha256(path)
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _said(value: object) -> str:
    if value is None or value == []:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
