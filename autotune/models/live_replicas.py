"""The replicas of an engine in production: those with a process of their own can be replaced."""

import threading
from collections.abc import Collection, Sequence

from autotune.engine.errors import EngineClosedError
from autotune.engine.follow import Following, Level
from autotune.engine.group import Prepared, Upkeep
from autotune.engine.replica import Infer
from autotune.engine.source import stack
from autotune.models.kinds import kind_of
from autotune.models.replicas import open_replicas
from autotune.models.sample_inputs import make_samples
from autotune.models.worker import RemoteReplica, close_workers
from autotune.runtime_environment import environment_of
from autotune.spec import ModelSpec, ServingConfig, SessionShape

WARM_UP_RUNS = 3
"""Of each replica with each size of batch, before requests depend on it."""


class LiveReplicas:
    """Replicas that stand, or stand again. Close them: processes do not end by themselves."""

    def __init__(self, model: ModelSpec, shape: SessionShape, beside_others: bool = False) -> None:
        """Load the replicas of `shape`; those of another may serve in this process meanwhile.

        Raises:
            ModelError, UsageError: the model cannot be loaded.
            Exception: whatever else its runtime raises, such as for want of memory.
        """
        self._model, self._shape = model, shape
        self._environment = environment_of(kind_of(model) != "onnx", shape)
        replicas = open_replicas(model, shape, beside_others=beside_others)
        self._inputs, self._own = replicas.inputs, replicas.own
        self.names = [one.name for one in replicas.inputs]
        """What the model's inputs are called."""
        self.in_processes = bool(replicas.workers)
        self._workers = replicas.workers
        # Of a worker that has died, nobody may keep the memory.
        self._here = [] if replicas.workers else replicas.infers
        self._lock = threading.Lock()
        self._closed = False

    @property
    def infers(self) -> list[Infer]:
        """The replicas that stand now; none once they are closed."""
        return [*self._here, *self._workers]

    @property
    def prepared(self) -> Prepared:
        """The same, with what the engine may do about them."""
        reopen = self.reopen if self.in_processes else None
        return Prepared(self.infers, Upkeep(reopen, self.kill, self.close))

    @property
    def pids(self) -> list[int]:
        """The processes of the replicas, beside this one."""
        return [worker.pid for worker in self._workers]

    def warm_up(self, batch_sizes: Collection[int]) -> None:
        """Execute generated requests: what is compiled or set up on first use is so afterwards.

        Raises:
            UsageError, ModelError: the model does not take the requests that are described.
            Exception: whatever the model raises.
        """
        samples = make_samples(self._inputs, self._model, self._own)
        for size in sorted(batch_sizes):
            batch = stack([samples[i % len(samples)] for i in range(size)])
            for infer in self.infers:
                for _ in range(WARM_UP_RUNS):
                    infer(batch)

    def reopen(self, number: int) -> Infer:
        """Load a replica in a new process, in place of one whose process has ended.

        Raises:
            EngineClosedError: there is no need for it any more.
            ModelError, UsageError, MemoryError, ReplicaError, ReplicaDiedError: as
                `RemoteReplica.loaded`.
            OSError: no process can be started.
        """
        with self._lock:
            if self._closed:
                raise EngineClosedError("the replicas are closed")
            self._workers[number].close()
            worker = RemoteReplica(self._environment)
            self._workers[number] = worker
        worker.start_loading(self._model, self._shape, number)
        worker.loaded()
        return worker

    def kill(self) -> None:
        """End the processes, also those that load or execute, and let no other be started."""
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.kill()

    def close(self) -> None:
        """End the processes and wait until they are gone; safe to call again."""
        with self._lock:
            self._closed = True
            close_workers(self._workers)
            # With which the memory goes that they shared.
            self._workers.clear()
            self._here.clear()


def open_following(
    model: ModelSpec, levels: Sequence[Level], start: int
) -> tuple[LiveReplicas, Following]:
    """Load the replicas of the level to start with, warm; return them and how others are loaded.

    Raises:
        ModelError, UsageError: the model cannot be loaded, or no requests for it can be made.
        Exception: whatever else its runtime raises, such as for want of memory.
    """
    configs = [level.config for level in levels]

    def opened(shape: SessionShape, beside_others: bool) -> LiveReplicas:
        replicas = LiveReplicas(model, shape, beside_others)
        try:
            replicas.warm_up(_sizes_used([one for one in configs if one.session_shape == shape]))
        except BaseException:
            replicas.close()
            raise
        return replicas

    first = opened(configs[start].session_shape, beside_others=False)
    return first, Following(levels, start, lambda shape: opened(shape, beside_others=True).prepared)


def _sizes_used(configs: Sequence[ServingConfig]) -> set[int]:
    """Return the sizes of batches that differ in what is set up for them on first use."""
    largest = max(one.max_batch_size for one in configs)
    # A graph is captured for each size, and that would stall the GPU while it serves.
    return set(range(1, largest + 1)) if configs[0].cuda_graphs else {1, largest}
