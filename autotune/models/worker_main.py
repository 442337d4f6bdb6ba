"""What runs in a replica's own process: open the model, then execute it whenever asked to.

Started as `python -m autotune.models.worker_main FD IN_FD OUT_FD PARENT_PID WITH_PARENT` with one
end of a pipe at FD, the memory of the inputs at IN_FD and that of the outputs at OUT_FD. It ends
when the pipe closes, and, if WITH_PARENT is 1, when the thread ends that started it.
"""

import contextlib
import gc
import os
import signal
import sys
from multiprocessing.connection import Connection

from autotune.engine.replica import Infer
from autotune.errors import AutotuneError, UsageError
from autotune.models import worker_wire as wire
from autotune.models.failures import lacked_memory
from autotune.models.loading import explain, open_replica
from autotune.models.shared_arrays import SharedArrays
from autotune.models.worker import compiled_here_s
from autotune.probes.ending import end_with_parent


def _load(request: wire.Load) -> tuple[wire.Loaded, Infer]:
    loaded = open_replica(request.model, request.shape, request.number)
    gc.collect()
    gc.freeze()
    said = wire.Loaded(
        inputs=loaded.inputs,
        outputs=loaded.outputs,
        own=loaded.own,
        nodes=loaded.nodes,
    )
    return said, loaded.infer


def _raised(error: Exception) -> wire.Raised:
    """Explained here, where its type is known."""
    if isinstance(error, AutotuneError):
        kind: wire.Kind = "usage" if isinstance(error, UsageError) else "model"
        return wire.Raised(kind=kind, message=str(error))
    kind = "memory" if lacked_memory(error) else "run"
    return wire.Raised(kind=kind, message=explain(error) or type(error).__name__)


def main() -> None:
    """Serve requests until the pipe closes."""
    descriptor, inputs_descriptor, outputs_descriptor, parent_pid, with_parent = map(
        int, sys.argv[1:6]
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the parent
    if with_parent:
        end_with_parent(parent_pid)
    for passed in (descriptor, inputs_descriptor, outputs_descriptor):
        os.set_inheritable(passed, False)
    pipe = Connection(descriptor)
    inputs, outputs = SharedArrays(inputs_descriptor), SharedArrays(outputs_descriptor)
    infer: Infer = dict

    def answer(request: wire.Request) -> bytes:
        nonlocal infer
        try:
            match request:
                case wire.Run():
                    results = infer(wire.take(request.inputs, inputs))
                    return wire.encode(wire.Ran(outputs=wire.place(results, outputs, 0)))
                case wire.Load():
                    loaded, infer = _load(request)
                    return wire.encode(loaded)
                case wire.AskCompiled():
                    return wire.encode(wire.Compiled(seconds=compiled_here_s()))
        except Exception as error:  # the parent raises it
            return wire.encode(_raised(error))

    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            pipe.send_bytes(answer(wire.decode_request(pipe.recv_bytes())))
    os._exit(0)  # a runtime's pools may take their time


if __name__ == "__main__":
    main()
