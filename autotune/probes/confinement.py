"""What a process denies itself before it runs what others have made: network, core dumps, memory.

It keeps a model that goes wrong from harming others, and a model's code from talking to the outside
by the ordinary means. It is no wall against code that means harm: that may still read and write
what its user may, and reach other processes of this machine through sockets in the file system.

Sources: seccomp(2), prctl(2), getrlimit(2); the kernel's `linux/seccomp.h`, `linux/filter.h` and
`linux/audit.h`.
"""

import ctypes
import errno
import os
import platform
import resource
import socket
import sys
from pathlib import Path
from typing import NamedTuple

from autotune.probes.cores import usable_cores
from autotune.probes.files import read_table
from autotune.probes.memory import available_memory_bytes

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER = 1
_TSYNC, _SPEC_ALLOW = 1, 4
"""All threads; and without the mitigation that would slow down what is measured (Linux 4.17)."""
_RET_ALLOW, _RET_ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Offsets in `struct seccomp_data`, for little-endian machines."""
_X32 = 0x40000000
"""From here on, calls are those of x86-64's other convention, which nobody uses."""
_SHARE_GRANTED = 0.9
"""Of what is available: the kernel's figure is an estimate, and it kills before all is gone."""
_STACKS_PER_CORE = 4
_STACK_BYTES = 8 << 20
"""Of a thread: reserved, and hardly ever used."""


class _Calls(NamedTuple):
    """An architecture, as the kernel's audit names it, and its numbers of calls."""

    audit: int
    seccomp: int
    socket: int
    io_uring_setup: int = 425


_KNOWN = {
    "x86_64": _Calls(audit=0xC000003E, seccomp=317, socket=41),
    "aarch64": _Calls(audit=0xC00000B7, seccomp=277, socket=198),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def confine() -> list[str]:
    """Deny this process and all that it will start the network, core dumps and new privileges.

    Returns:
        What could not be denied, each with the reason.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    reason = _load_filter()
    return [f"network: {reason}"] if reason else []


def why_network_stays() -> str | None:
    """Return why `confine` cannot deny the network here; None: it can. Nothing is denied."""
    calls = _calls()
    if isinstance(calls, str):
        return calls
    # Without a program, a kernel that knows the flags gets as far as missing it.
    failure = _seccomp(calls, None)
    return None if failure == errno.EFAULT else _explained(failure)


def limit_memory(share: int = 1) -> int | None:
    """Let this process, and those that it will start, take no more memory than there is.

    What they ask for beyond it they are refused, instead of the kernel killing a process of its
    choice. A limit that this function has set before is replaced.

    Args:
        share: how many such processes there will be; each may take its part.

    Returns:
        The bytes that may still be taken; None where that is not known, and nothing was limited.
    """
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    available_bytes = available_memory_bytes()
    taken_kib = read_table(Path("/proc/self/status")).get("VmData")
    if available_bytes is None or taken_kib is None:
        return None
    room_bytes = int(available_bytes * _SHARE_GRANTED) // share
    stacks_bytes = usable_cores().affinity * _STACKS_PER_CORE * _STACK_BYTES
    limit_bytes = 1024 * taken_kib + room_bytes + stacks_bytes
    if most != resource.RLIM_INFINITY and most < limit_bytes:
        limit_bytes, room_bytes = most, max(0, most - 1024 * taken_kib)
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, most))
    return room_bytes


def lift_memory_limit() -> None:
    """Take back what `limit_memory` has set."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _load_filter() -> str | None:
    calls = _calls()
    if isinstance(calls, str):
        return calls
    instructions = _instructions(calls)
    memory = ctypes.create_string_buffer(b"".join(instructions))
    program = _Program(len(instructions), ctypes.addressof(memory))
    # Without it, only root may load a filter; with it, no program gains rights by being started.
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return _explained(_seccomp(calls, program))


def _calls() -> _Calls | str:
    """Return the numbers of calls here, or why there are none."""
    machine = platform.machine()
    # A 32-bit Python on a 64-bit kernel makes other calls.
    if machine in _KNOWN and sys.maxsize > 2**32 and sys.platform == "linux":
        return _KNOWN[machine]
    return f"no filter of system calls is known for {machine}"


def _seccomp(calls: _Calls, program: _Program | None) -> int:
    """Load the program; return the error number, 0 where it went well.

    Where a thread cannot be bound with the others, the kernel returns its number.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    where = None if program is None else ctypes.byref(program)
    flags = ctypes.c_long(_TSYNC | _SPEC_ALLOW)
    done = libc.syscall(ctypes.c_long(calls.seccomp), _SET_MODE_FILTER, flags, where)
    return ctypes.get_errno() if done < 0 else errno.EBUSY * bool(done)


def _explained(failure: int) -> str | None:
    return (
        f"the kernel refuses a filter of system calls: {os.strerror(failure)}" if failure else None
    )


def _instructions(calls: _Calls) -> list[bytes]:
    """Return a program that fails `socket`, but for local families, and `io_uring_setup`.

    A call that is none of these is allowed whatever its arguments, so that the kernel keeps a table
    of such calls and runs no program for them (Linux 5.11). Calls of another architecture fail:
    their numbers mean something else.
    """
    x32 = [(_IF_AT_LEAST, _X32, "deny", "next")] if calls == _KNOWN["x86_64"] else []
    steps: list[tuple[int, int, str, str]] = [
        (_LOAD, _ARCHITECTURE, "", ""),
        (_IF_EQUAL, calls.audit, "next", "deny"),
        (_LOAD, _NUMBER, "", ""),
        *x32,
        (_IF_EQUAL, calls.io_uring_setup, "deny", "next"),
        (_IF_EQUAL, calls.socket, "next", "allow"),
        (_LOAD, _FIRST_ARGUMENT, "", ""),
        (_IF_EQUAL, socket.AF_UNIX, "allow", "next"),
        (_IF_EQUAL, socket.AF_NETLINK, "allow", "next"),
        (_RETURN, _RET_ERRNO | errno.EACCES, "", ""),
        (_RETURN, _RET_ALLOW, "", ""),
    ]
    places = {"deny": len(steps) - 2, "allow": len(steps) - 1}
    made = []
    for index, (code, value, then, otherwise) in enumerate(steps):
        jumps = [places.get(name, index + 1) - index - 1 for name in (then, otherwise)]
        skips = jumps if code in (_IF_EQUAL, _IF_AT_LEAST) else [0, 0]
        made.append(
            code.to_bytes(2, "little") + bytes(skips) + (value & 0xFFFFFFFF).to_bytes(4, "little")
        )
    return made
