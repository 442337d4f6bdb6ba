"""The replicas of an engine in production: those with a process of their own can be replaced."""

import threading

from autotune.engine.errors import EngineClosedError
from autotune.engine.replica import Infer
from autotune.models.kinds import kind_of
from autotune.models.replicas import open_replicas
from autotune.models.worker import RemoteReplica, close_workers
from autotune.runtime_environment import environment_of
from autotune.spec import ModelSpec, SessionShape


class LiveReplicas:
    """Replicas that stand, or stand again. Close them: processes do not end by themselves."""

    def __init__(self, model: ModelSpec, shape: SessionShape) -> None:
        """Load the replicas of `shape`.

        Raises:
            ModelError, UsageError: the model cannot be loaded.
            Exception: whatever else its runtime raises, such as for want of memory.
        """
        self._model, self._shape = model, shape
        self._environment = environment_of(kind_of(model) != "onnx", shape)
        replicas = open_replicas(model, shape)
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
    def pids(self) -> list[int]:
        """The processes of the replicas, beside this one."""
        return [worker.pid for worker in self._workers]

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
