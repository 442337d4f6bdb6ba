"""The child process: does what the parent asks for, and says what came of it.

Started as `python -m autotune.trial.child FD LOG_FD PARENT_PID` with one end of a pipe at FD and
the file of the request log at LOG_FD. It ends when the pipe closes or the process dies that
started it, the supervisor. What it may do is set by `autotune.probes.confinement`.
"""

import contextlib
import os
import re
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from autotune.errors import AutotuneError, ModelError, UsageError
from autotune.models.failures import lacked_memory, release_memory
from autotune.models.inspect_model import inspect_model
from autotune.models.loading import explain
from autotune.models.worker import ReplicaDiedError
from autotune.probes.confinement import confine, lift_memory_limit, limit_memory
from autotune.probes.ending import end_with_parent
from autotune.probes.topology import parse_cpus
from autotune.records import Failed
from autotune.runtime_environment import CPUS, FEED, FOLLOW
from autotune.trial import wire
from autotune.trial.sessions import Sessions, Tell, WrongOutputError

_GIB = 2**30
_WANTS_NETWORK = re.compile(
    "name resolution|urlopen error|ConnectionError|Max retries exceeded|LocalEntryNotFound"
)
"""What libraries say of a network that is not there."""


def _failure(error: Exception, room_bytes: int | None) -> Failed:
    if isinstance(error, WrongOutputError):
        return Failed(kind="wrong_output", detail=str(error))
    if isinstance(error, ReplicaDiedError):
        return error.failed
    if not _starved(error):
        return Failed(kind="run_error", detail=explain(error))
    what = explain(error) or type(error).__name__
    if room_bytes is not None:
        what = f"needs more memory than the {room_bytes / _GIB:.1f} GiB that it may take: {what}"
    return Failed(kind="out_of_memory", detail=what)


def _starved(error: Exception) -> bool:
    return lacked_memory(error) or "MemoryError" in str(error)


def _bounded(request: wire.Request) -> int | None:
    """Let what loads a model take no more memory than there is; return the bytes, where known.

    What a GPU's driver maps into the process has no bearing on the host's memory.
    """
    match request:
        case wire.Inspect(allowed=allowed) if allowed.device == "cpu":
            return limit_memory()
        case wire.Open(shape=shape) if not shape.family.on_gpu:
            return limit_memory(shape.replicas if shape.replicas_as == "processes" else 1)
        case wire.Inspect() | wire.Open():
            lift_memory_limit()
    return None


def _answer(
    sessions: Sessions, request: wire.Request, room_bytes: int | None, tell: Tell
) -> wire.Reply:
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
                return sessions.open_loop(request)
            case wire.Idle():
                return sessions.idle(request)
    except AutotuneError as error:
        if isinstance(error, ModelError) and _starved(error):
            return _failure(error, room_bytes)
        message = str(error)
        if _WANTS_NETWORK.search(message):
            message += "; a model is run without network: fetch what it needs beforehand"
        return wire.Refused(usage=isinstance(error, UsageError), message=message)
    except Exception as error:  # the parent learns from any failure of the model
        return _failure(error, room_bytes)


def main() -> None:
    """Serve requests until the pipe closes."""
    descriptor, log_descriptor, parent_pid = map(int, sys.argv[1:4])
    pipe = Connection(descriptor)
    end_with_parent(parent_pid)
    links = [int(os.environ[name]) if name in os.environ else -1 for name in (FOLLOW, FEED)]
    for passed in (descriptor, log_descriptor, *(link for link in links if link >= 0)):
        os.set_inheritable(passed, False)
    confine()
    if cpus := os.environ.get(CPUS):
        os.sched_setaffinity(0, parse_cpus(cpus))
    with contextlib.suppress(OSError):  # be the one that the kernel kills, not the parent
        Path("/proc/self/oom_score_adj").write_text("1000")
    sessions = Sessions(log_descriptor, *links)
    room_bytes: int | None = None

    def send(reply: wire.Reply) -> None:
        pipe.send_bytes(wire.encode(reply))

    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            request = wire.decode_request(pipe.recv_bytes())
            if isinstance(request, wire.Inspect | wire.Open):
                room_bytes = _bounded(request)
            reply = _answer(sessions, request, room_bytes, send)
            if isinstance(reply, Failed) and reply.kind == "out_of_memory":
                release_memory()
            if not isinstance(reply, Failed) and (seconds := sessions.newly_compiled_s()):
                send(wire.Compiled(seconds=seconds))
            send(reply)


if __name__ == "__main__":
    main()
