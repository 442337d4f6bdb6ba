"""The parent's end of a pipe to a process that may do anything: nothing here waits for good.

Messages are those of `multiprocessing.connection.Connection`, which the other end may be: a length
in four bytes, most significant first, then so many bytes.
"""

import contextlib
import select
import socket
import struct
import time

MOST_BYTES = 256 << 20
"""Of one message. A minute's samples of a model that takes 10 us have 150 MB."""
_CHUNK_BYTES = 1 << 18
_LENGTH = struct.Struct("!i")


class Channel:
    """One end of a pipe. Not thread-safe."""

    def __init__(self) -> None:
        """Make both ends; `theirs` is for the other process, and to be closed here then."""
        self._socket, self.theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._came = bytearray()

    def send(self, message: bytes, deadline_s: float) -> bool:
        """Send a message; return whether the other side took it before the deadline.

        Raises:
            OSError: nobody is there to take it.
        """
        left = memoryview(_LENGTH.pack(len(message)) + message)
        while left:
            with contextlib.suppress(BlockingIOError):
                left = left[self._socket.send(left) :]
                continue
            if not self._wait(select.POLLOUT, deadline_s - time.monotonic()):
                return False
        return True

    def receive(self, within_s: float) -> bytes | None:
        """Return the next message; None where it has not come whole within these seconds.

        What has come of it is kept for the next call. Memory is taken for what has come, not for
        what the other side says will.

        Raises:
            EOFError, OSError: the other side has closed its end, or died.
            ValueError: what it says is no message, or a message longer than any.
        """
        deadline_s = time.monotonic() + within_s
        while (message := self._whole()) is None:
            if not self._wait(select.POLLIN, deadline_s - time.monotonic()):
                return None
            with contextlib.suppress(BlockingIOError):
                chunk = self._socket.recv(_CHUNK_BYTES)
                if not chunk:
                    raise EOFError
                self._came += chunk
        return message

    def close(self) -> None:
        """Close both ends; safe to call again."""
        self._socket.close()
        self.theirs.close()

    def _whole(self) -> bytes | None:
        if len(self._came) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._came)
        if not 0 <= length <= MOST_BYTES:
            raise ValueError(f"a message says that its length is {length}")
        end = _LENGTH.size + length
        if len(self._came) < end:
            return None
        message = bytes(memoryview(self._came)[_LENGTH.size : end])
        del self._came[:end]
        return message

    def _wait(self, event: int, within_s: float) -> bool:
        self._poll.register(self._socket, event)
        return bool(self._poll.poll(max(0.0, within_s * 1000)))
