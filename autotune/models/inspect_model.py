"""What a model is, found by loading and running it, not by trusting what it declares."""

import time
from pathlib import Path

import msgspec

from autotune.engine.overhead import measure_overhead
from autotune.engine.replica import Infer
from autotune.engine.source import Tensors, stack
from autotune.errors import ModelError
from autotune.models.failures import lacked_memory
from autotune.models.loading import (
    Loaded,
    abilities,
    default_threads,
    explain,
    files_beside,
    import_runtime,
    open_replica,
)
from autotune.models.lock_share import measure_lock_share
from autotune.models.output_check import checkable, how_batch_differs, how_outputs_differ
from autotune.models.sample_inputs import RequestMix, make_request_mix, type_name, uses_own
from autotune.models.saved_outputs import save_outputs
from autotune.models.traits import Effort, model_traits
from autotune.models.worker import ReplicaDiedError
from autotune.outcome import ModelInfo
from autotune.probes.cores import usable_cores
from autotune.probes.memory import peak_memory_bytes
from autotune.probes.threads import thread_count
from autotune.records import OWN_EXAMPLE, InputInfo
from autotune.spec import Allowed, ModelSpec, runtime_default

_REPEAT_SHARE = 0.1
"""Two runs of one session must agree to this share of the tolerance: what strays further by
itself would leave too little of it for what a configuration changes."""


def inspect_model(
    spec: ModelSpec,
    outputs_folder: Path | None = None,
    requests_folder: Path | None = None,
    allowed: Allowed = Allowed(),  # noqa: B008 - it is frozen
) -> ModelInfo:
    """Load the model with the runtime's defaults, run it, and see whether it can be batched.

    Its requests are saved in `requests_folder`, if there is one, for a server to be sent.

    Its outputs are saved in `outputs_folder` for other sessions to be checked against, if there is
    one and the model gives the same answers twice.

    Raises:
        ModelError: it cannot be loaded, or fails on its sample input.
        UsageError: the sample input that was given does not fit.
    """
    runtime = import_runtime(spec)
    files = files_beside(spec)
    threads_before, memory_before = thread_count(), peak_memory_bytes()
    started_s = time.perf_counter()
    shape = runtime_default(allowed.device).session_shape
    loaded = open_replica(spec, shape)
    load_s = time.perf_counter() - started_s
    infer, inputs = loaded.infer, loaded.inputs
    mix = make_request_mix(inputs, spec, loaded.own)
    if requests_folder is not None:
        save_outputs(requests_folder, [checkable(sample) for sample in mix.samples])
    run_s = _run_all(infer, mix, spec)
    threads = default_threads(spec) or 1 + thread_count() - threads_before
    footprint_bytes = peak_memory_bytes() - memory_before
    alone = [checkable(run_checked(infer, sample, spec)) for sample in mix.samples]
    checked, outputs_reason = _comparable(run_checked(infer, mix.samples[-1], spec), alone[-1])
    if checked and outputs_folder is not None:
        save_outputs(outputs_folder, alone)
    batchable, reason = (
        _prove_all(infer, inputs, mix, spec, alone) if checked else (False, outputs_reason)
    )
    # Kinds may differ in shape, which no batch does.
    samples = mix.of_kind(max(range(len(mix.weights)), key=lambda kind: mix.weights[kind]))
    overhead = measure_overhead(samples, batchable)
    lock_share = _lock_share(spec, loaded, allowed, samples[0])
    effort = Effort(load_s, run_s, footprint_bytes)
    return ModelInfo(
        inputs=inputs,
        outputs=loaded.outputs or _outputs(alone[0], mix.samples[0], batchable),
        sample_shapes={name: list(array.shape) for name, array in samples[0].items()},
        sample_source=_source(spec, loaded.own),
        sample_kinds=tuple(mix.kinds),
        batchable=batchable,
        batch_reason=reason,
        outputs_checked=checked,
        outputs_reason=outputs_reason,
        footprint_bytes=max(0, footprint_bytes),
        process_bytes=memory_before,
        default_threads=threads,
        runtime=runtime.name,
        load_s=load_s,
        run_s=run_s,
        engine_batch_s=overhead.batch_s,
        engine_request_s=overhead.request_s,
        abilities=abilities(loaded, allowed, lock_share, usable_cores().usable),
        start_s=runtime.import_s,
        lock_share=lock_share,
        files=tuple(files),
        traits=model_traits(spec, loaded, shape, samples[0], effort),
    )


def _lock_share(
    spec: ModelSpec, loaded: Loaded, allowed: Allowed, request: Tensors
) -> float | None:
    """ONNX Runtime leaves the lock alone while it runs; torch takes it between two operators."""
    if loaded.kind == "onnx" or allowed.device != "cpu" or usable_cores().usable < 2:
        return None
    plain = runtime_default("cpu").session_shape
    shape = msgspec.structs.replace(plain, replicas=2, intra_op_threads=1)
    return measure_lock_share([open_replica(spec, shape, i).infer for i in range(2)], request)


def _outputs(outputs: Tensors, request: Tensors, batchable: bool) -> list[InputInfo]:
    """Describe outputs as they came, those of a batch with as many rows as it has."""
    rows = next(iter(request.values())).shape[:1] if batchable else None
    return [
        InputInfo(
            name=name,
            dtype=type_name(array.dtype),
            shape=["batch", *array.shape[1:]]
            if rows and array.shape[:1] == rows
            else list(array.shape),
        )
        for name, array in outputs.items()
    ]


def _source(spec: ModelSpec, own: Tensors | None) -> str:
    parts = [kind.describe() for kind in spec.requests]
    if any(uses_own(kind, own) for kind in spec.kinds):
        parts.append(OWN_EXAMPLE)
    if any(kind.input_file is None and not uses_own(kind, own) for kind in spec.kinds):
        parts.append(f"generated, seed {spec.seed}")
    return spec.input_file or "; ".join(parts)


def _run_all(infer: Infer, mix: RequestMix, spec: ModelSpec) -> float:
    """Run each kind twice; return the mean seconds of a warm run, kinds by weight."""
    run_s = 0.0
    for number, kind in enumerate(spec.kinds):
        samples = mix.of_kind(number)
        run_checked(infer, samples[0], spec, kind.origin)
        started_s = time.perf_counter()
        run_checked(infer, samples[-1], spec, kind.origin)
        run_s += kind.weight * (time.perf_counter() - started_s)
    return run_s


def _prove_all(
    infer: Infer,
    inputs: list[InputInfo],
    mix: RequestMix,
    spec: ModelSpec,
    alone: list[Tensors],
) -> tuple[bool, str]:
    """Prove batching for each kind; a single one that cannot be batched forbids it."""
    for number, kind in enumerate(spec.kinds):
        own = [outputs for outputs, of in zip(alone, mix.kinds, strict=True) if of == number]
        batchable, reason = prove_batching(infer, inputs, mix.of_kind(number), own)
        if not batchable:
            return False, f"{kind.origin} {reason}" if kind.origin else reason
    return True, reason


def run_checked(
    infer: Infer, sample: Tensors, spec: ModelSpec, origin: str | None = None
) -> Tensors:
    """Run one request; a failure is explained in terms of the sample and where it was read.

    Raises:
        ModelError: the model does not run on it.
        Exception: there was no memory for it, or the replica's process ended.
    """
    try:
        return infer(sample)
    except Exception as error:
        if isinstance(error, ReplicaDiedError) or lacked_memory(error):
            raise
        shapes = ", ".join(
            f"{name} {'x'.join(map(str, array.shape)) or 'scalar'}"
            for name, array in sample.items()
        )
        generated = any(kind.input_file is None for kind in spec.kinds)
        advice = "; give real data with --input inputs.npz" if generated else ""
        name = f"{origin + ' ' if origin else ''}{spec.function or spec.path}"
        raise ModelError(
            f"{name}: fails on its sample input ({shapes}): {explain(error)}{advice}"
        ) from None


def prove_batching(
    infer: Infer, inputs: list[InputInfo], samples: list[Tensors], alone: list[Tensors]
) -> tuple[bool, str]:
    """Run two requests together; only the answers that they gave alone make a model batchable."""
    if (reason := _no_batch_axis(inputs, samples[0])) is not None:
        return False, reason
    pair = [samples[0], samples[-1]]
    try:
        together = infer(stack(pair))
    except Exception as error:
        return False, f"it fails on a batch of two: {explain(error)}"
    if unchecked := [name for name in together if name not in alone[0]]:
        return False, f"output {unchecked[0]!r} is no tensor, so a batch cannot be split"
    reason = how_batch_differs(together, pair, [alone[0], alone[-1]])
    return reason is None, reason or "two requests together gave the answers that they gave alone"


def _comparable(first: Tensors, second: Tensors) -> tuple[bool, str]:
    """Whether other sessions' outputs can be held against these of two runs on one sample."""
    if not second:
        return False, "no output is a tensor that could be compared"
    if (reason := how_outputs_differ(first, second, _REPEAT_SHARE)) is not None:
        return False, f"the answers change from run to run: {reason}"
    if skipped := [repr(name) for name in first if name not in second]:
        return True, f"all but {', '.join(skipped)}, which cannot be compared"
    return True, "the same input gives the same answers"


def _no_batch_axis(inputs: list[InputInfo], request: Tensors) -> str | None:
    for info in inputs:
        if not info.shape:
            return f"input {info.name!r} is a scalar, so it has no batch dimension"
        if isinstance(info.shape[0], int):
            return f"input {info.name!r} has a fixed first dimension of {info.shape[0]}"
    if len({array.shape[0] for array in request.values()}) > 1:
        return "the inputs of one request differ in their first dimension"
    return None
