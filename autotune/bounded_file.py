"""Files of strangers: regular ones only, and no more of them than a reader can bear."""

import errno
import io
import os
import stat
from pathlib import Path


def open_regular(path: Path, most_bytes: int) -> io.FileIO:
    """Open a regular file of at most so many bytes for reading; no pipe or device is waited for.

    Raises:
        OSError: it cannot be opened, is something else, or is larger; `strerror` says what.
    """
    # Without O_NONBLOCK a pipe would be waited for until somebody writes into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is no regular file; save it as one first", str(path))
        if status.st_size > most_bytes:
            raise too_large(path, most_bytes)
        return io.FileIO(descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: Path, most_bytes: int) -> bytes:
    """Return what a regular file of at most so many bytes holds.

    Raises:
        OSError: as `open_regular`; also for a file that grows beyond that while it is read.
    """
    with open_regular(path, most_bytes) as file:
        parts, left = [], most_bytes + 1
        while left and (part := file.read(min(left, 1 << 20))):
            parts.append(part)
            left -= len(part)
    if not left:
        raise too_large(path, most_bytes)
    return b"".join(parts)


def too_large(path: Path, most_bytes: int) -> OSError:
    """Return the error for a file of more bytes than can be meant."""
    return OSError(errno.EFBIG, f"is larger than {most_bytes / 1e6:,.0f} MB", str(path))
