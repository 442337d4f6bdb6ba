"""The values each knob may take, from the machine's cores and the model's batch dimension."""

from autotune.spec import Record

OVERSUBSCRIPTION = 2
"""Threads may outnumber usable cores by this factor: more was never seen to help, and costs."""
MAX_BATCH_SIZE = 32
"""Larger batches pay on accelerators; on a CPU the work per request has long been constant."""
_TIMEOUTS_MS = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


class Axes(Record, frozen=True):
    """The values of each knob, ascending."""

    cores: int
    replicas: list[int]
    intra_op_threads: list[int]
    inter_op_threads: list[int]
    """Values for parallel execution mode; empty where it makes no sense."""
    max_batch_sizes: list[int]
    batch_timeouts_ms: list[float]


def make_axes(cores: int, batchable: bool, slo_ms: float) -> Axes:
    """Return the axes for this many usable cores.

    Thread and replica counts grow by doubling, plus the number of cores itself. A batch may wait
    for company for at most half of what the SLO allows.
    """
    doublings = sorted({2**i for i in range(cores.bit_length())} | {cores})
    return Axes(
        cores=cores,
        replicas=sorted({*doublings, OVERSUBSCRIPTION * cores}),
        intra_op_threads=doublings,
        inter_op_threads=[count for count in doublings if 2 <= count <= 8],
        max_batch_sizes=_powers_of_two(MAX_BATCH_SIZE) if batchable else [1],
        batch_timeouts_ms=[ms for ms in _TIMEOUTS_MS if ms <= slo_ms / 2],
    )


def _powers_of_two(largest: int) -> list[int]:
    return [2**i for i in range(largest.bit_length())]
