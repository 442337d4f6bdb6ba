"""Machines on paper as ground: nothing runs, and a measurement takes no time."""

import re
from functools import lru_cache

import numpy as np

from autotune.errors import UsageError
from autotune.gym.ground import Ground, Reading
from autotune.paper.cpu_machine import ModelOnCpu
from autotune.paper.gpu_machine import ModelOnGpu
from autotune.paper.machines import LOADS, Paper, cpu_paper, gpu_paper
from autotune.space.lattice import AXIS_NAMES
from autotune.spec import MOST

NOISE = 0.05
"""Standard error (log) of a measurement."""
POINTS = (10, 20_000)
"""Fewest and most of a space: all within it are simulated."""
_CPU = re.compile(r"cpu:([0-9]{1,6})(:smt)?")
_FAILURE = "its streams do not fit the device's memory"

PaperModel = int | ModelOnCpu | ModelOnGpu
"""A model on paper, or the seed by which one is drawn."""


def on_paper(machine: str, model: PaperModel, points: int) -> Ground:
    """Return a machine on paper.

    Args:
        machine: `cpu:16`, `cpu:16:smt` or `gpu`.
        model: a seed, or a model of the machine's kind.
        points: configurations wanted, about.

    Raises:
        UsageError: there is no such machine, or the model is for another one.
    """
    if isinstance(model, bool) or (isinstance(model, int) and model < 0):
        raise UsageError(f"model={model!r}: on paper a model is drawn by a whole number of 0 or up")
    paper = _paper(machine, model, _check_points(points))

    def measure(rng: np.random.Generator, load: int, point: int) -> Reading:
        true_s = float(paper.true_s[load, point])
        error = rng.normal(0, NOISE)  # also where it fails: chance goes on alike
        if np.isnan(true_s):
            return Reading(None, _FAILURE)
        return Reading(true_s * float(np.exp(error)))

    return Ground(
        name=paper.name,
        configs=paper.configs,
        coordinates=paper.coordinates,
        axes=AXIS_NAMES,
        slo=paper.slo,
        loads_rps=tuple(paper.loads_rps),
        sustainable_rps=paper.loads_rps[-1] / LOADS[-1],
        measure=measure,
    )


def _check_points(points: object) -> int:
    least, most = POINTS
    if isinstance(points, bool) or not isinstance(points, int) or not least <= points <= most:
        raise UsageError(f"points={points!r} is not a whole number from {least} to {most:,}")
    return points


@lru_cache(maxsize=8)
def _paper(machine: str, model: PaperModel, points: int) -> Paper:
    """Simulate a whole space, which takes seconds: once, however many environments ask for it."""
    server = _CPU.fullmatch(machine)
    if machine != "gpu" and (server is None or not 1 <= int(server[1]) <= MOST):
        raise UsageError(
            f"machine='paper:{machine}': write paper:cpu:16 (up to {MOST} cores), paper:cpu:16:smt "
            "or paper:gpu"
        )
    seed = model if isinstance(model, int) else 0
    if server is not None:
        if isinstance(model, ModelOnGpu):
            raise UsageError(f"model={type(model).__name__} does not run on paper:{machine}")
        given = model if isinstance(model, ModelOnCpu) else None
        return cpu_paper(int(server[1]), points, seed, smt=server[2] is not None, model=given)
    if isinstance(model, ModelOnCpu):
        raise UsageError(f"model={type(model).__name__} does not run on paper:{machine}")
    return gpu_paper(points, seed, model=model if isinstance(model, ModelOnGpu) else None)
