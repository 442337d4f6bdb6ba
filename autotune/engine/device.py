"""What the engine needs to know of a device with memory of its own: as little as that.

`autotune.models.cuda_device` is one through torch, `autotune.engine.fake_device` one on paper.
Nothing here, nor in `overlap`, imports a runtime.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from autotune.engine.source import Array

DeviceArray = Any
"""An array in the device's memory, as its runtime has it: a torch tensor, say."""

Compute = Callable[[dict[str, DeviceArray], int], dict[str, DeviceArray]]
"""A model on a device: inputs by name, and how many rows they have -> outputs by name.

Called with the queue for computing in use, it puts its work there and returns at once. What it
returns must not be written again before the call after the next: the outputs of one batch are
copied while the next is computed.
"""


class OutOfDeviceMemory(Exception):
    """There is no room left in the device's memory, and what is in it is untouched.

    The message says `out of memory`.
    """


class Event(Protocol):
    """A place in a queue of work."""

    def wait(self) -> None:
        """Block until the work before it is done.

        Raises:
            Exception: the error of work between it and the event before it in its queue. After
                some errors (of a kernel that reads what is not there) a real device is lost, and
                every event raises.
        """


class Queue(Protocol):
    """Work that the device does in order, beside what is in other queues (CUDA: a stream)."""

    def record(self) -> Event:
        """Mark the place behind everything put in so far."""

    def wait_for(self, event: Event) -> None:
        """Let whatever is put in from now on wait for an event of another queue."""

    def use(self) -> AbstractContextManager[None]:
        """Let this thread put its work here, inside the context."""


class Device(Protocol):
    """One device. Its methods may be called by any thread."""

    def pinned(self, size_bytes: int) -> Array:
        """Return so many uint8 of host memory that is copied fast, and beside computing."""

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceArray:
        """Return an array in the device's memory, of any content.

        Raises:
            OutOfDeviceMemory: there is no room for it.
            TypeError: the device has no such type.
        """

    def first(self, array: DeviceArray, rows: int) -> DeviceArray:
        """Return the first rows of an array, in place."""

    def queue(self) -> Queue:
        """Return a new, empty queue."""

    def upload(self, source: Array, target: DeviceArray, queue: Queue) -> None:
        """Put a copy to the device into a queue; `source` must stay as it is until that is done.

        Returns at once where `source` is pinned, else maybe not before it is done.
        """

    def download(self, source: DeviceArray, queue: Queue, pinned: bool) -> Array:
        """Put a copy from the device into a queue; return where it will be once that is done.

        The memory is the caller's. Pinned memory goes back to a cache when it is dropped, so that
        having it anew for each batch is cheap; otherwise the call returns when the copy is done.
        """

    def seconds_between(self, first: Event, last: Event) -> float:
        """Return the seconds of device time from one event to another, both of them over."""
