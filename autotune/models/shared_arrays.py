"""Arrays in memory that two processes share: a file without a name, mapped by both."""

import math
import mmap
import os
from typing import Any

import msgspec
import numpy as np

from autotune.engine.source import Array

_ALIGN_BYTES = 64
"""A cache line: what vector instructions of every kind want."""
_LEAST_BYTES = 1 << 16


class Placed(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Where in the shared memory an array lies, in C order."""

    dtype: str
    """numpy's `dtype.str`."""
    shape: tuple[int, ...]
    offset: int


class SharedArrays:
    """One end of the shared memory at an open file. Not thread-safe.

    The file only grows, and an array keeps the mapping alive that it lies in: arrays stay valid
    when it has grown, and after `close`.
    """

    def __init__(self, descriptor: int) -> None:
        """Own the file at `descriptor`, as `os.memfd_create` returns it."""
        self.descriptor = descriptor
        self._maps: list[mmap.mmap] = []
        self._starts: list[int] = []
        self._size_bytes = os.fstat(descriptor).st_size
        self.demand(1)  # an empty file cannot be mapped

    def demand(self, size_bytes: int) -> None:
        """Make the file at least this large; only one of the two processes may."""
        if size_bytes > self._size_bytes:
            self._size_bytes = max(size_bytes, 2 * self._size_bytes, _LEAST_BYTES)
            os.ftruncate(self.descriptor, self._size_bytes)

    def view(self, placed: Placed) -> Array:
        """Return the array that lies there; what is written to it, the other process sees.

        Raises:
            ValueError: the file ends before the array does.
        """
        dtype = np.dtype(placed.dtype)
        count = math.prod(placed.shape)
        memory = self._mapped(placed.offset + count * dtype.itemsize)
        return np.ndarray(placed.shape, dtype, memory, placed.offset)

    def put(self, array: Array, offset: int) -> Placed:
        """Copy the array to `offset`, where `demand` has made room."""
        placed = Placed(array.dtype.str, array.shape, offset)
        self.view(placed)[...] = array
        return placed

    def find(self, array: Array) -> Placed | None:
        """Return where the array lies, if it lies in this memory, in C order."""
        if array.flags.c_contiguous:
            address = array.__array_interface__["data"][0]
            for start, memory in zip(self._starts, self._maps, strict=True):
                if start <= address and address + array.nbytes <= start + len(memory):
                    return Placed(array.dtype.str, array.shape, address - start)
        return None

    def close(self) -> None:
        """Close the file; safe to call again."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _mapped(self, size_bytes: int) -> mmap.mmap:
        """Return a mapping of at least this size: older ones stay, for arrays lie in them."""
        if not self._maps or len(self._maps[-1]) < size_bytes:
            memory = mmap.mmap(self.descriptor, os.fstat(self.descriptor).st_size)
            self._maps.append(memory)
            whole: Any = np.frombuffer(memory, dtype=np.uint8)
            self._starts.append(whole.__array_interface__["data"][0])
        if len(self._maps[-1]) < size_bytes:
            raise ValueError("an array reaches beyond the shared memory")
        return self._maps[-1]


def after(offset: int, size_bytes: int) -> int:
    """Return the first aligned offset behind `size_bytes` at `offset`."""
    return -(-(offset + size_bytes) // _ALIGN_BYTES) * _ALIGN_BYTES
