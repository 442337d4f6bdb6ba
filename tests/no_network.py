"""Refuse the network to a process and all that it starts: copied as sitecustomize.py.

Python's own calls are recorded and refused by an audit hook, which names who asked. What compiled
code asks of the kernel is refused by a filter (seccomp) that ends the process: any socket of the
internet's families, and io_uring, through which one could be had unseen. Only sockets of the Unix
family stay. A filter is inherited by every child, whatever it runs, and cannot be taken off.
"""

import ctypes
import os
import platform
import struct
import sys
import traceback
from pathlib import Path

LOG = Path(__file__).with_name("network.log")
"""Beside the copy: a line for each process that was guarded, and for each attempt."""
ASKING = {
    "socket.bind",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyaddr",
    "socket.gethostbyname",
    "socket.getnameinfo",
    "socket.sendmsg",
    "socket.sendto",
}
UNIX_FAMILY = 1
CALLS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""The kernel's name of an architecture, and there the number of `socket`."""
IO_URING_SETUP = 425
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_KILL, _ALLOW = 0x80000000, 0x7FFF0000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06


def filter_program(architecture: int, socket_call: int) -> bytes:
    """Return the filter, in the kernel's classic BPF; jumps count instructions to skip."""
    steps = [
        (_LOAD, 0, 0, 4),  # the architecture
        (_EQUAL, 0, 6, architecture),
        (_LOAD, 0, 0, 0),  # the number of the call
        (_EQUAL, 4, 0, IO_URING_SETUP),
        (_EQUAL, 0, 2, socket_call),
        (_LOAD, 0, 0, 16),  # its first argument: the family
        (_EQUAL, 0, 1, UNIX_FAMILY),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _KILL),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def filter_calls() -> bool:
    """Let the kernel refuse; return whether it can here."""
    if platform.machine() not in CALLS:
        return False
    program = filter_program(*CALLS[platform.machine()])
    kept = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(kept))
    libc = ctypes.CDLL(None, use_errno=True)
    failed: int = libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    failed |= libc.prctl(_SET_SECCOMP, _FILTER, ctypes.c_char_p(header), 0, 0)
    return not failed


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    """Record and refuse what would leave the machine, as an audit hook."""
    if event not in ASKING or getattr(arguments[0], "family", None) == UNIX_FAMILY:
        return
    note(f"attempt {event} {arguments[1:]!r}\n{''.join(traceback.format_stack()[-8:-1])}")
    raise OSError(f"{event}: the network is refused")


def note(text: str) -> None:
    """Write to the log, in one piece."""
    with LOG.open("a", encoding="utf-8") as log:
        log.write(text + "\n")


if __name__ == "sitecustomize":
    sys.addaudithook(refuse)
    filtered = filter_calls()
    note(f"guarded {os.getpid()} filtered={filtered} {' '.join(sys.orig_argv)}")
