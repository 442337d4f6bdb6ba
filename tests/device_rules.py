"""What holds of every device: run against the fake one always, against a real one where it is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from autotune.engine.device import Compute, Device, OutOfDeviceMemory
from autotune.engine.live_source import LiveSource
from autotune.engine.overlap import on_device
from autotune.engine.replica import start_replicas
from autotune.engine.source import Tensors


class Under(NamedTuple):
    """A device under test."""

    device: Device
    double: Compute
    """Returns `y`, twice the input `x`."""
    picky: Compute
    """The same, but raises ValueError, "five", for batches of five rows."""
    too_large: tuple[int, ...]
    """Of float32: more than its memory holds."""


Rule = Callable[[Under], None]
DTYPES = ("float32", "float64", "float16", "int8", "uint8", "int16", "int32", "int64", "bool")


def whatever_goes_there_comes_back(under: Under) -> None:
    device, queue = under.device, under.device.queue()
    for name in DTYPES:
        for pinned in (True, False):
            array = np.arange(24).reshape(4, 3, 2).astype(name)
            there = device.empty(array.shape, array.dtype)
            device.upload(array, there, queue)
            back = device.download(there, queue, pinned)
            queue.record().wait()
            assert back.dtype == array.dtype
            np.testing.assert_array_equal(back, array)


def pinned_memory_is_written_to_like_any_other(under: Under) -> None:
    device, queue = under.device, under.device.queue()
    room = device.pinned(4096)
    assert room.dtype == np.uint8
    assert room.shape == (4096,)
    host = room.view(np.float32).reshape(4, 256)
    host[:] = 7
    there = device.empty((4, 256), host.dtype)
    device.upload(host[:3], device.first(there, 3), queue)
    back = device.download(device.first(there, 3), queue, True)
    queue.record().wait()
    np.testing.assert_array_equal(back, np.full((3, 256), 7, np.float32))


def the_first_rows_are_the_same_memory(under: Under) -> None:
    device, queue = under.device, under.device.queue()
    whole = device.empty((4, 2), np.dtype(np.float32))
    device.upload(np.zeros((4, 2), np.float32), whole, queue)
    device.upload(np.ones((2, 2), np.float32), device.first(whole, 2), queue)
    back = device.download(whole, queue, True)
    queue.record().wait()
    np.testing.assert_array_equal(back[:, 0], [1, 1, 0, 0])


def a_queue_waits_for_an_event_of_another(under: Under) -> None:
    device = under.device
    copying, computing, back = device.queue(), device.queue(), device.queue()
    host = device.pinned(4 << 20).view(np.float32).reshape(1, -1)
    host[:] = 3
    there = device.empty(host.shape, host.dtype)
    began = copying.record()
    for _ in range(8):
        device.upload(host, there, copying)
    copied = copying.record()
    computing.wait_for(copied)
    with computing.use():
        outputs = under.double({"x": there}, 1)
    computed = computing.record()
    back.wait_for(computed)
    found = device.download(outputs["y"], back, True)
    over = back.record()
    over.wait()
    assert (found == 6).all()
    assert 0 <= device.seconds_between(began, copied) <= device.seconds_between(began, computed)
    parts = device.seconds_between(began, computed) + device.seconds_between(computed, over)
    assert parts == pytest.approx(device.seconds_between(began, over), abs=1e-4)


def objects_have_no_place_there(under: Under) -> None:
    with pytest.raises(TypeError, match="object"):
        under.device.empty((1,), np.dtype(object))


def want_of_memory_leaves_it_usable(under: Under) -> None:
    for _ in range(3):
        with pytest.raises(OutOfDeviceMemory):
            under.device.empty(under.too_large, np.dtype(np.float32))
    whatever_goes_there_comes_back(under)


def every_request_gets_its_own_answer(under: Under) -> None:
    for overlap in (True, False):
        source, replica = LiveSource(), on_device(under.device, under.double, overlap)
        threads = start_replicas([replica], source, 4, 0.001)
        sent = [np.full((1 + i % 3, 5), i, np.float32) for i in range(60)]
        futures = [source.submit({"x": array}) for array in sent]
        source.close()
        for thread in threads:
            thread.join(timeout=60)
        for array, future in zip(sent, futures, strict=True):
            np.testing.assert_array_equal(future.result(timeout=60)["y"], array * 2)
        transfer = replica.transfer
        assert transfer.batches >= 15
        assert 0 <= transfer.hidden_share <= (1 if overlap else 0)


def an_error_of_a_batch_is_the_answer_to_its_requests_alone(under: Under) -> None:
    for overlap in (True, False):
        source, replica = LiveSource(), on_device(under.device, under.picky, overlap)
        sizes = [1, 5, 2, 5, 5, 3]
        futures = [source.submit({"x": np.ones((rows, 2), np.float32)}) for rows in sizes]
        source.close()
        for thread in start_replicas([replica], source, 1, 0.0):
            thread.join(timeout=60)
        for rows, future in zip(sizes, futures, strict=True):
            if rows == 5:
                with pytest.raises(ValueError, match="five"):
                    future.result(timeout=60)
            else:
                assert (future.result(timeout=60)["y"] == 2).all()


def a_replica_can_be_called_like_any_infer(under: Under) -> None:
    for overlap in (True, False):
        replica = on_device(under.device, under.double, overlap)
        kept: list[Tensors] = [replica({"x": np.full((2, 3), i, np.float32)}) for i in range(4)]
        assert [float(outputs["y"][0, 0]) for outputs in kept] == [0, 2, 4, 6]


RULES: list[Rule] = [
    whatever_goes_there_comes_back,
    pinned_memory_is_written_to_like_any_other,
    the_first_rows_are_the_same_memory,
    a_queue_waits_for_an_event_of_another,
    objects_have_no_place_there,
    want_of_memory_leaves_it_usable,
    every_request_gets_its_own_answer,
    an_error_of_a_batch_is_the_answer_to_its_requests_alone,
    a_replica_can_be_called_like_any_infer,
]
