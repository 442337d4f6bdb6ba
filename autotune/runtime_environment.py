"""What a child process is started with, because its runtime reads it once: no runtime is needed."""

from pathlib import Path

from autotune.spec import SessionShape

COMPILED_FOLDER = "AUTOTUNE_COMPILED_FOLDER"
"""Where processes of one search share what was compiled ahead of time."""


def is_torch(runtime: str) -> bool:
    """Whether a runtime with its version, as files and `ModelInfo` name it, is torch."""
    return runtime.partition(" ")[0] == "torch"


def environment_of(torch: bool, shape: SessionShape) -> dict[str, str]:
    """Return the variables of a process that is to open sessions of `shape`.

    The threads of torch are OpenMP's: between two operators they spin, unless GNU's library is
    told `OMP_WAIT_POLICY`, or Intel's `KMP_BLOCKTIME`, before it is loaded. ONNX Runtime is told by
    its sessions.
    """
    # A lone thread waits for no other.
    if not torch or shape.spinning or shape.intra_op_threads == 1:
        return {}
    return {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def compiled_in(folder: Path) -> dict[str, str]:
    """Return the variables by which processes keep all that they compile in one folder.

    A package that AOTInductor made is unpacked below `TMPDIR`, where a killed process leaves it.
    """
    place = str(folder)
    return {COMPILED_FOLDER: place, "TORCHINDUCTOR_CACHE_DIR": place, "TMPDIR": place}
