"""The one door to models: a replica of any kind, and what its runtime has to say.

Torch is imported for torch models only.
"""

import os
import time
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from autotune.engine.replica import Infer
from autotune.engine.source import Tensors
from autotune.errors import ModelError, UsageError
from autotune.models import onnx_model, onnx_providers
from autotune.models.kinds import Kind, kind_of
from autotune.models.onnx_external import external_files
from autotune.outcome import Abilities
from autotune.records import InputInfo
from autotune.spec import ON_GPU, Allowed, ModelSpec, Provider, ReplicasAs, SessionShape

LOCK_MATTERS = 0.2
"""Replicas are tried as processes where, with one on every core, the interpreter lock would be
held for this share of the time."""


class Loaded(NamedTuple):
    """One replica."""

    infer: Infer
    inputs: list[InputInfo]
    outputs: list[InputInfo]
    """Empty where only a run can tell."""
    own: Tensors | None = None
    """One request that the model brings along; None: none."""
    kind: Kind = "onnx"
    forks: bool = False
    """Whether its operators are told to run side by side (TorchScript's `fork`)."""
    nodes: dict[str, int] = {}  # noqa: RUF012 - nobody writes there
    """Nodes of the model's graph by who executes them; empty: not known."""
    weight_bytes: dict[str, float] = {}  # noqa: RUF012 - nobody writes there
    """Of a torch model by type; empty: not known."""


def open_replica(spec: ModelSpec, shape: SessionShape, number: int = 0) -> Loaded:
    """Load the model for one replica; `number` counts the replicas that share a configuration.

    The first replica (0) of a configuration ends what the process had compiled for another.

    Raises:
        ModelError: the runtime cannot load it; the message says what it lacks.
        UsageError: a shape that was given does not fit.
    """
    kind = kind_of(spec)
    if kind == "onnx":
        if shape.form != "as_given":
            raise ModelError(f"{spec.path}: is an ONNX model, which has no form {shape.form!r}")
        if number == 0:
            files_beside(spec)
        session = onnx_model.open_session(spec.path, shape, number % shape.devices)
        inputs, outputs = onnx_model.signature(session, spec.path)
        return Loaded(
            onnx_model.as_infer(session), inputs, outputs, nodes=onnx_providers.node_counts(session)
        )
    _demand_torch(spec)
    from autotune.models import torch_model

    model = torch_model.open_model(spec, kind, shape, number)
    return Loaded(
        model.infer,
        model.inputs.infos,
        [],
        model.inputs.own,
        kind,
        model.forks,
        weight_bytes=model.weight_bytes,
    )


def files_beside(spec: ModelSpec) -> list[str]:
    """Return the files that belong to the model beside the one named.

    Raises:
        ModelError: the model names one that it may not have; see `external_files`.
    """
    if kind_of(spec) != "onnx":
        return []
    status = os.stat(spec.path)
    return _external(spec.path, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=8)
def _external(path: str, state: tuple[int, ...]) -> list[str]:
    return [str(file) for file in external_files(Path(path))]


class Runtime(NamedTuple):
    """What executes a model."""

    name: str
    """With its version: `onnxruntime 1.32.0`."""
    import_s: float
    """Seconds that importing it took; 0 where it was there."""


def import_runtime(spec: ModelSpec) -> Runtime:
    """Import what the model needs.

    Raises:
        ModelError: the model is of no known kind, or its runtime is not installed.
    """
    if kind_of(spec) == "onnx":
        return Runtime(onnx_model.RUNTIME, 0.0)
    _demand_torch(spec)
    started_s = time.perf_counter()
    import torch

    return Runtime(f"torch {torch.__version__}", time.perf_counter() - started_s)


def default_threads(spec: ModelSpec) -> int | None:
    """Return the intra-op threads that the runtime takes untold; None: it does not say."""
    if kind_of(spec) == "onnx":
        return None
    from autotune.models.torch_threads import DEFAULT_THREADS

    return DEFAULT_THREADS


def explain(error: Exception) -> str:
    """Say in one line what an error of a runtime means."""
    from autotune.models.torch_errors import explain_torch

    return explain_torch(error) or onnx_model.explain(error)


def abilities(
    loaded: Loaded, allowed: Allowed, lock_share: float | None = None, cores: int = 1
) -> Abilities:
    """Return which knobs mean something for the model.

    Raises:
        UsageError: a form or a provider that was named cannot be had.

    Args:
        loaded: any replica of it.
        allowed: what may be tried.
        lock_share: share of a run with one thread in which it holds the interpreter lock.
        cores: those that replicas may use.
    """
    on_cpu = allowed.device == "cpu"
    devices = 0 if on_cpu else max(1, len(allowed.gpus))
    can_be_compiled = loaded.kind in ("exported", "pickled", "function")
    if allowed.forms and not can_be_compiled:
        what = {"onnx": "an ONNX model", "script": "TorchScript", "aoti": "compiled already"}
        raise UsageError(
            f"--forms {','.join(allowed.forms)}: the model is {what[loaded.kind]}, which runs as "
            "it is"
        )
    if loaded.kind == "onnx":
        return Abilities(
            inter_op=on_cpu,
            spinning=on_cpu,
            providers=(allowed.device, *_other_providers(allowed)),
            devices=devices,
            cuda_graphs=not on_cpu,
        )
    forms = allowed.forms
    held = lock_share is not None and lock_share * cores >= LOCK_MATTERS
    # What is compiled ahead of time holds the lock all through a run (torch 2.13).
    processes = held or (on_cpu and cores > 1 and "exported" in forms)
    replicas_as: tuple[ReplicasAs, ...] = ("threads", "processes") if processes else ("threads",)
    return Abilities(
        inter_op=loaded.forks and on_cpu,
        spinning=on_cpu,
        replicas_as=replicas_as,
        forms=("as_given", *forms),
        providers=(allowed.device,),
        devices=devices,
        overlap=not on_cpu,
        cuda_graphs=not on_cpu,
    )


def _other_providers(allowed: Allowed) -> tuple[Provider, ...]:
    """Return those that may be tried beside the device's own.

    Raises:
        UsageError: one that was named is not there.
    """
    for provider in allowed.providers or ():
        if (reason := onnx_providers.absent_because(provider)) is not None:
            raise UsageError(f"--providers {provider}: {reason}")
    on_gpu = allowed.device in ON_GPU
    return tuple(
        provider
        for provider in onnx_providers.installed_providers()
        if provider != allowed.device
        and (provider in ON_GPU) == on_gpu
        and (allowed.providers is None or provider in allowed.providers)
    )


def _demand_torch(spec: ModelSpec) -> None:
    if find_spec("torch") is None:
        raise ModelError(
            f"{spec.function or spec.path}: is a torch model, and torch is not installed here: "
            "pip install torch"
        )
