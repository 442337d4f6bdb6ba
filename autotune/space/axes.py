"""The values each knob may take, from the machine's cores and the model's batch dimension."""

from autotune.outcome import Abilities
from autotune.spec import ON_GPU, Record

OVERSUBSCRIPTION = 2
"""Threads may outnumber usable cores by this factor: more was never seen to help, and costs."""
MAX_BATCH_SIZE = 32
"""On a CPU: there the work per request has long been constant."""
MAX_GPU_BATCH_SIZE = 256
"""A GPU is full by then: its latency grows with the batch from there."""
GPU_REPLICAS = 8
"""Most for each GPU: kernels that leave room for more are too small to need a GPU."""
_TIMEOUTS_MS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
EVERY_CPU = Abilities()
"""What ONNX Runtime has on a CPU."""


class Axes(Record, frozen=True):
    """The values of each knob, ascending."""

    cores: int
    replicas: list[int]
    intra_op_threads: list[int]
    inter_op_threads: list[int]
    """Values for parallel execution mode; empty where it makes no sense."""
    max_batch_sizes: list[int]
    batch_timeouts_ms: list[float]
    abilities: Abilities = EVERY_CPU
    """Which other knobs there are."""


def make_axes(cores: int, batchable: bool, slo_ms: float, abilities: Abilities = EVERY_CPU) -> Axes:
    """Return the axes for this many usable cores.

    Thread and replica counts grow by doubling, plus the number of cores itself. A batch may wait
    for company for at most half of what the SLO allows.

    Args:
        cores: that may be used.
        batchable: whether requests can be executed together.
        slo_ms: the latency allowed.
        abilities: which other knobs the model and its runtime have.
    """
    on_gpu = abilities.providers[0] in ON_GPU
    largest = MAX_GPU_BATCH_SIZE if on_gpu else MAX_BATCH_SIZE
    doublings = sorted({2**i for i in range(cores.bit_length())} | {cores})
    return Axes(
        cores=cores,
        replicas=sorted({*doublings, OVERSUBSCRIPTION * cores}),
        intra_op_threads=doublings,
        inter_op_threads=[n for n in doublings if 2 <= n <= 8 and abilities.inter_op],
        max_batch_sizes=powers_of_two(largest) if batchable else [1],
        batch_timeouts_ms=[ms for ms in _TIMEOUTS_MS if ms <= slo_ms / 2],
        abilities=abilities,
    )


def powers_of_two(largest: int) -> list[int]:
    """Return those up to the largest."""
    return [2**i for i in range(largest.bit_length())]
