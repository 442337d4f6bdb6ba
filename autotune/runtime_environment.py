"""What a child process is started with, because its runtime reads it once: no runtime is needed."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from autotune.errors import UsageError
from autotune.spec import SessionShape

COMPILED_FOLDER = "AUTOTUNE_COMPILED_FOLDER"
"""Where processes of one search share what was compiled ahead of time."""
CPUS = "AUTOTUNE_CPUS"
"""CPUs to which a process that measures confines itself, as `taskset -c` takes them."""
FOLLOW, FEED = "AUTOTUNE_FOLLOW_FD", "AUTOTUNE_FEED_FD"
"""Pipes from the step before a model in a chain, and to the one after it."""
PASS_ENV = "AUTOTUNE_PASS_ENV"
"""Names the variables, with commas between them, that a person's own code needs beside ours."""

_NAMES = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "LD_BIND_NOW", "GLIBC_TUNABLES"),
        *("VIRTUAL_ENV", "CONDA_PREFIX"),
        # torch.compile calls a compiler.
        *("CC", "CXX", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH"),
        *("COMPILER_PATH", "MAX_JOBS"),
        # Where weights lie that were fetched before.
        *("HF_HOME", "HF_HUB_CACHE"),
        *("LRU_CACHE_CAPACITY", "GPU_DEVICE_ORDINAL"),
        *(COMPILED_FOLDER, PASS_ENV),
    )
)
_PREFIXES = (
    *("LC_", "PYTHON", "XDG_"),
    # Threads and mathematics.
    *("OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_", "BLIS_", "TBB_", "DNNL_", "ONEDNN_", "MLAS_"),
    # Runtimes.
    *("ORT_", "ATEN_", "TORCH", "PYTORCH_", "TRITON_", "INDUCTOR_", "AOT_INDUCTOR_", "AOTI"),
    *("OPENVINO_", "OV_", "THP_"),
    # Allocators.
    *("MALLOC_", "MIMALLOC_", "JEMALLOC_", "TCMALLOC_"),
    # Accelerators.
    *("CUDA", "NVIDIA_", "CUBLAS", "CUDNN_", "HIP_", "HSA_", "ROCM_", "ROCR_", "MIOPEN_"),
)


def passed_on(environment: Mapping[str, str], prefixes: tuple[str, ...] = ()) -> dict[str, str]:
    """Return what a child process gets of these variables: what runtimes are known to read.

    Nothing else passes, tokens and proxies among it, but for what `AUTOTUNE_PASS_ENV` names.

    Args:
        environment: the variables of this process.
        prefixes: with these, a name may begin, too.

    Raises:
        UsageError: `AUTOTUNE_PASS_ENV` names a variable that is not set.
    """
    named = [name.strip() for name in environment.get(PASS_ENV, "").split(",") if name.strip()]
    for name in named:
        if name not in environment:
            raise UsageError(f"{PASS_ENV}: {name} is not set: set it, or do not name it")
    passing = _NAMES.union(named)
    return {
        name: value
        for name, value in environment.items()
        if name in passing or name.startswith((*_PREFIXES, *prefixes))
    }


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


class Binding(NamedTuple):
    """What a process is given once, so that all sessions that it opens must have it in common."""

    environment: dict[str, str]
    set_once: tuple[int, ...]
    """What the runtime takes for good with the first session."""


def binding_of(is_torch: bool, shape: SessionShape) -> Binding:
    """Return what sessions of a shape bind their process to."""
    set_once: tuple[int, ...] = ()
    if is_torch:
        own_choice = shape.intra_op_threads == 0 and shape.execution_mode == "sequential"
        set_once = () if own_choice else (shape.inter_op_threads,)
    elif shape.provider == "dnnl":  # oneDNN's are OpenMP's threads
        set_once = (shape.intra_op_threads, shape.spinning)
    return Binding(environment_of(is_torch, shape), set_once)
