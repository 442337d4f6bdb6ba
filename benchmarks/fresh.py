"""What the comparisons with other programs share: fresh processes, options, spreads, inputs."""

import argparse
import multiprocessing
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import ParamSpec, TypeVar

import numpy as np

from autotune.engine.source import Tensors
from autotune.given import make_model
from autotune.models.onnx_model import declared, open_session
from autotune.models.sample_inputs import make_samples
from autotune.outcome import Samples
from autotune.spec import ModelSpec, ServingConfig, SessionShape
from autotune.units import parse_shapes

P = ParamSpec("P")
R = TypeVar("R")

WARM_UP_RUNS = 8
"""As many as autotune's own warm-up takes at most."""


def in_fresh_process(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call in a process that begins anew, inherits no session and is gone afterwards."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(call, *args, **kwargs).result()


def add_model_options(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Let a model be named as for `autotune search`."""
    parser.add_argument("--model", default=default, help="a file, or package:file")
    parser.add_argument("--shape", action="append", default=[], help="NAME=SIZES of one request")


def model_of(name: str, shapes: Sequence[str]) -> ModelSpec:
    """Return the model that the options name."""
    return make_model(name, parse_shapes(shapes, "--shape"), None, None, 0)


def config_of(replicas: int, threads: int) -> ServingConfig:
    """Return so many replicas of so many threads, without spinning."""
    return ServingConfig(replicas=replicas, intra_op_threads=threads, spinning=False)


def open_replicas(model: ModelSpec, shape: SessionShape) -> tuple[list["RunModel"], list[Tensors]]:
    """Return one warm session's `run` per replica, and the requests that autotune would send."""
    sessions = [open_session(model.path, shape) for _ in range(shape.replicas)]
    samples = make_samples(declared(sessions[0].get_inputs()), model)
    for session in sessions:
        for i in range(WARM_UP_RUNS):
            session.run(None, samples[i % len(samples)])
    return [session.run for session in sessions], samples


RunModel = Callable[[None, Tensors], object]
"""`InferenceSession.run`: all outputs for these inputs."""


def spread(values: Sequence[float] | Samples, digits: int = 2) -> str:
    """Return the median with the range."""
    middle, low, high = statistics.median(values), np.min(values), np.max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
