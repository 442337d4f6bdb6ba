import numpy as np
import pytest
from device_rules import RULES, Rule, Under

from autotune.engine.device import OutOfDeviceMemory
from autotune.engine.fake_device import FakeDevice, Laws, RealClock, VirtualClock
from autotune.engine.source import Tensors

F32 = np.dtype(np.float32)


def double(inputs: Tensors) -> Tensors:
    return {"y": inputs["x"] * 2}


def picky(inputs: Tensors) -> Tensors:
    if len(inputs["x"]) == 5:
        raise ValueError("five")
    return double(inputs)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_what_holds_of_every_device(rule: Rule) -> None:
    device = FakeDevice(Laws(lambda rows: 1e-4, latency_s=1e-5, bytes_per_s=1e10, memory_bytes=1e8))
    rule(Under(device, device.model(double), device.model(picky), (1 << 26,)))


def test_copies_take_their_latency_and_their_bytes() -> None:
    device = FakeDevice(Laws(lambda rows: 1.0, latency_s=0.5, bytes_per_s=8.0), VirtualClock())
    queue, host = device.queue(), device.pinned(16).view(np.float32)
    there = device.empty((4,), F32)
    began = queue.record()
    device.upload(host, there, queue)
    copied = queue.record()
    device.upload(np.zeros(4, np.float32), there, queue)
    pageable = queue.record()
    assert device.seconds_between(began, copied) == 0.5 + 2.0
    assert device.seconds_between(copied, pageable) == 0.5 + 4.0
    assert device.clock.now_s() == 7.0  # one waits for a copy of memory that is not pinned


def test_engines_work_side_by_side_and_each_in_order() -> None:
    device = FakeDevice(Laws(lambda rows: 3.0, bytes_per_s=4.0), VirtualClock())
    one, other = device.queue(), device.queue()
    host = device.pinned(4).view(np.float32)
    arrays = [device.empty((1,), F32) for _ in range(3)]
    device.upload(host, arrays[0], one)
    device.upload(host, arrays[1], other)
    device.download(arrays[2], other, True)
    with one.use():
        device.model(double)({"x": arrays[0]}, 1)
    assert [(work.stage, work.began_s, work.ended_s) for work in device.log] == [
        ("in", 0, 1),
        ("in", 1, 2),
        ("out", 2, 3),
        ("compute", 1, 4),
    ]


def test_data_moves_as_late_as_it_may() -> None:
    device = FakeDevice(Laws(lambda rows: 0.0, bytes_per_s=4.0), VirtualClock())
    queue, host = device.queue(), device.pinned(4).view(np.float32)
    host[:] = 1
    there = device.empty((1,), F32)
    device.upload(host, there, queue)
    host[:] = 2  # too early
    back = device.download(there, queue, True)
    queue.record().wait()
    assert back[0] == 2


def test_memory_is_given_back_when_an_array_is_dropped() -> None:
    device = FakeDevice(Laws(lambda rows: 0.0, memory_bytes=100))
    kept = device.empty((20,), F32)
    view = device.first(kept, 2)
    with pytest.raises(OutOfDeviceMemory, match="80 bytes more"):
        device.empty((20,), F32)
    del kept
    assert (view.shape, device.used_bytes) == ((2,), 80)
    del view
    assert device.used_bytes == 0


def test_an_error_is_said_where_one_waits_for_its_work_and_nowhere_else() -> None:
    wrong = RuntimeError("lost a bit")
    device = FakeDevice(
        Laws(lambda rows: 0.0), VirtualClock(), lambda stage, number: wrong if number == 1 else None
    )
    queue, there = device.queue(), device.empty((1,), F32)
    host = device.pinned(4).view(np.float32)
    events = []
    for _ in range(3):
        device.upload(host, there, queue)
        events.append(queue.record())
    events[0].wait()
    events[2].wait()
    with pytest.raises(RuntimeError, match="lost a bit"):
        events[1].wait()


def test_the_real_clock_sleeps() -> None:
    clock = RealClock()
    began_s = clock.now_s()
    clock.wait_until(began_s + 0.01)
    clock.wait_until(began_s)
    assert clock.now_s() >= began_s + 0.01
