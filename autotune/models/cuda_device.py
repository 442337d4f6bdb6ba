"""An NVIDIA GPU through torch, as the engine's device, and CUDA graphs."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

from autotune.engine.device import Compute, OutOfDeviceMemory
from autotune.engine.device import Event as AnyEvent
from autotune.engine.device import Queue as AnyQueue
from autotune.engine.source import Array
from autotune.models.torch_errors import explain_torch
from autotune.models.torch_tensors import as_tensor

WARM_UP_RUNS = 3
"""Before a graph is captured: libraries choose their kernels and take their memory meanwhile."""

Tensor = Any
"""A `torch.Tensor`."""
_cuda: Any = torch.cuda  # only some of it is typed

_capturing = threading.Lock()
"""One graph at a time in the whole process: each begins by waiting for the device."""


class _Event:
    def __init__(self, stream: Any) -> None:
        # Waiting with `blocking` sleeps: the core is needed for the next batch.
        self.event = _cuda.Event(enable_timing=True, blocking=True)
        self.event.record(stream)

    def wait(self) -> None:
        """Sleep until it is over (cudaEventSynchronize)."""
        self.event.synchronize()


class _Stream:
    """A queue of the device."""

    def __init__(self, place: torch.device) -> None:
        self.stream = _cuda.Stream(device=place)

    def record(self) -> _Event:
        """Record an event here (cudaEventRecord)."""
        return _Event(self.stream)

    def wait_for(self, event: AnyEvent) -> None:
        """Wait on the device, not here (cudaStreamWaitEvent)."""
        assert isinstance(event, _Event)
        self.stream.wait_event(event.event)

    def use(self) -> AbstractContextManager[None]:
        """Make the stream, and its device, the thread's current ones."""
        context: AbstractContextManager[None] = _cuda.stream(self.stream)
        return context


class CudaDevice:
    """One GPU; see `autotune.engine.device.Device`.

    Arrays are taken from torch's allocator, which gives memory away again as soon as the last
    reference is dropped: whoever puts work into a queue holds what it uses until it is over.
    """

    def __init__(self, place: torch.device) -> None:
        """Use the GPU at `place`, which is there (`autotune.models.torch_model.place_of`)."""
        self._place = place

    def pinned(self, size_bytes: int) -> Array:
        """Return page-locked memory, which goes back to torch's cache when it is dropped."""
        return _numpy(torch.empty(size_bytes, dtype=torch.uint8, pin_memory=True))

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        """Return a contiguous tensor of a numpy type."""
        kind = torch.from_numpy(np.empty(0, dtype)).dtype
        with out_of_memory_said():
            return torch.empty(shape, dtype=kind, device=self._place)

    def first(self, array: Tensor, rows: int) -> Tensor:
        """Return the first rows, in place."""
        return array[:rows]

    def queue(self) -> _Stream:
        """Return a new stream."""
        return _Stream(self._place)

    def upload(self, source: Array, target: Tensor, queue: AnyQueue) -> None:
        """Copy in: asynchronously from pinned memory, which torch knows by its address."""
        tensor = as_tensor(source)
        with queue.use():
            target.copy_(tensor, non_blocking=tensor.is_pinned())

    def download(self, source: Tensor, queue: AnyQueue, pinned: bool) -> Array:
        """Copy out, as rows of numpy's order; bfloat16, which numpy lacks, as float32."""
        with queue.use(), out_of_memory_said(), torch.inference_mode():
            if source.dtype == torch.bfloat16:
                source = source.float()
            source = source.contiguous()
            if not pinned:
                return _numpy(source.cpu())
            target = torch.empty(source.shape, dtype=source.dtype, pin_memory=True)
            target.copy_(source, non_blocking=True)
        return _numpy(target)

    def seconds_between(self, first: AnyEvent, last: AnyEvent) -> float:
        """Return device time (cudaEventElapsedTime, good to half a microsecond)."""
        assert isinstance(first, _Event)
        assert isinstance(last, _Event)
        return float(first.event.elapsed_time(last.event)) / 1000


def computing(forward: Compute) -> Compute:
    """Return a function of tensors as the engine calls it: in inference mode, want of memory said.

    Raises, when called:
        OutOfDeviceMemory: there was no room for what it computes.
    """

    def compute(arrays: dict[str, Tensor], rows: int) -> dict[str, Tensor]:
        with out_of_memory_said(), torch.inference_mode():
            return forward(arrays, rows)

    return compute


class _Graph(NamedTuple):
    graph: Any
    inputs: dict[str, Tensor]
    """Where it reads: the batch is copied there, which takes the device little."""
    outputs: dict[str, Tensor]
    """Where it writes, each time."""


class Graphed:
    """A `Compute` that launches each size of batch as one CUDA graph, captured at its first call.

    Capturing waits for everything the device does, so the sizes that matter are called before
    anything is measured. What `forward` does must be the same each time, whatever the data.
    """

    def __init__(self, forward: Compute) -> None:
        """Replay `forward`, a function as `computing` takes it."""
        self._compute = computing(forward)
        self._graphs: dict[tuple[Any, ...], _Graph] = {}
        self._lock = threading.Lock()
        self._pool: Any = None

    @property
    def captured(self) -> int:
        """How many graphs there are."""
        return len(self._graphs)

    def __call__(self, arrays: dict[str, Tensor], rows: int) -> dict[str, Tensor]:
        """Put a replay into the queue in use.

        Raises:
            OutOfDeviceMemory: there is no room for the graph or its outputs.
            RuntimeError: something in `forward` cannot be captured; torch says what.
        """
        key = tuple((name, tuple(one.shape), one.dtype) for name, one in arrays.items())
        with self._lock, out_of_memory_said(), torch.inference_mode():
            found = self._graphs.get(key)
            if found is None:
                found = self._graphs[key] = self._capture(arrays, rows)
            for name, one in arrays.items():
                found.inputs[name].copy_(one, non_blocking=True)
            found.graph.replay()
            # The next batch is written over these while they are still copied to the host.
            return {name: one.clone() for name, one in found.outputs.items()}

    def _capture(self, arrays: dict[str, Tensor], rows: int) -> _Graph:
        inputs = {name: torch.empty_like(one).copy_(one) for name, one in arrays.items()}
        for _ in range(WARM_UP_RUNS):
            self._compute(inputs, rows)
        if self._pool is None:
            self._pool = _cuda.graph_pool_handle()
        graph = _cuda.CUDAGraph()
        # All graphs share memory, for they run one after the other. Other threads may go on with
        # calls that only a capture of their own would forbid.
        stream = _cuda.current_stream()
        options = {"pool": self._pool, "stream": stream, "capture_error_mode": "thread_local"}
        with _capturing, _cuda.graph(graph, **options):
            outputs = self._compute(inputs, rows)
        return _Graph(graph, inputs, outputs)


@contextmanager
def out_of_memory_said() -> Iterator[None]:
    """Turn torch's error for want of the GPU's memory into the engine's."""
    try:
        yield
    except _cuda.OutOfMemoryError as error:
        said = explain_torch(error) or "the GPU is out of memory"
        raise OutOfDeviceMemory(said) from None


def _numpy(tensor: Tensor) -> Array:
    array: Array = tensor.numpy()
    return array
