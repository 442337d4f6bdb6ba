"""Where pages and pictures are written."""

from pathlib import Path

from autotune.errors import UsageError
from autotune.whole_file import write_whole


def write_report(path: Path, data: bytes, option: str = "-o") -> Path:
    """Write a page or a picture; return where.

    Args:
        path: where to.
        data: what the file shall hold.
        option: of the command line that named the place, for complaints.

    Raises:
        UsageError: the place cannot be written, or is where a tuned file would be.
    """
    if path.name.endswith(".json"):
        raise UsageError(
            f"{option} {path}: a report is no JSON, and a tuned file of this name would be lost"
        )
    return write_out(path, data, option)


def write_out(path: Path, data: bytes, option: str) -> Path:
    """Write a file whole, or what is no file (a pipe, a terminal) as it comes; return where.

    Raises:
        UsageError: the place cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            write_whole(path, data)
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be written: {error.strerror}") from None
    return path
