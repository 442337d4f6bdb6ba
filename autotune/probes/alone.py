"""One autotune measures at a time on a machine: two would spoil each other's numbers.

Who measures holds a socket in Linux's abstract namespace (unix(7)): it lies in no folder, belongs
to no user, and is gone with its process however that ends. Network namespaces each have their own,
so containers of one machine do not see each other.
"""

import errno
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

ADDRESS = "\0autotune-measures"
_AGAIN_S = 0.05
_CREDENTIALS = struct.Struct("3i")


@contextmanager
def measuring_alone(waiting: Callable[[int], None], address: str = ADDRESS) -> Iterator[None]:
    """Wait until nobody else measures, and have everybody else wait meanwhile.

    Args:
        waiting: is told the process id of who measures, once of each.
        address: what all agree on.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        told: set[int] = set()

        def tell_once(pid: int) -> None:
            if pid not in told:
                told.add(pid)
                waiting(pid)

        while not _take(held, address):
            _wait_for(address, tell_once)
        yield


def _take(held: socket.socket, address: str) -> bool:
    try:
        held.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    held.listen()
    return True


def _wait_for(address: str, tell: Callable[[int], None]) -> None:
    """Return when the one who measures has ended, or after a moment where it is not to be seen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        try:
            other.connect(address)
        except OSError:  # it does not listen yet, or no more
            time.sleep(_AGAIN_S)
            return
        credentials = other.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        tell(_CREDENTIALS.unpack(credentials)[0])
        with suppress(OSError):
            other.recv(1)  # nothing ever comes but the end
