"""A device on paper: copies and kernels take the time that set laws say, on any clock.

It shows that overlapping is scheduled right where there is no device. There are one engine for
copies in each direction and one for kernels; each does its work in the order it was put in, and
work of a queue begins when what is before it in the queue, and what the queue waits for, is over.
Data moves as late as it may, when somebody waits for it: whoever writes into memory that is still
to be copied gets wrong answers.
"""

import heapq
import itertools
import math
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from autotune.engine.device import Compute, OutOfDeviceMemory
from autotune.engine.device import Event as AnyEvent
from autotune.engine.device import Queue as AnyQueue
from autotune.engine.source import Array, Tensors

Stage = Literal["in", "compute", "out"]


class Clock(Protocol):
    """Seconds, and waiting for them."""

    def now_s(self) -> float:
        """Return the time."""

    def wait_until(self, moment_s: float) -> None:
        """Return when it is so late."""


class RealClock:
    """The clock of the process."""

    def now_s(self) -> float:
        """Return seconds since some moment."""
        return time.perf_counter()

    def wait_until(self, moment_s: float) -> None:
        """Sleep."""
        time.sleep(max(0.0, moment_s - self.now_s()))


class VirtualClock:
    """Time that passes only where somebody waits for it, and then at once."""

    def __init__(self) -> None:
        """Begin at 0."""
        self._now_s = 0.0

    def now_s(self) -> float:
        """Return the time."""
        return self._now_s

    def wait_until(self, moment_s: float) -> None:
        """Jump there."""
        self._now_s = max(self._now_s, moment_s)


class Laws(NamedTuple):
    """What work costs."""

    compute_s: Callable[[int], float]
    """Seconds of a kernel for so many rows."""
    latency_s: float = 0.0
    """Seconds of any copy, be it ever so small."""
    bytes_per_s: float = math.inf
    pageable_factor: float = 2.0
    """How much longer it takes to copy from or to memory that is not pinned."""
    memory_bytes: float = math.inf

    def copy_s(self, size_bytes: int, pinned: bool) -> float:
        """Seconds of a copy."""
        slower = 1.0 if pinned else self.pageable_factor
        return self.latency_s + size_bytes / self.bytes_per_s * slower


class Work(NamedTuple):
    """Something the device did, or will have done."""

    stage: Stage
    began_s: float
    ended_s: float
    memory: frozenset[int]
    """Addresses at which the arrays that it reads and writes begin, on either side."""


class FakeArray:
    """An array in the fake's memory; its content is to be looked at once the work is over."""

    def __init__(self, data: Array) -> None:
        """Stand for `data`."""
        self.data = data

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, as a device's array has it."""
        return self.data.shape


Fault = Callable[[Stage, int], Exception | None]
"""What goes wrong with the nth work of a stage, from 0, once it is executed."""


def _no_fault(stage: Stage, number: int) -> Exception | None:
    return None


class _Segment:
    """The work between two events of a queue."""

    error: Exception | None = None


class _Event(NamedTuple):
    device: "FakeDevice"
    moment_s: float
    segment: _Segment

    def wait(self) -> None:
        """Wait, as `autotune.engine.device.Event` has it."""
        self.device.clock.wait_until(self.moment_s)
        self.device.execute_until(self.moment_s)
        if self.segment.error is not None:
            raise self.segment.error


class _Queue:
    def __init__(self, device: "FakeDevice") -> None:
        self._device = device
        self.free_s = 0.0
        self.segment = _Segment()

    def record(self) -> _Event:
        """Mark the place, as `autotune.engine.device.Queue` has it."""
        segment, self.segment = self.segment, _Segment()
        return _Event(self._device, max(self.free_s, self._device.clock.now_s()), segment)

    def wait_for(self, event: AnyEvent) -> None:
        """Let later work begin after the event."""
        assert isinstance(event, _Event)
        self.free_s = max(self.free_s, event.moment_s)

    @contextmanager
    def use(self) -> Iterator[None]:
        """Let kernels of this thread go here."""
        used = self._device.used
        before, used.queue = getattr(used, "queue", None), self
        try:
            yield
        finally:
            used.queue = before


class FakeDevice:
    """A device whose memory is the host's, and whose time is what the laws say."""

    def __init__(self, laws: Laws, clock: Clock | None = None, fault: Fault = _no_fault) -> None:
        """Begin empty and idle; without a clock, time is real."""
        self.clock = clock or RealClock()
        self.used = threading.local()
        self.log: list[Work] = []
        self.used_bytes = 0
        self._laws, self._fault = laws, fault
        self._lock = threading.RLock()
        self._engines: dict[Stage, float] = {"in": 0.0, "compute": 0.0, "out": 0.0}
        self._counts: Counter[Stage] = Counter()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._pinned: dict[int, int] = {}

    def pinned(self, size_bytes: int) -> Array:
        """Return memory that counts as pinned for as long as it lives."""
        room = np.empty(size_bytes, np.uint8)
        start = room.ctypes.data
        with self._lock:
            self._pinned[start] = start + size_bytes
        weakref.finalize(room, self._unpin, start)
        return room

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> FakeArray:
        """Return an array, as `autotune.engine.device.Device` has it."""
        if dtype.hasobject:
            raise TypeError(f"a device has no arrays of {dtype}")
        size_bytes = math.prod(shape) * dtype.itemsize
        with self._lock:
            if self.used_bytes + size_bytes > self._laws.memory_bytes:
                raise OutOfDeviceMemory(f"out of memory: {size_bytes} bytes more were needed")
            self.used_bytes += size_bytes
        data = np.zeros(shape, dtype)
        weakref.finalize(data, self._give_back, size_bytes)
        return FakeArray(data)

    def first(self, array: FakeArray, rows: int) -> FakeArray:
        """Return the first rows, in place."""
        return FakeArray(array.data[:rows])

    def queue(self) -> AnyQueue:
        """Return a new queue."""
        return _Queue(self)

    def upload(self, source: Array, target: FakeArray, queue: AnyQueue) -> None:
        """Copy in; as long as that takes where `source` is not pinned."""
        pinned = self._is_pinned(source)
        seconds = self._laws.copy_s(source.nbytes, pinned)

        def copy() -> None:
            target.data[...] = source

        ended_s = self._put(queue, "in", seconds, copy, (source, target.data))
        if not pinned:
            self.clock.wait_until(ended_s)
            self.execute_until(ended_s)

    def download(self, source: FakeArray, queue: AnyQueue, pinned: bool) -> Array:
        """Copy out; as long as that takes where the target shall not be pinned."""
        shape, dtype = source.data.shape, source.data.dtype
        room = self.pinned(source.data.nbytes) if pinned else np.empty(source.data.nbytes, np.uint8)
        target: Array = room.view(dtype).reshape(shape)
        seconds = self._laws.copy_s(source.data.nbytes, pinned)

        def copy() -> None:
            target[...] = source.data

        ended_s = self._put(queue, "out", seconds, copy, (source.data, target))
        if not pinned:
            self.clock.wait_until(ended_s)
            self.execute_until(ended_s)
        return target

    def seconds_between(self, first: AnyEvent, last: AnyEvent) -> float:
        """Return the seconds from one event to the other."""
        assert isinstance(first, _Event)
        assert isinstance(last, _Event)
        return last.moment_s - first.moment_s

    def model(self, function: Callable[[Tensors], Tensors]) -> Compute:
        """Return what computes a function of arrays, as one kernel.

        How large its outputs are is found by calling it with zeros.
        """

        def compute(inputs: dict[str, FakeArray], rows: int) -> dict[str, FakeArray]:
            shapes = function({name: np.zeros_like(array.data) for name, array in inputs.items()})
            outputs = {name: self.empty(one.shape, one.dtype) for name, one in shapes.items()}

            def kernel() -> None:
                for name, value in function({n: a.data for n, a in inputs.items()}).items():
                    outputs[name].data[...] = value

            touched = tuple(array.data for array in (*inputs.values(), *outputs.values()))
            self._put(self.used.queue, "compute", self._laws.compute_s(rows), kernel, touched)
            return outputs

        return compute

    def execute_until(self, moment_s: float) -> None:
        """Do what is over by then, in the order of its ends."""
        with self._lock:
            while self._due and self._due[0][0] <= moment_s:
                heapq.heappop(self._due)[2]()

    def _put(
        self,
        queue: AnyQueue,
        stage: Stage,
        seconds: float,
        action: Callable[[], None],
        touched: tuple[Array, ...],
    ) -> float:
        """Schedule work, and return when it will be over."""
        assert isinstance(queue, _Queue)
        with self._lock:
            began_s = max(self.clock.now_s(), queue.free_s, self._engines[stage])
            ended_s = began_s + seconds
            queue.free_s = self._engines[stage] = ended_s
            fault = self._fault(stage, self._counts[stage])
            self._counts[stage] += 1
            memory = frozenset(array.ctypes.data for array in touched if array.nbytes)
            self.log.append(Work(stage, began_s, ended_s, memory))
            segment = queue.segment

            def execute() -> None:
                try:
                    if fault is not None:
                        raise fault
                    action()
                except Exception as error:  # as a device does, it says so where one waits for it
                    segment.error = segment.error or error

            heapq.heappush(self._due, (ended_s, next(self._order), execute))
        return ended_s

    def _unpin(self, start: int) -> None:
        with self._lock:  # for it may be looked through just now
            del self._pinned[start]

    def _give_back(self, size_bytes: int) -> None:
        with self._lock:
            self.used_bytes -= size_bytes

    def _is_pinned(self, array: Array) -> bool:
        start = array.ctypes.data
        with self._lock:
            return array.flags.c_contiguous and any(
                low <= start and start + array.nbytes <= high for low, high in self._pinned.items()
            )
