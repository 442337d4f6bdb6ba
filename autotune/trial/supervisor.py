"""What stands between a child and what started it: nothing that the child starts outlives it.

Run as a file, `python -SP supervisor.py MODULE FD LOG_FD STATE_FD PARENT_PID`; it runs
`python -P -m MODULE FD LOG_FD PID`, with its own number for PID. It adopts what the child leaves
behind (PR_SET_CHILD_SUBREAPER), so that all of that is found below it, also what has changed its
session. All is killed when the child ends, when it gets SIGTERM, and when the thread ends that
started it, for whatever reason. It ends as the child did.

What is printed passes through here: the end of it is left in the own standard output.

It imports nothing of the package and sleeps while all is well, for it stands beside measurements.
"""

import contextlib
import ctypes
import os
import select
import signal
import struct
import sys
import time

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_TAIL_BYTES = 4096
_CHUNK_BYTES = 1 << 16
_NAP_S = 0.002
_LISTEN_MS = 10
"""Between two looks at what is printed: a pipe holds 64 KiB meanwhile."""
STATE = struct.Struct("=qq")
"""In the file at STATE_FD: the child's process id, and how often it was stopped or continued."""


def _supervise(module: str, pipes: list[str], state: int, parent_pid: int) -> int:
    """Run the module until it ends or must end; return its status as `waitpid` has it."""
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:
        return 1 << 8
    os.set_inheritable(state, False)
    words, prints = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(words, False)
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-m", module, *pipes, str(os.getpid())],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, prints, number) for number in (1, 2)],
        setpgroup=0,
    )
    for descriptor in (prints, *map(int, pipes)):
        os.close(descriptor)
    status, tail = _watch(child, state, (woken, words), told)
    ended = _end_all(child)
    while chunk := _read(words):
        tail = _end_of(tail + chunk)
    os.pwrite(1, tail, 0)
    if status is not None:
        return status
    return signal.SIGTERM if told else ended


def _watch(
    child: int, state: int, ears: tuple[int, int], told: list[int]
) -> tuple[int | None, bytes]:
    """Return when the child has ended, with its status, or None when it must end.

    The bytes are the last that it printed.
    """
    woken, words = ears
    stops, status, tail = 0, None, b""
    os.pwrite(state, STATE.pack(child, stops), 0)
    poll, quiet = select.poll(), select.poll()
    for one in (poll, quiet):
        one.register(woken, select.POLLIN)
    poll.register(words, select.POLLIN)
    while status is None and not told:
        for descriptor, event in poll.poll():
            if descriptor == woken:
                _read(woken)
            elif chunk := _read(words):
                tail = _end_of(tail + chunk)
                quiet.poll(_LISTEN_MS)  # a line must not cost a change of processes
            elif event & select.POLLHUP:
                poll.unregister(words)
        seen, status = _seen_of(child)
        if seen:
            stops += seen
            os.pwrite(state, STATE.pack(child, stops), 0)
    return status, tail


def _end_of(text: bytes) -> bytes:
    return text[-_TAIL_BYTES:]


def _read(descriptor: int) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return os.read(descriptor, _CHUNK_BYTES)
    return b""


def _seen_of(child: int) -> tuple[int, int | None]:
    """Return how often the child was stopped or continued, and its status if it ended.

    Others that have ended, which were adopted, are collected.
    """
    stops = 0
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            if pid == 0:
                break
            if pid != child:
                continue
            if not (os.WIFSTOPPED(status) or os.WIFCONTINUED(status)):
                return stops, status
            stops += 1
    return stops, None


def _end_all(child: int) -> int:
    """Kill every process below this one; return the status of the child if it is among them.

    They are stopped first, all of them and group by group, which is at once, so that none can start
    another meanwhile.
    """
    stopped: set[int] = set()
    while fresh := {pid: group for pid, group in _below().items() if pid not in stopped}:
        _send(fresh, signal.SIGSTOP)
        stopped.update(fresh)
    ended = 0
    while True:
        _send(_below(), signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while (waited := os.waitpid(-1, os.WNOHANG))[0]:
                ended = waited[1] if waited[0] == child else ended
            time.sleep(_NAP_S)
            continue
        return ended


def _send(below: dict[int, int], number: signal.Signals) -> None:
    own = os.getpgrp()
    for group in set(below.values()) - {own}:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
    for pid, group in below.items():
        if group == own:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def _below() -> dict[int, int]:
    """Return the group of each process that descends from this one. Source: proc(5), `stat`."""
    children: dict[int, dict[int, int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError):  # it ended meanwhile
                with open(f"/proc/{name}/stat", "rb") as file:
                    _, parent, group = file.read().rpartition(b")")[2].split()[:3]
                children.setdefault(int(parent), {})[int(name)] = int(group)
    found: dict[int, int] = {}
    left = [os.getpid()]
    while left:
        below = children.get(left.pop(), {})
        found.update(below)
        left += below
    return found


def _end_like(status: int) -> None:
    """End this process as another has ended."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def main() -> None:
    """Do what the command line says."""
    module, pipe, log, state, parent_pid = sys.argv[1:6]
    _end_like(_supervise(module, [pipe, log], int(state), int(parent_pid)))


if __name__ == "__main__":
    main()
