"""A replica in a process of its own: what it executes holds no other replica's interpreter lock.

A call copies the inputs into memory that both share, unless they were put there in the first place
(`OwnBuffers`), wakes the process, and sleeps until it answers.
"""

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from typing import Never

from autotune.engine.errors import ReplicaGoneError
from autotune.engine.source import Tensors
from autotune.errors import ModelError, UsageError
from autotune.models import worker_wire as wire
from autotune.models.kinds import kind_of
from autotune.models.shared_arrays import Placed, SharedArrays, after
from autotune.probes.ending import how_it_ended, last_line
from autotune.records import Failed
from autotune.runtime_environment import environment_of, passed_on
from autotune.spec import ModelSpec, SessionShape

_STDERR = 2
_WAIT_S = 5.0
"""For a process to be gone that has closed its pipe."""


class ReplicaError(RuntimeError):
    """What the model raised in its process, in its words."""


class ReplicaDiedError(ReplicaGoneError):
    """The process of a replica is gone."""

    def __init__(self, failed: Failed) -> None:
        """Say what ended it."""
        super().__init__(failed.detail)
        self.failed = failed


class RemoteReplica:
    """One process with one replica, to be called as an `Infer`. For one thread at a time.

    It prints where this process does. `close` leaves no process behind; where this one just ends,
    it ends, too.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        """Start the process, with these variables beside those of this one that may pass.

        It has a process group of its own, so a terminal's Ctrl-C does not reach it.

        Raises:
            UsageError: what is to be passed on is not there; see `passed_on`.
        """
        variables = {**passed_on(os.environ), **environment}
        self._pipe, theirs = Pipe(duplex=True)
        self._inputs, self._outputs = _new_memory("inputs"), _new_memory("outputs")
        self._kept_bytes = 0
        passed = [theirs.fileno(), self._inputs.descriptor, self._outputs.descriptor]
        # The kernel kills a process with the thread that started it, and any but the main
        # thread may end before its time.
        with_parent = threading.current_thread() is threading.main_thread()
        command = [sys.executable, "-P", "-m", "autotune.models.worker_main"]
        with theirs:
            self._process = subprocess.Popen(
                [*command, *map(str, [*passed, os.getpid(), int(with_parent)])],
                stdin=subprocess.DEVNULL,
                pass_fds=passed,
                process_group=0,
                env=variables,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def start_loading(self, model: ModelSpec, shape: SessionShape, number: int) -> None:
        """Have it load replica `number` of the shape, and do not wait for it."""
        with contextlib.suppress(OSError):  # what ended it is said when it is waited for
            self._pipe.send_bytes(wire.encode(wire.Load(model, shape, number)))

    def loaded(self) -> wire.Loaded:
        """Wait until it has loaded.

        Raises:
            ModelError, UsageError: the model cannot be loaded.
            MemoryError: there is no memory for it.
            ReplicaError: the model raised something else.
            ReplicaDiedError: the process ended.
        """
        reply = self._reply()
        assert isinstance(reply, wire.Loaded)
        return reply

    def __call__(self, inputs: Tensors) -> Tensors:
        """Execute the model: inputs by name -> outputs by name, which are the caller's own.

        Raises:
            MemoryError: there was no memory for it.
            ReplicaError: what the model raised.
            ReplicaDiedError: the process ended.
        """
        if self._process.returncode is not None:  # its memory is closed
            self._mourn()
        reply = self._ask(wire.Run(wire.place(inputs, self._inputs, self._kept_bytes)))
        assert isinstance(reply, wire.Ran)
        outputs = wire.take(reply.outputs, self._outputs)
        # The next run writes over the memory, and an answer may be kept.
        copied = (name for name, value in reply.outputs.items() if isinstance(value, Placed))
        return outputs | {name: outputs[name].copy() for name in copied}

    def buffers(self, like: Tensors, rows: int) -> Tensors:
        """Return arrays in the shared memory, as `autotune.engine.assembly.OwnBuffers` has it."""
        places, end = dict[str, Placed](), 0
        for name, array in like.items():
            shape = (rows, *array.shape[1:])
            places[name] = Placed(array.dtype.str, shape, end)
            end = after(end, math.prod(shape) * array.dtype.itemsize)
        self._inputs.demand(end)
        self._kept_bytes = end
        return {name: self._inputs.view(placed) for name, placed in places.items()}

    def compiled_s(self) -> float:
        """Return the seconds that the process has spent on compiling.

        Raises:
            ReplicaDiedError: it ended.
        """
        reply = self._ask(wire.AskCompiled())
        assert isinstance(reply, wire.Compiled)
        return reply.seconds

    def kill(self) -> None:
        """End the process without waiting for that. For any thread: a call of another's returns."""
        self._process.kill()

    def close(self) -> None:
        """End the process and wait until it is gone; safe to call again.

        What it has started goes with it, as long as it has not left the process group.
        """
        if self._process.returncode is None:  # then no other group can have its number
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._pipe.close()
        self._inputs.close()
        self._outputs.close()

    def _ask(self, request: wire.Request) -> wire.Reply:
        try:
            self._pipe.send_bytes(wire.encode(request))
        except OSError:
            self._mourn()
        except KeyboardInterrupt:  # half a request would spoil the next
            self.close()
            raise
        return self._reply()

    def _reply(self) -> wire.Reply:
        try:
            reply = wire.decode_reply(self._pipe.recv_bytes())
        except (EOFError, OSError):
            self._mourn()
        except BaseException:  # interrupted: its answer would be taken for that of the next call
            self.close()
            raise
        if isinstance(reply, wire.Raised):
            errors = {"usage": UsageError, "model": ModelError, "memory": MemoryError}
            raise errors.get(reply.kind, ReplicaError)(reply.message)
        return reply

    def _mourn(self) -> Never:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_WAIT_S)
        code = self._process.poll()
        self.close()
        raise ReplicaDiedError(how_it_ended(code, last_line(_STDERR))) from None


def open_workers(
    model: ModelSpec,
    shape: SessionShape,
    stands: Callable[[int], None] = lambda count: None,
) -> tuple[list[RemoteReplica], wire.Loaded]:
    """Start a process for each replica of the shape, all at once; return what the first loaded.

    `stands` is told how many stand, each time that one more does.

    Raises:
        ModelError, UsageError, MemoryError, ReplicaError, ReplicaDiedError: as
            `RemoteReplica.loaded`; then none of the processes is left.
    """
    environment = environment_of(kind_of(model) != "onnx", shape)
    workers: list[RemoteReplica] = []
    try:
        for number in range(shape.replicas):
            workers.append(RemoteReplica(environment))
            workers[-1].start_loading(model, shape, number)
        first = workers[0].loaded()
        for count, worker in enumerate(workers[1:], 1):
            stands(count)
            worker.loaded()
        stands(len(workers))
    except BaseException:
        close_workers(workers)
        raise
    return workers, first


def compiled_here_s() -> float:
    """Return the seconds that this process has spent on compiling; none without torch."""
    forms = sys.modules.get("autotune.models.torch_forms")
    return float(forms.compiled_s()) if forms is not None else 0.0


def close_workers(workers: Sequence[RemoteReplica]) -> None:
    """End the processes."""
    for worker in workers:
        worker.close()


def _new_memory(name: str) -> SharedArrays:
    return SharedArrays(os.memfd_create(f"autotune-{name}", os.MFD_CLOEXEC))
