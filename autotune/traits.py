"""What models and machines are like, in numbers that hold for others than themselves.

What was learnt of one model on one machine is of use for another as far as they are alike.
"""

from autotune.spec import Count, Positive, Record


class ModelTraits(Record, frozen=True):
    """What a model's graph says of how it will run. Of one request, where it depends on that."""

    graph_sha256: str | None = None
    """Of the graph without the values of its weights: equal for versions of one model. None: the
    file does not tell its graph, or its graph is too large."""
    operators: dict[str, int] = {}  # noqa: RUF012 - each record has its own
    """Nodes by type, ONNX's name where it has one; constants, and torch's views, left out."""
    work: dict[str, float] = {}  # noqa: RUF012 - each record has its own
    """Floating-point operations by type, a multiplication with its addition counting as two, and
    other operators one for each element that they write. The runtime's types: it may have joined
    nodes. Empty: the model was too slow to be run once more."""
    weight_bytes: float | None = None
    """None: not known."""
    activation_bytes: float | None = None
    """Of all tensors that nodes write; None: as for `work`."""
    nodes: int = 0
    depth: int = 0
    """Nodes on the longest path; 0: not known."""
    batch_axes: int = 0
    """Inputs whose first axis is left open."""
    open_axes: int = 0
    """Other axes of inputs that are left open: sizes of images, lengths of sequences."""
    dtype: str = ""
    """Of most weights, by numpy's name or torch's; empty: not known, or there are none."""

    @property
    def flops(self) -> float:
        """Floating-point operations of one request; 0 where none are known."""
        return sum(self.work.values())


class MachineTraits(Record, frozen=True):
    """How fast a machine is at what decides: None where that cannot be told."""

    cores: Count
    """Usable."""
    core_gflops: Positive
    """Of one core, multiplying matrices that fit its cache."""
    all_gflops: Positive
    """Of all usable cores together."""
    core_gbps: Positive
    """10^9 bytes/s that one core moves, of a block that no cache holds."""
    all_gbps: Positive
    """Of all usable cores together."""
    wake_us: float
    """By how much a sleep of a millisecond typically overruns."""
    l2_bytes: float | None = None
    """Of one core."""
    l3_bytes: float | None = None
    """Of those that share it."""
    clock_ghz: float | None = None
    """The highest that the platform states."""
