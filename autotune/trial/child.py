"""The child process: does what the parent asks for, and says what came of it.

Started as `python -m autotune.trial.child FD LOG_FD PARENT_PID` with one end of a pipe at FD and
the file of the request log at LOG_FD. It ends when the pipe closes or the parent dies.
"""

import contextlib
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from autotune.errors import AutotuneError, UsageError
from autotune.models.failures import lacked_memory, release_memory
from autotune.models.inspect_model import inspect_model
from autotune.models.loading import explain
from autotune.models.worker import ReplicaDiedError
from autotune.probes.ending import end_with_parent
from autotune.records import Failed, FailureKind
from autotune.trial import wire
from autotune.trial.sessions import Sessions, Tell, WrongOutputError


def _failure(error: Exception) -> Failed:
    if isinstance(error, WrongOutputError):
        return Failed(kind="wrong_output", detail=str(error))
    if isinstance(error, ReplicaDiedError):
        return error.failed
    kind: FailureKind = "out_of_memory" if lacked_memory(error) else "run_error"
    return Failed(kind=kind, detail=explain(error))


def _answer(sessions: Sessions, request: wire.Request, tell: Tell) -> wire.Reply:
    try:
        match request:
            case wire.Inspect():
                requests = request.requests_folder
                return inspect_model(
                    request.model,
                    Path(request.outputs_folder),
                    None if requests is None else Path(requests),
                    request.allowed,
                )
            case wire.Open():
                return sessions.open(request, tell)
            case wire.ClosedLoop():
                return sessions.closed_loop(request)
            case wire.OpenLoop():
                return sessions.open_loop(request.trial)
            case wire.Idle():
                return sessions.idle(request)
    except AutotuneError as error:
        return wire.Refused(usage=isinstance(error, UsageError), message=str(error))
    except Exception as error:  # the parent learns from any failure of the model
        return _failure(error)


def main() -> None:
    """Serve requests until the pipe closes."""
    descriptor, log_descriptor, parent_pid = map(int, sys.argv[1:4])
    pipe = Connection(descriptor)
    end_with_parent(parent_pid)
    with contextlib.suppress(OSError):  # be the one that the kernel kills, not the parent
        Path("/proc/self/oom_score_adj").write_text("1000")
    sessions = Sessions(log_descriptor)

    def send(reply: wire.Reply) -> None:
        pipe.send_bytes(wire.encode(reply))

    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            request = wire.decode_request(pipe.recv_bytes())
            reply = _answer(sessions, request, send)
            if isinstance(reply, Failed) and reply.kind == "out_of_memory":
                release_memory()
            if not isinstance(reply, Failed) and (seconds := sessions.newly_compiled_s()):
                send(wire.Compiled(seconds=seconds))
            send(reply)


if __name__ == "__main__":
    main()
