"""What a model is, found by loading and running it, not by trusting what it declares."""

import time

import numpy as np

from autotune.engine.overhead import measure_overhead
from autotune.engine.replica import Infer
from autotune.engine.source import Array, Tensors, stack
from autotune.errors import ModelError
from autotune.models.onnx_model import RUNTIME, as_infer, declared, explain, open_session
from autotune.models.sample_inputs import RequestMix, make_request_mix
from autotune.outcome import InputInfo, ModelInfo
from autotune.probes.memory import peak_memory_bytes
from autotune.probes.threads import thread_count
from autotune.spec import RUNTIME_DEFAULT, ModelSpec

_TOLERANCE = 0.02
"""Largest deviation, as a share of an output's largest value, that still counts as the same
answer: another batch size takes other kernels, and softmaxes magnify their rounding. Rows that
leak into each other deviate by far more."""


def inspect_model(spec: ModelSpec) -> ModelInfo:
    """Load the model with the runtime's defaults, run it, and see whether it can be batched.

    Raises:
        ModelError: it cannot be loaded, or fails on its sample input.
        UsageError: the sample input that was given does not fit.
    """
    threads_before, memory_before = thread_count(), peak_memory_bytes()
    started_s = time.perf_counter()
    session = open_session(spec.path, RUNTIME_DEFAULT.session_shape)
    load_s = time.perf_counter() - started_s
    infer = as_infer(session)
    inputs, outputs = declared(session.get_inputs()), declared(session.get_outputs())
    mix = make_request_mix(inputs, spec)
    run_s = _run_all(infer, mix, spec)
    threads = 1 + thread_count() - threads_before
    footprint_bytes = peak_memory_bytes() - memory_before
    batchable, reason = _prove_all(infer, inputs, mix, spec)
    # Kinds may differ in shape, which no batch does.
    samples = mix.of_kind(max(range(len(mix.weights)), key=lambda kind: mix.weights[kind]))
    overhead = measure_overhead(samples, batchable)
    return ModelInfo(
        inputs=inputs,
        outputs=outputs,
        sample_shapes={name: list(array.shape) for name, array in samples[0].items()},
        sample_source=_source(spec),
        batchable=batchable,
        batch_reason=reason,
        footprint_bytes=max(0, footprint_bytes),
        default_threads=threads,
        runtime=RUNTIME,
        load_s=load_s,
        run_s=run_s,
        engine_batch_s=overhead.batch_s,
        engine_request_s=overhead.request_s,
    )


def _source(spec: ModelSpec) -> str:
    parts = [kind.describe() for kind in spec.requests]
    if any(kind.input_file is None for kind in spec.kinds):
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
    infer: Infer, inputs: list[InputInfo], mix: RequestMix, spec: ModelSpec
) -> tuple[bool, str]:
    """Prove batching for each kind; a single one that cannot be batched forbids it."""
    for number, kind in enumerate(spec.kinds):
        batchable, reason = prove_batching(infer, inputs, mix.of_kind(number))
        if not batchable:
            return False, f"{kind.origin} {reason}" if kind.origin else reason
    return True, reason


def run_checked(
    infer: Infer, sample: Tensors, spec: ModelSpec, origin: str | None = None
) -> Tensors:
    """Run one request; a failure is explained in terms of the sample and where it was read.

    Raises:
        ModelError: the model does not run on it.
    """
    try:
        return infer(sample)
    except Exception as error:
        shapes = ", ".join(
            f"{name} {'x'.join(map(str, array.shape)) or 'scalar'}"
            for name, array in sample.items()
        )
        generated = any(kind.input_file is None for kind in spec.kinds)
        advice = "; give real data with --input inputs.npz" if generated else ""
        raise ModelError(
            f"{origin + ' ' if origin else ''}{spec.path}: fails on its sample input ({shapes}): "
            f"{explain(error)}{advice}"
        ) from None


def prove_batching(
    infer: Infer, inputs: list[InputInfo], samples: list[Tensors]
) -> tuple[bool, str]:
    """Run two requests alone and together; only equal answers make a model batchable."""
    if (reason := _no_batch_axis(inputs, samples[0])) is not None:
        return False, reason
    pair = [samples[0], samples[-1]]
    try:
        together = infer(stack(pair))
    except Exception as error:
        return False, f"it fails on a batch of two: {explain(error)}"
    alone = [infer(request) for request in pair]
    for name, array in together.items():
        if (
            reason := _differs(np.asarray(array), [np.asarray(a[name]) for a in alone])
        ) is not None:
            return False, f"output {name!r} {reason}"
    return True, "two requests together gave the answers that they gave alone"


def _no_batch_axis(inputs: list[InputInfo], request: Tensors) -> str | None:
    for info in inputs:
        if not info.shape:
            return f"input {info.name!r} is a scalar, so it has no batch dimension"
        if isinstance(info.shape[0], int):
            return f"input {info.name!r} has a fixed first dimension of {info.shape[0]}"
    if len({array.shape[0] for array in request.values()}) > 1:
        return "the inputs of one request differ in their first dimension"
    return None


def _differs(together: Array, alone: list[Array]) -> str | None:
    """Say how an output of a batch is not its requests' own outputs stacked; None if it is."""
    if any(part.ndim == 0 for part in alone):
        return "is a scalar, so a batch cannot be split"
    if together.shape != (sum(map(len, alone)), *alone[0].shape[1:]):
        return "does not grow with the batch"
    expected = np.concatenate(alone)
    if together.dtype.kind not in "fc":
        same = np.array_equal(together, expected)
    else:
        scale = np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))
        atol = _TOLERANCE * float(scale) + 1e-6
        same = np.allclose(together, expected, rtol=0.0, atol=atol, equal_nan=True)
    return None if same else "of a batch differs from the same requests alone"
