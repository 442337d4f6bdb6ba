import numpy as np
import pytest

from autotune.models.failures import lacked_memory


class OutOfMemoryError(RuntimeError):
    """As torch names its own."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("torch says more"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate "
            "memory)"
        ),
        RuntimeError("bfc_arena.cc:380 Failed to allocate memory for requested buffer of size 9"),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_want_of_memory_is_known_by_its_words(error: Exception) -> None:
    assert lacked_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Got invalid dimensions for input: x"),
        ValueError("memory format option is only supported by strided tensors"),
    ],
)
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert not lacked_memory(error)


def test_what_numpy_raises_is_known() -> None:
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 60, np.uint8)
    assert lacked_memory(caught.value)
