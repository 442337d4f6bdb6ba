"""All replicas of a configuration, in this process or in processes of their own."""

from collections.abc import Callable
from typing import NamedTuple

from autotune.engine.replica import Infer
from autotune.engine.source import Tensors
from autotune.models.loading import open_replica
from autotune.models.worker import RemoteReplica, close_workers, compiled_here_s, open_workers
from autotune.records import InputInfo
from autotune.spec import ModelSpec, SessionShape

Stands = Callable[[int], None]
"""Is told how many replicas stand, each time that one more does."""


class Replicas(NamedTuple):
    """Replicas that stand. `close` them: their processes do not end by themselves."""

    infers: list[Infer]
    inputs: list[InputInfo]
    """As the model declares them."""
    own: Tensors | None
    """One request that the model brings along; None: none."""
    nodes: dict[str, int]
    """Nodes of the model's graph by who executes them; empty: not known."""
    workers: list[RemoteReplica]
    """Those of `infers` that have a process of their own: all, or none."""

    @property
    def pids(self) -> list[int]:
        """The processes of the replicas, beside this one."""
        return [worker.pid for worker in self.workers]

    def compiled_s(self) -> float:
        """Return the seconds that went by compiling: here, and at once in the processes.

        Raises:
            ReplicaDiedError: one of them is gone.
        """
        return compiled_here_s() + max((worker.compiled_s() for worker in self.workers), default=0)

    def close(self) -> None:
        """End their processes; safe to call again."""
        close_workers(self.workers)


NONE = Replicas([], [], None, {}, [])


def open_replicas(
    model: ModelSpec,
    shape: SessionShape,
    stands: Stands = lambda count: None,
    beside_others: bool = False,
) -> Replicas:
    """Load the replicas of `shape`: one after the other here, all at once in other processes.

    Args:
        model: what they execute.
        shape: how many, and how.
        stands: is told how many stand.
        beside_others: replicas of another shape serve in this process, and what was compiled for
            them stays: see `open_replica`.

    Raises:
        ModelError, UsageError: the model cannot be loaded.
        Exception: whatever else its runtime raises, such as for want of memory.
    """
    if shape.replicas_as == "processes":
        workers, first = open_workers(model, shape, stands)
        return Replicas(list(workers), first.inputs, first.own, first.nodes, workers)
    infers: list[Infer] = []
    # On the same devices, but none of them is the first, which would end what others have compiled.
    begin = shape.devices if beside_others else 0
    for number in range(shape.replicas):
        loaded = open_replica(model, shape, begin + number)
        infers.append(loaded.infer)
        stands(number + 1)
    return Replicas(infers, loaded.inputs, loaded.own, loaded.nodes, [])
