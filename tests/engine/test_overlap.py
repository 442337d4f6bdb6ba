import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.engine.device import DeviceArray, OutOfDeviceMemory
from autotune.engine.fake_device import FakeDevice, Laws, Stage, VirtualClock, Work
from autotune.engine.live_source import LiveSource
from autotune.engine.overlap import InTurn, Overlapped, on_device
from autotune.engine.replica import start_replicas
from autotune.engine.source import ScheduleSource, Tensors
from autotune.request_log import new_log

PATIENCE_S = 30.0
BYTES = 8
"""Of one request, and of its answer."""


class Costs(NamedTuple):
    """Seconds of the stages of a batch of one."""

    copy_s: float
    compute_s: float

    def laws(self) -> Laws:
        return Laws(lambda rows: self.compute_s * rows, bytes_per_s=BYTES / self.copy_s)


class Saturated(VirtualClock):
    """Passes only once everything is under way that there are buffers for, as in a backlog."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches, self.log = batches, list[Work]()

    def wait_until(self, moment_s: float) -> None:
        deadline_s = time.perf_counter() + PATIENCE_S
        while True:
            out = [work.ended_s for work in self.log if work.stage == "out"]
            over = sum(ended_s < moment_s for ended_s in out)
            if len(out) >= min(over + 2, self.batches):
                return super().wait_until(moment_s)
            assert time.perf_counter() < deadline_s, "nobody puts more work in"
            time.sleep(1e-4)


def negate(inputs: Tensors) -> Tensors:
    return {"y": -inputs["x"]}


def request(number: int) -> Tensors:
    return {"x": np.array([number], np.int64)}


def join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(timeout=PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)


def serve_backlog(
    device: FakeDevice, count: int, overlap: bool = True, max_batch_size: int = 1
) -> tuple[list["Future[Tensors]"], Overlapped | InTurn]:
    source, replica = LiveSource(), on_device(device, device.model(negate), overlap)
    futures = [source.submit(request(i)) for i in range(count)]
    source.close()
    join(start_replicas([replica], source, max_batch_size, 0.0))
    return futures, replica


def saturated(costs: Costs, count: int) -> tuple[list[Work], Overlapped]:
    clock = Saturated(count)
    device = FakeDevice(costs.laws(), clock)
    clock.log = device.log
    futures, replica = serve_backlog(device, count)
    assert [int(future.result()["y"][0]) for future in futures] == [-i for i in range(count)]
    assert isinstance(replica, Overlapped)
    return device.log, replica


def of_stage(log: list[Work], stage: Stage) -> list[Work]:
    return [work for work in log if work.stage == stage]


def common_s(one: Work, other: Work) -> float:
    return max(0.0, min(one.ended_s, other.ended_s) - max(one.began_s, other.began_s))


def assert_no_memory_is_used_twice_at_a_time(log: list[Work]) -> None:
    for i, work in enumerate(log):
        for other in log[:i]:
            if work.memory & other.memory:
                assert common_s(work, other) == 0, (work, other)


def test_the_next_batch_is_copied_while_one_is_computed_and_computing_never_pauses() -> None:
    log, replica = saturated(Costs(copy_s=1.0, compute_s=4.0), 6)
    copies, kernels, answers = (of_stage(log, stage) for stage in ("in", "compute", "out"))
    for k in range(5):
        assert copies[k + 1].began_s < kernels[k].ended_s
        assert kernels[k + 1].began_s == kernels[k].ended_s
        assert answers[k].began_s == kernels[k].ended_s
    assert [copy.began_s for copy in copies] == [0, 1, 6, 10, 14, 18]
    assert answers[-1].ended_s == 1 + 6 * 4 + 1
    transfer = replica.transfer
    assert (transfer.batches, transfer.in_s, transfer.out_s, transfer.compute_s) == (6, 6, 6, 24)
    assert transfer.hidden_share == 10 / 12  # all but the first copy in and the last one out


def test_the_naive_way_hides_nothing_and_takes_the_sum() -> None:
    device = FakeDevice(Costs(1.0, 4.0).laws(), VirtualClock())
    _, replica = serve_backlog(device, 6, overlap=False)
    assert device.clock.now_s() == 6 * (2 + 4 + 2)  # from memory that is not pinned
    assert replica.transfer.hidden_share == 0
    assert replica.transfer.in_s == replica.transfer.out_s == 12


@given(st.floats(0.125, 8, width=16), st.floats(0.125, 8, width=16), st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_the_schedule_is_what_two_buffers_and_three_engines_allow(
    copy_s: float, compute_s: float, count: int
) -> None:
    log, replica = saturated(Costs(copy_s, compute_s), count)
    in_s, kernel_s, out_s = [0.0], [0.0], [0.0]  # when each ended; nothing before the first
    for k in range(count):
        freed_s = out_s[k - 1] if k >= 2 else 0.0
        in_s.append(max(in_s[-1], freed_s) + copy_s)
        kernel_s.append(max(kernel_s[-1], in_s[-1]) + compute_s)
        out_s.append(max(out_s[-1], kernel_s[-1]) + copy_s)
    for stage, ends in (("in", in_s), ("compute", kernel_s), ("out", out_s)):
        assert [work.ended_s for work in log if work.stage == stage] == pytest.approx(ends[1:])
    assert_no_memory_is_used_twice_at_a_time(log)
    kernels = of_stage(log, "compute")
    copies = of_stage(log, "in") + of_stage(log, "out")
    hidden_s = sum(common_s(copy, kernel) for copy in copies for kernel in kernels)
    assert replica.transfer.hidden_share == pytest.approx(hidden_s / (2 * count * copy_s))


def test_never_more_than_two_batches_are_under_way_and_the_rest_waits_to_fill_them() -> None:
    go = threading.Event()

    class Held(VirtualClock):
        def wait_until(self, moment_s: float) -> None:
            assert go.wait(PATIENCE_S)
            super().wait_until(moment_s)

    device, source = FakeDevice(Laws(lambda rows: 1.0), Held()), LiveSource()
    replica = Overlapped(device, device.model(negate))
    threads = start_replicas([replica], source, 8, 0.0)
    futures = [source.submit(request(0))]
    wait_for(lambda: len(of_stage(device.log, "out")) == 1)
    futures.append(source.submit(request(1)))
    wait_for(lambda: len(of_stage(device.log, "out")) == 2)
    futures += [source.submit(request(i)) for i in range(2, 10)]
    time.sleep(0.02)
    assert len(device.log) == 6
    go.set()
    source.close()
    join(threads)
    assert [int(future.result()["y"][0]) for future in futures] == [-i for i in range(10)]
    assert len(of_stage(device.log, "in")) == 3  # the eight that waited became one batch


def wait_for(true: Callable[[], bool]) -> None:
    deadline_s = time.perf_counter() + PATIENCE_S
    while not true():
        assert time.perf_counter() < deadline_s
        time.sleep(1e-3)


def test_a_batch_is_answered_though_no_other_follows() -> None:
    def widen(inputs: Tensors) -> Tensors:
        return {"y": np.repeat(-inputs["x"], 100)[None]}

    device, source = FakeDevice(Laws(lambda rows: 1e-3)), LiveSource()
    threads = start_replicas([on_device(device, device.model(widen), True)], source, 1, 0.0)
    assert (source.submit(request(3)).result(timeout=PATIENCE_S)["y"] == -3).all()
    wait_for(lambda: device.used_bytes == BYTES)  # room for the next request, and nothing else
    source.close()
    join(threads)


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("stage", ["in", "compute", "out"])
def test_an_error_in_any_stage_fails_its_batch_only(stage: Stage, overlap: bool) -> None:
    def fault(where: Stage, number: int) -> Exception | None:
        return RuntimeError(f"broken {number}") if (where, number % 3) == (stage, 1) else None

    device = FakeDevice(Laws(lambda rows: 1e-4), fault=fault)
    futures, _ = serve_backlog(device, 9, overlap)
    lost = [i for i, future in enumerate(futures) if future.exception() is not None]
    if overlap or stage == "in":
        assert lost == [1, 4, 7]
    else:  # what failed before does not reach the stage, and is not counted there
        assert len(lost) == 3
    for i, future in enumerate(futures):
        if i in lost:
            assert "broken" in str(future.exception())
        else:
            assert future.result()["y"] == -i


@pytest.mark.parametrize("overlap", [True, False])
def test_an_error_while_work_is_put_in_waits_for_what_is_there_already(overlap: bool) -> None:
    device = FakeDevice(Costs(copy_s=1.0, compute_s=5.0).laws(), VirtualClock())
    model = device.model(negate)

    def broken(inputs: dict[str, DeviceArray], rows: int) -> dict[str, DeviceArray]:
        model(inputs, rows)
        raise ValueError("no second kernel")

    replica = on_device(device, broken, overlap)
    for count in (1, 2, 3):
        with pytest.raises(ValueError, match="no second kernel"):
            replica(request(1))
        kernels = of_stage(device.log, "compute")
        assert len(kernels) == count
        assert device.clock.now_s() >= kernels[-1].ended_s
    assert on_device(device, model, overlap)(request(5))["y"] == -5


def test_memory_for_larger_requests_takes_the_place_of_that_for_smaller_ones() -> None:
    def first_column(inputs: Tensors) -> Tensors:
        return {"y": inputs["x"][:, :1]}

    device = FakeDevice(Laws(lambda rows: 0.0, memory_bytes=150))
    replica = Overlapped(device, device.model(first_column))
    for width in (6, 6, 10):  # 48 bytes in either buffer, then 80 in the first
        assert replica({"x": np.ones((1, width))})["y"] == 1


@pytest.mark.parametrize("overlap", [True, False])
def test_want_of_memory_fails_its_batch_and_takes_none_from_the_next(overlap: bool) -> None:
    def widen(inputs: Tensors) -> Tensors:
        return {"y": np.repeat(inputs["x"], int(inputs["x"].shape[1]) ** 2, axis=1)}

    device = FakeDevice(Laws(lambda rows: 1e-4, memory_bytes=10_000))
    source, replica = LiveSource(), on_device(device, device.model(widen), overlap)
    widths = [3, 20, 3, 5, 20, 20, 2]
    futures = [source.submit({"x": np.ones((1, width), np.int64)}) for width in widths]
    source.close()
    join(start_replicas([replica], source, 1, 0.0))
    for width, future in zip(widths, futures, strict=True):
        if width == 20:
            assert isinstance(future.exception(), OutOfDeviceMemory)
        else:
            assert future.result()["y"].shape == (1, width**3)
    # Room for the inputs at most: answers that came to nothing are not held by their errors.
    assert device.used_bytes <= (20 + 20) * 8


@pytest.mark.parametrize("overlap", [True, False])
def test_an_error_that_is_kept_keeps_nothing_on_the_device(overlap: bool) -> None:
    device = FakeDevice(Laws(lambda rows: 0.0))

    def broken(inputs: dict[str, DeviceArray], rows: int) -> dict[str, DeviceArray]:
        try:
            large = device.empty((1000,), np.dtype(np.float64))
            return {"y": large, "z": inputs["missing"]}
        except KeyError as error:
            raise ValueError("no such input") from error

    replica = on_device(device, broken, overlap)
    with pytest.raises(ValueError, match="no such input") as kept:
        replica(request(1))
    assert kept.value.__cause__ is not None
    assert device.used_bytes <= BYTES


def test_a_request_that_fits_nowhere_does_not_end_the_replica() -> None:
    device = FakeDevice(Laws(lambda rows: 0.0, memory_bytes=100))
    source = LiveSource()
    large = source.submit({"x": np.ones((1, 1000))})
    small = source.submit({"x": np.ones((1, 2))})
    words = source.submit({"x": np.array(["a"], object)})
    source.close()
    join(start_replicas([Overlapped(device, device.model(negate))], source, 2, 0.0))
    assert isinstance(large.exception(), OutOfDeviceMemory)
    assert isinstance(words.exception(), TypeError)
    assert small.result()["y"].tolist() == [[-1, -1]]


def test_a_scalar_input_is_copied_though_it_has_no_rows() -> None:
    device = FakeDevice(Laws(lambda rows: 0.0))
    replica = Overlapped(device, device.model(negate))
    assert replica({"x": np.array(3.0)})["y"] == -3


def test_a_schedule_ends_with_its_error_and_without_threads() -> None:
    device = FakeDevice(
        Laws(lambda rows: 1e-4),
        fault=lambda stage, number: OSError("gone") if number == 5 else None,
    )
    source = ScheduleSource([0.0] * 50, [request(1)], new_log(50))
    before = threading.active_count()
    join(start_replicas([Overlapped(device, device.model(negate))], source, 1, 0.0))
    assert isinstance(source.error, OSError)
    assert threading.active_count() == before


def test_a_schedule_is_logged_when_its_answers_are_there() -> None:
    log = new_log(20)
    source = ScheduleSource([0.001 * i for i in range(20)], [request(1)], log)
    device = FakeDevice(Laws(lambda rows: 2e-3, latency_s=1e-3))
    replica = Overlapped(device, device.model(negate))
    join(start_replicas([replica], source, 4, 0.001))
    assert not np.isnan(log.finished_s).any()
    assert (log.finished_s - log.started_s >= 0.004).all()
    assert replica.transfer.batches == len(of_stage(device.log, "in"))


def test_each_serving_has_an_account_of_its_own() -> None:
    device = FakeDevice(Laws(lambda rows: 1e-5))
    for overlap in (True, False):
        replica = on_device(device, device.model(negate), overlap)
        for count in (5, 3):
            source = LiveSource()
            for i in range(count):
                source.submit(request(i))
            source.close()
            join(start_replicas([replica], source, 1, 0.0))
            assert replica.transfer.batches == count


@given(st.data())
@settings(max_examples=15, deadline=None)
def test_no_answer_is_lost_or_given_twice_whatever_comes_when(data: st.DataObject) -> None:
    pauses_s = st.sampled_from([0.0, 0.0, 2e-4, 1e-3])
    broken = data.draw(
        st.sets(st.tuples(st.sampled_from(["in", "compute", "out"]), st.integers(0, 9)))
    )
    costs_s = data.draw(st.lists(pauses_s, min_size=1, max_size=5))

    def fault(stage: Stage, number: int) -> Exception | None:
        return OSError("broken") if (stage, number) in broken else None

    device = FakeDevice(
        Laws(lambda rows: costs_s[rows % len(costs_s)], latency_s=costs_s[0]), fault=fault
    )
    source = LiveSource()
    replicas = [
        Overlapped(device, device.model(negate)) for _ in range(data.draw(st.integers(1, 2)))
    ]
    batch, timeout_s = data.draw(st.integers(1, 5)), data.draw(pauses_s)
    between_s = data.draw(st.lists(pauses_s, max_size=25))
    to_cancel = data.draw(st.sets(st.integers(0, 24)))
    # No draw from here on: one may end the test, and would leave the threads behind.
    threads = start_replicas(replicas, source, batch, timeout_s)
    futures = []
    for i, pause_s in enumerate(between_s):
        time.sleep(pause_s)
        futures.append(source.submit(request(i)))
    cancelled = {i for i in to_cancel if i < len(futures) and futures[i].cancel()}
    source.close()
    join(threads)
    failed = 0
    for i, future in enumerate(futures):
        if i in cancelled:
            assert future.cancelled()
        elif future.exception() is not None:
            failed += 1
        else:
            assert future.result()["y"].tolist() == [-i]
    assert failed <= batch * len(broken)
    assert_no_memory_is_used_twice_at_a_time(device.log)
