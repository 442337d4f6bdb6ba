"""Replicas on a device: the copy of one batch goes on while another is computed, or one by one.

A replica has two buffers of pinned memory, each with its twin on the device, and three queues: to
copy in, to compute, to copy out. One thread takes a batch, fills a free buffer in place and puts
the work of all three stages into the queues; another waits until the last of it is done and hands
the answers back. A buffer is free again only then, so that never more than two batches are under
way, and requests that find both taken wait in the source, where they make batches fuller.
"""

import contextlib
import queue
import threading
import time
import traceback
from typing import NamedTuple

from autotune.engine.assembly import Assembly, HostBuffers
from autotune.engine.device import Compute, Device, DeviceArray, Queue
from autotune.engine.replica import Turns, as_answer, serve_in_turn
from autotune.engine.source import Batch, Source, Tensors, split
from autotune.engine.transfer import Account, Marks
from autotune.records import Transfer

BUFFERS = 2


class _Slot:
    """Memory for one batch on either side."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._pinned = HostBuffers(device.pinned)
        self._arrays: dict[str, DeviceArray] = {}
        self.assembly = Assembly(self, max_batch_size=1)

    def buffers(self, like: Tensors, rows: int) -> Tensors:
        """Return pinned memory, as `OwnBuffers` has it, once there is as much on the device."""
        host = self._pinned.buffers(like, rows)
        self._arrays = {}  # gone before there is more
        self._arrays = _room(self._device, host)
        return host

    def twins(self, batch: Tensors) -> dict[str, DeviceArray]:
        """Return where on the device a batch belongs that the assembly has put together."""
        if not self.assembly.filled:
            return _room(self._device, batch)
        first = self._device.first
        return {name: first(self._arrays[name], len(array)) for name, array in batch.items()}


class _Queues(NamedTuple):
    copy_in: Queue
    compute: Queue
    copy_out: Queue


class _Flight(NamedTuple):
    """A batch whose work is in the queues."""

    marks: Marks
    outputs: Tensors
    """To be read once the last mark is over."""
    held: tuple[dict[str, DeviceArray], ...]
    """Memory of the device that is in use until then."""


class _Airborne(NamedTuple):
    """The same, and whose it is."""

    slot: _Slot
    batch: Batch
    started_s: float
    flight: _Flight


class Overlapped:
    """A replica that copies one batch while it computes another. An `Infer` that serves by itself.

    An error of a batch, out of memory included, is the answer to its requests alone.
    """

    def __init__(self, device: Device, compute: Compute) -> None:
        """Take queues of the device; memory is taken when the first batch shows how much."""
        self._device, self._compute = device, compute
        self._queues = _Queues(device.queue(), device.queue(), device.queue())
        self._slots = [_Slot(device) for _ in range(BUFFERS)]
        self._free: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        for slot in self._slots:
            self._free.put(slot)
        self._account = Account(device.seconds_between)

    @property
    def transfer(self) -> Transfer:
        """What was copied since serving last began; complete once that has ended."""
        return self._account.read()

    def __call__(self, inputs: Tensors) -> Tensors:
        """Execute one batch and wait for it. It takes turns with what is being served."""
        slot = self._free.get()
        try:
            return _landed(self._launch(slot, [inputs]))
        except Exception as error:
            _let_go(error)
            raise
        finally:
            self._free.put(slot)

    def serve(self, turns: Turns) -> None:
        """Serve until the source has no more; see `autotune.engine.replica.Serves`."""
        self._account = Account(self._device.seconds_between)
        for slot in self._slots:
            slot.assembly = Assembly(slot, turns.max_batch_size)
        airborne: queue.SimpleQueue[_Airborne | None] = queue.SimpleQueue()
        answers = threading.Thread(
            target=self._answer_all,
            args=(turns.source, airborne),
            name=f"{threading.current_thread().name}-answers",
            daemon=True,
        )
        answers.start()
        try:
            self._launch_all(turns, airborne)
        finally:
            airborne.put(None)
            answers.join()

    def _launch_all(self, turns: Turns, airborne: "queue.SimpleQueue[_Airborne | None]") -> None:
        source, lock, max_batch_size, batch_timeout_s = turns
        while True:
            slot = self._free.get()  # before a batch is taken: until then it can become fuller
            with lock:
                batch = source.take(max_batch_size, batch_timeout_s, slot.assembly.offer)
            if batch is None or not batch.inputs:
                slot.assembly.forget()
                self._free.put(slot)
                if batch is None:
                    return
                continue
            started_s = time.perf_counter()
            try:
                flight = self._launch(slot, batch.inputs)
            except BaseException as error:  # whatever the model raises is the requests' answer
                _let_go(error)
                self._free.put(slot)
                source.fail(batch, as_answer(error))
            else:
                airborne.put(_Airborne(slot, batch, started_s, flight))
                del flight  # with which this thread would keep memory of the device

    def _answer_all(self, source: Source, airborne: "queue.SimpleQueue[_Airborne | None]") -> None:
        while (one := airborne.get()) is not None:
            self._answer(source, one)
            del one

    def _answer(self, source: Source, one: _Airborne) -> None:
        try:
            answers = split(_landed(one.flight), one.batch.inputs)
        except Exception as error:
            _let_go(error)
            self._free.put(one.slot)
            source.fail(one.batch, error)
        else:
            self._free.put(one.slot)
            source.complete(one.batch, answers, one.started_s)
            self._account.add(one.flight.marks)

    def _launch(self, slot: _Slot, requests: list[Tensors]) -> _Flight:
        """Put a batch together and its work into the queues; on an error, nothing is left there."""
        try:
            batch = slot.assembly.stack(requests)
            return self._put(batch, slot.twins(batch))
        except BaseException:
            _drain(*self._queues)
            raise

    def _put(self, batch: Tensors, arrays: dict[str, DeviceArray]) -> _Flight:
        device, (copy_in, compute, copy_out) = self._device, self._queues
        in_began = copy_in.record()
        for name, array in batch.items():
            device.upload(array, arrays[name], copy_in)
        in_ended = copy_in.record()
        compute.wait_for(in_ended)
        compute_began = compute.record()
        with compute.use():
            outputs = self._compute(arrays, _rows(batch))
        compute_ended = compute.record()
        copy_out.wait_for(compute_ended)
        out_began = copy_out.record()
        host = {
            name: device.download(array, copy_out, pinned=True) for name, array in outputs.items()
        }
        out_ended = copy_out.record()
        marks = Marks(in_began, in_ended, compute_began, compute_ended, out_began, out_ended)
        return _Flight(marks, host, (arrays, outputs))


class InTurn:
    """The naive way, to compare with: copy in, compute, copy out, each when the last is over.

    From and to pageable memory, with new memory on the device for each batch.
    """

    def __init__(self, device: Device, compute: Compute) -> None:
        """Take one queue of the device."""
        self._device, self._compute, self._queue = device, compute, device.queue()
        self._account = Account(device.seconds_between)

    @property
    def transfer(self) -> Transfer:
        """What was copied since serving last began."""
        return self._account.read()

    def __call__(self, inputs: Tensors) -> Tensors:
        """Execute one batch."""
        try:
            return self._run(inputs)
        except Exception as error:
            _drain(self._queue)  # first, for what is let go of is given to other replicas
            _let_go(error)
            raise

    def serve(self, turns: Turns) -> None:
        """Serve until the source has no more; see `autotune.engine.replica.Serves`."""
        self._account = Account(self._device.seconds_between)
        serve_in_turn(self.__call__, turns)

    def _run(self, inputs: Tensors) -> Tensors:
        device, queue = self._device, self._queue
        arrays = _room(device, inputs)
        in_began = queue.record()
        for name, array in inputs.items():
            device.upload(array, arrays[name], queue)
        in_ended = queue.record()
        in_ended.wait()
        compute_began = queue.record()
        with queue.use():
            outputs = self._compute(arrays, _rows(inputs))
        compute_ended = queue.record()
        compute_ended.wait()
        out_began = queue.record()
        host = {
            name: device.download(array, queue, pinned=False) for name, array in outputs.items()
        }
        out_ended = queue.record()
        out_ended.wait()
        self._account.add(
            Marks(in_began, in_ended, compute_began, compute_ended, out_began, out_ended)
        )
        return host


DeviceReplica = Overlapped | InTurn


def on_device(device: Device, compute: Compute, overlap: bool) -> DeviceReplica:
    """Return a replica that computes on a device, its copies overlapped or not."""
    return Overlapped(device, compute) if overlap else InTurn(device, compute)


def _landed(flight: _Flight) -> Tensors:
    """Wait for the last of the work, then return what it gave, or raise what went wrong first."""
    marks, errors = flight.marks, list[Exception]()
    for mark in (marks.out_ended, marks.compute_ended, marks.in_ended):
        try:
            mark.wait()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[-1]
    return flight.outputs


def _drain(*queues: Queue) -> None:
    """Wait until nothing touches a batch's memory any more; its error is known already."""
    for one in queues:
        with contextlib.suppress(Exception):
            one.record().wait()


def _let_go(error: BaseException | None) -> None:
    """Free what an error's frames hold: arrays on the device would live as long as the error."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def _room(device: Device, batch: Tensors) -> dict[str, DeviceArray]:
    return {name: device.empty(array.shape, array.dtype) for name, array in batch.items()}


def _rows(batch: Tensors) -> int:
    shape = next(iter(batch.values())).shape
    return shape[0] if shape else 1
