"""The child process: does what the parent asks for, and says what came of it.

Started as `python -m autotune.trial.child FD LOG_FD PARENT_PID` with one end of a pipe at FD and
the file of the request log at LOG_FD. It ends when the pipe closes or the parent dies.
"""

import contextlib
import ctypes
import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from autotune.errors import AutotuneError, UsageError
from autotune.models.inspect_model import inspect_model
from autotune.models.onnx_model import explain
from autotune.records import Failed, FailureKind
from autotune.trial import wire
from autotune.trial.sessions import Sessions, Tell, WrongOutputError

_PR_SET_PDEATHSIG = 1


def _failure(error: Exception) -> Failed:
    if isinstance(error, WrongOutputError):
        return Failed(kind="wrong_output", detail=str(error))
    text = explain(error)
    no_memory = isinstance(error, MemoryError) or "Failed to allocate memory" in text
    kind: FailureKind = "out_of_memory" if no_memory else "run_error"
    return Failed(kind=kind, detail=text)


def _answer(sessions: Sessions, request: wire.Request, tell: Tell) -> wire.Reply:
    try:
        match request:
            case wire.Inspect():
                requests = request.requests_folder
                return inspect_model(
                    request.model,
                    Path(request.outputs_folder),
                    None if requests is None else Path(requests),
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


def _die_with_parent(parent_pid: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with contextlib.suppress(OSError):  # be the one that the kernel kills, not the parent
            Path("/proc/self/oom_score_adj").write_text("1000")
    if os.getppid() != parent_pid:
        sys.exit(1)


def main() -> None:
    """Serve requests until the pipe closes."""
    descriptor, log_descriptor, parent_pid = map(int, sys.argv[1:4])
    pipe = Connection(descriptor)
    _die_with_parent(parent_pid)
    sessions = Sessions(log_descriptor)

    def send(reply: wire.Reply) -> None:
        pipe.send_bytes(wire.encode(reply))

    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            request = wire.decode_request(pipe.recv_bytes())
            send(_answer(sessions, request, send))


if __name__ == "__main__":
    main()
