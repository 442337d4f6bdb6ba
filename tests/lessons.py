"""Lessons of searches that nobody made."""

import math

import numpy as np

from autotune.learn.places import Task
from autotune.lesson import Lesson, SeenLatency, SeenTimes
from autotune.spec import ServingConfig, Slo
from autotune.traits import MachineTraits, ModelTraits

MODEL = ModelTraits(
    operators={"MatMul": 2, "Relu": 1},
    work={"MatMul": 4e6, "Relu": 4e3},
    weight_bytes=8e6,
    activation_bytes=2e4,
    nodes=3,
    depth=3,
    batch_axes=1,
    dtype="float32",
)
MACHINE = MachineTraits(
    cores=2, core_gflops=40, all_gflops=75, core_gbps=9, all_gbps=15, wake_us=60
)
TASK = Task(cores=2, default_threads=2, base_s=0.010, sustainable_rps=120.0)
CONFIGS = [
    ServingConfig(replicas=replicas, intra_op_threads=threads, spinning=spinning)
    for replicas, threads, spinning in [
        (1, 1, False),
        (2, 1, False),
        (4, 1, False),
        (1, 2, True),
        (1, 2, False),
        (2, 2, True),
    ]
]


def time_of(task: Task) -> float:
    return task.base_s


def lesson(
    off: float = 0.0,
    late: float = 0.0,
    seed: int = 0,
    model: ModelTraits = MODEL,
    times: int = 12,
    latencies: int = 12,
) -> Lesson:
    """A search whose law erred by `off`, and whose predictions by `late`, both about (log)."""
    rng = np.random.default_rng(seed)
    return Lesson(
        model=model,
        machine=MACHINE,
        cores=TASK.cores,
        default_threads=TASK.default_threads,
        slo=Slo(latency_ms=50),
        base_s=TASK.base_s,
        sustainable_rps=TASK.sustainable_rps,
        times=[_time(off, n, rng) for n in range(times)],
        latencies=[_latency(late, n, rng) for n in range(latencies)],
    )


def _time(off: float, number: int, rng: np.random.Generator) -> SeenTimes:
    shape, law_s = CONFIGS[number % len(CONFIGS)].session_shape, 0.010 * (1 + number % 3)
    seconds = law_s * math.exp(off + 0.02 * float(rng.normal()))
    return SeenTimes(
        shape=shape,
        batch_size=1 + 3 * (number % 2),
        busy=1 + number % shape.replicas,
        seconds=seconds,
        law_s=law_s,
        executions=40,
    )


def _latency(late: float, number: int, rng: np.random.Generator) -> SeenLatency:
    predicted_ms = 12.0 * (1 + number % 4)
    return SeenLatency(
        load_rps=20.0 * (1 + number % 5),
        config=CONFIGS[number % len(CONFIGS)],
        predicted_ms=predicted_ms,
        measured_ms=predicted_ms * math.exp(late + 0.03 * float(rng.normal())),
        noise=0.05,
    )
