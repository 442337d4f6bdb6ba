"""What kind of failure an error of a runtime is, whichever runtime raised it."""

import gc
import sys

_NO_MEMORY = (
    "out of memory",  # torch on a GPU, CUDA through ONNX Runtime
    "failed to allocate memory",  # ONNX Runtime's arenas
    "can't allocate memory",  # torch on a CPU
    "cannot allocate memory",  # the kernel's ENOMEM
    "std::bad_alloc",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)
"""What runtimes say, in lower case."""


def lacked_memory(error: BaseException) -> bool:
    """Return whether it was raised for want of memory, the host's or a GPU's.

    Runtimes have no type for it in common, and some have none, so it is read in what they say.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return any(words in text for words in _NO_MEMORY)


def release_memory() -> None:
    """Give back what a failed run has left in memory, a GPU's included: the next may need it."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
