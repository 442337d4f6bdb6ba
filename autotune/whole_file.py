"""Files that are written whole or not at all, whatever happens meanwhile."""

import os
import tempfile
from pathlib import Path

from autotune.probes.owner import is_gone, this_process


def write_whole(path: Path, data: bytes) -> None:
    """Write beside the file, then put that in its place; readable by all, as files are.

    What a process left that was killed while it wrote the same file is removed.

    Raises:
        OSError: the place cannot be written; what was there is as it was.
    """
    prefix = f".{path.name}."
    for other in path.parent.iterdir():
        owner = other.name.removeprefix(prefix).partition(".")[0]
        if other.name.startswith(prefix) and is_gone(owner):
            other.unlink(missing_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f"{prefix}{this_process()}.", delete=False
    ) as file:
        temporary = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
