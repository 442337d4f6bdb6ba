"""Temporary folders that are found and removed even where their process could not do so.

A folder's name holds its process, as `autotune.probes.owner` has it.
"""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from autotune.probes.owner import PROC, is_gone, place, this_process

_PREFIX = "autotune"


def scratch(
    ignore_cleanup_errors: bool = False, proc: Path = PROC
) -> tempfile.TemporaryDirectory[str]:
    """Return a new temporary folder of this process."""
    return tempfile.TemporaryDirectory(
        prefix=f"{_PREFIX}-{this_process(proc)}-", ignore_cleanup_errors=ignore_cleanup_errors
    )


def sweep(folder: Path | None = None, proc: Path = PROC) -> list[Path]:
    """Remove the folders of this user whose processes are gone; return which these were.

    Those of other machines and containers, whose processes cannot be seen here, stay.

    Args:
        folder: where they lie; None: where temporary files lie.
        proc: the kernel's account of processes.
    """
    lie, removed = folder or Path(tempfile.gettempdir()), []
    for path in sorted(lie.glob(f"{_PREFIX}-{place(proc)}-*-*-*")):
        owner = "-".join(path.name.split("-")[1:4])
        if not is_gone(owner, proc):
            continue
        with contextlib.suppress(OSError):
            if path.is_symlink() or path.lstat().st_uid != os.getuid():
                continue
            shutil.rmtree(path)
            removed.append(path)
    return removed
