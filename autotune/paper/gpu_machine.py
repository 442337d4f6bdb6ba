"""A GPU on paper: replicas are streams of one device.

A batch of b alone on the device takes, fitted to published tables (see `SHARPNESS`),

    l(b) = launches x launch + (floor^p + (b item)^p)^(1/p)                                    (1)

that is, next to nothing more until the device is full, and a constant time per request from there.
k streams with batches of b load the device like one with k b, but however small their batches, no
more than `overlap` of them run side by side. With w = max(b item, floor / overlap) it takes

    ((floor^p + (k w)^p) / (floor^p + w^p))^(1/p) (1 + contention (k - 1))  times as long      (2)

and launches wait for each other on the host.                                                  (3)
A configuration whose streams do not fit the device's memory fails.                            (4)
"""

import numpy as np

from autotune.outcome import Flags, Samples
from autotune.paper.grid import Knobs
from autotune.paper.ranges import Range
from autotune.spec import Record

SHARPNESS = 2.87
"""p of (1), fitted together with floor and item to NVIDIA's four tables of ResNet-50's latency in
PyTorch at batches of 1 to 256 (V100 and T4, FP32 and mixed precision): off by 2.7 % on average, 8 %
at most. Fitted floors are 10.4, 13.3, 10.7, 12.7 ms; floor / item 12, 40, 4.4, 14.
https://github.com/NVIDIA/DeepLearningExamples/blob/master/PyTorch/Classification/ConvNets/
resnet50v1.5/README.md"""
LAUNCH_S = 5e-6
"""Of the host for each kernel. Assumed: a launch and its answer take about 20 us in PyTorch on a
V100, by NVIDIA's guide to Nsight Systems (as reported by https://groundy.com/articles/
every-cuda-kernel-pays-a-launch-tax-the-host-to-device-walkthrough/), but launches queue ahead."""
HOST_SHARING = 0.3
"""Of its launches that a stream waits for each other stream at work. Assumed."""
CONTENTION = 0.03
"""Slower by this with each further stream: caches and memory are shared. Assumed."""
MEMORY_BYTES = 16e9 - 0.5e9
"""Of a V100 16GB, as in NVIDIA's tables, less the context, which is assumed."""
STREAMS = 16
HOST_CORES = 8
"""Processors beside the device, as of a cloud machine with one V100 (Amazon's p3.2xlarge): twice as
many streams are in the space, as autotune's axes would have it."""
LARGEST_BATCH = 256
"""As in NVIDIA's tables; what is gained beyond is little."""
JITTER_BODY = (0.025, 0.05)
"""Log standard deviation of a batch alone, and what a full set of streams adds. Alone and with the
tail it gives p95 and p99 of 1.04 and 1.14 times the mean; the tables of `SHARPNESS` have 1.04 and
1.13 on the V100, 1.20 and 1.56 on the T4, at FP32 and a batch of 1. More is assumed."""
JITTER_TAIL = (0.02, 0.08, 0.2)
"""Share of batches that something delays alone, what a full set of streams adds to it, and by how
much of a batch on average (exponential)."""


class ModelOnGpu(Record, frozen=True):
    """What matters about a model."""

    floor_s: float
    """Of a small batch on the device."""
    item_s: float
    """Of one request on a full device."""
    launches: float
    overlap: float
    """Throughput of many streams with small batches over that of one, about."""
    stream_bytes: float
    """Of the device's memory, for each stream."""
    item_bytes: float
    """For each request of the largest batch of each stream."""
    load_s: float
    """To load a stream's copy."""


class GpuMachine(Record, frozen=True):
    """One device and its host."""

    memory_bytes: float = MEMORY_BYTES

    def service_s(self, model: ModelOnGpu, knobs: Knobs, busy: Samples, batch: Samples) -> Samples:
        """Return the median seconds of a batch; knobs, busy and batch broadcast.

        Args:
            model: what runs.
            knobs: how it is configured; threads of the host change nothing.
            busy: streams at work, this one included.
            batch: requests in the batch.
        """
        work_s = batch * model.item_s
        alone_s = (model.floor_s**SHARPNESS + work_s**SHARPNESS) ** (1 / SHARPNESS)
        filling_s = np.maximum(work_s, model.floor_s / model.overlap)
        floor = model.floor_s**SHARPNESS
        shared = (floor + (busy * filling_s) ** SHARPNESS) / (floor + filling_s**SHARPNESS)
        device_s = alone_s * shared ** (1 / SHARPNESS) * (1 + CONTENTION * (busy - 1))
        host_s = model.launches * LAUNCH_S * (1 + HOST_SHARING * (busy - 1))
        return np.asarray(host_s + device_s + 0.0 * knobs.replicas)

    def fits(self, model: ModelOnGpu, replicas: Samples, max_batch: Samples) -> Flags:
        """Return whether streams with their largest batches fit the device's memory."""
        needed = replicas * (model.stream_bytes + model.item_bytes * max_batch)
        return np.asarray(needed <= self.memory_bytes)

    def fullness(self, knobs: Knobs, busy: Samples) -> Samples:
        """Return how many of the streams that the device is meant for are at work, as a share."""
        return np.minimum((busy - 1) / (STREAMS - 1) + 0.0 * knobs.replicas, 1.0)


def jitter(fullness: float, count: int, seed: int) -> Samples:
    """Return sorted ratios of executions to their median; the same ranks at any fullness."""
    rng = np.random.default_rng(seed)
    body = np.exp((JITTER_BODY[0] + JITTER_BODY[1] * fullness) * rng.standard_normal(count))
    delayed = rng.random(count) < JITTER_TAIL[0] + JITTER_TAIL[1] * fullness
    ratios = body * (1 + np.where(delayed, rng.exponential(JITTER_TAIL[2], count), 0.0))
    return np.sort(ratios / np.median(ratios))


FLOOR_S = Range(2e-3, 13e-3)
"""Up to the fitted ones of PyTorch; compiled models have lower ones, by how much is assumed."""
KNEE = Range(4.4, 40.0)
"""Floor / item: the batch that fills the device, as fitted."""
LAUNCHES = Range(50, 300)
"""Assumed."""
OVERLAP = Range(1.4, 4.0)
"""Small networks in several contexts gained up to 43 % (Zhdanovskiy et al. 2024, doi
10.1117/12.3023487); more, for smaller kernels, is assumed."""
STREAM_BYTES = Range(0.1e9, 0.8e9)
"""Assumed."""
ITEM_BYTES = Range(5e6, 40e6)
"""Assumed."""
LOAD_S = Range(0.3, 3.0)
"""Assumed."""


def draw_model(seed: int) -> ModelOnGpu:
    """Draw a model's traits from the ranges above."""
    rng = np.random.default_rng((seed, 16))
    floor_s = FLOOR_S.log_even(rng)
    return ModelOnGpu(
        floor_s=floor_s,
        item_s=floor_s / KNEE.log_even(rng),
        launches=LAUNCHES.log_even(rng),
        overlap=OVERLAP.log_even(rng),
        stream_bytes=STREAM_BYTES.log_even(rng),
        item_bytes=ITEM_BYTES.log_even(rng),
        load_s=LOAD_S.log_even(rng),
    )
