import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.engine import assembly
from autotune.engine.assembly import Assembly, HostBuffers, own_buffers
from autotune.engine.live_source import LiveSource
from autotune.engine.replica import start_replicas
from autotune.engine.source import (
    Batch,
    Offer,
    ScheduleSource,
    Tensors,
    split,
    stack,
)
from autotune.request_log import new_log


@pytest.fixture(autouse=True)
def everything_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "MIN_BATCH_BYTES", 0)
    monkeypatch.setattr(assembly, "MIN_EARLY_BYTES", 0)


class Worker:
    """An infer with memory of its own, which remembers what it was asked for and called with."""

    def __init__(self) -> None:
        self.memory = HostBuffers()
        self.asked: list[int] = []
        self.given: Tensors = {}
        self.foreign = 0

    def buffers(self, like: Tensors, rows: int) -> Tensors:
        self.asked.append(rows)
        self.given = self.memory.buffers(like, rows)
        return self.given

    def __call__(self, inputs: Tensors) -> Tensors:
        own = self.given.values()
        if not all(any(np.shares_memory(a, b) for b in own) for a in inputs.values()):
            self.foreign += 1
        return {name: array * 2 for name, array in inputs.items()}


def numbered(count: int, width: int = 3, rows: int = 1) -> list[Tensors]:
    return [{"x": np.full((rows, width), i, np.float32)} for i in range(count)]


def assert_same(one: Tensors, other: Tensors) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype
        np.testing.assert_array_equal(one[name], other[name])


Kind = dict[str, tuple[Any, tuple[int, ...]]]
KINDS: list[Kind] = [
    {"x": (np.float32, (3,)), "y": (np.uint8, ())},
    {"x": (np.float32, (2, 2)), "y": (np.uint8, (0,))},
    {"x": (np.int64, (3,)), "z": (np.dtype("<U3"), (1,))},
    {"x": (np.float32, (3,)), "words": (object, (2,))},
]


@st.composite
def batches(draw: st.DrawFn) -> list[Tensors]:
    kind = draw(st.sampled_from(KINDS))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    rows = draw(st.lists(st.integers(1, 3), min_size=1, max_size=6))
    return [
        {
            name: rng.integers(0, 100, (count, *shape)).astype(dtype)
            for name, (dtype, shape) in kind.items()
        }
        for count in rows
    ]


@given(st.lists(batches(), max_size=5), st.booleans(), st.data())
@settings(max_examples=100, deadline=None)
def test_it_gives_what_stacking_gives_whatever_was_offered_before(
    many: list[list[Tensors]], own: bool, data: st.DataObject
) -> None:
    one = Assembly(Worker() if own else None, 4)
    for requests in many:
        offered = data.draw(st.lists(st.sampled_from(requests), max_size=3)) + requests
        for request in offered[data.draw(st.integers(0, len(offered))) :]:
            if not one.offer(request):
                break
        assert_same(one.stack(requests), stack(requests))


def test_batches_share_memory_that_was_allocated_once() -> None:
    one, requests = Assembly(None, 8), numbered(8)
    first = one.stack(requests)["x"]
    assert np.shares_memory(first, one.stack(requests[:5])["x"])
    small: list[Tensors] = [{"x": np.zeros((1, 2), np.uint8)}] * 2
    assert np.shares_memory(first, one.stack(small)["x"])


def test_a_single_request_passes_unchanged() -> None:
    one, request = Assembly(None, 8), numbered(1)[0]
    assert one.offer(request)
    assert one.stack([request]) is request


def test_small_batches_are_left_to_the_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "MIN_BATCH_BYTES", 1000)
    monkeypatch.setattr(assembly, "MIN_EARLY_BYTES", 1000)
    one, requests = Assembly(None, 8), numbered(2)
    assert not one.offer(requests[0])
    first = one.stack(requests)["x"]
    assert not np.shares_memory(first, one.stack(requests)["x"])


def test_what_is_offered_is_copied_then_and_not_once_more() -> None:
    one, requests = Assembly(None, 4), numbered(2)
    one.stack(requests)  # from now on there is room
    assert one.offer(requests[0])
    requests[0]["x"][:] = 77
    np.testing.assert_array_equal(one.stack(requests)["x"][:, 0], [0, 1])


def test_a_cancelled_request_leaves_no_row_behind() -> None:
    one, requests = Assembly(None, 4), numbered(4)
    assert all(map(one.offer, requests[:3]))
    np.testing.assert_array_equal(one.stack([requests[i] for i in (0, 2, 3)])["x"][:, 0], [0, 2, 3])


def test_a_batch_that_came_to_nothing_is_forgotten() -> None:
    one, requests = Assembly(None, 4), numbered(3)
    assert one.offer(requests[0])
    one.forget()
    assert one.offer(requests[1])
    np.testing.assert_array_equal(one.stack(requests[1:])["x"][:, 0], [1, 2])


def test_requests_that_do_not_fit_together_fail_and_the_next_batch_does_not() -> None:
    one, (good, *_) = Assembly(None, 4), numbered(1)
    other: Tensors = {"x": np.zeros((1, 5), np.float32)}
    with pytest.raises(ValueError, match="must match"):
        one.stack([good, other])
    with pytest.raises(ValueError, match="zero-dimensional"):
        one.stack([{"x": np.array(1.0)}] * 2)
    assert one.offer(good)
    assert not one.offer({"y": good["x"]})
    assert_same(one.stack([good, good]), stack([good, good]))


def test_memory_grows_by_doubling_and_never_beyond_what_a_full_batch_takes() -> None:
    worker = Worker()
    one, requests = Assembly(worker, 12), numbered(12)
    for size in (1, 3, 2, 5, 12, 4):
        one.stack(requests[:size])
    assert worker.asked == [1, 4, 8, 12]
    one.stack([{"x": np.zeros((30, 3), np.float32)}])
    assert worker.asked[-1] == 32


def test_rows_stay_when_memory_grows_while_a_batch_waits() -> None:
    one, requests = Assembly(None, 4), numbered(4, rows=2)
    assert all(map(one.offer, requests))
    np.testing.assert_array_equal(one.stack(requests)["x"][:, 0], np.repeat(np.arange(4), 2))


def test_outputs_in_the_batch_own_memory_are_copied_and_others_are_not() -> None:
    one, requests = Assembly(None, 4), numbered(2)
    inputs = one.stack(requests)
    outputs = {"same": inputs["x"], "part": inputs["x"][:, 1:], "other": inputs["x"] + 1}
    apart = one.detach(outputs)
    one.stack(numbered(4)[2:])
    np.testing.assert_array_equal(apart["same"][:, 0], [0, 1])
    np.testing.assert_array_equal(apart["part"][:, 0], [0, 1])
    assert apart["other"] is outputs["other"]


def test_only_what_has_the_method_offers_buffers() -> None:
    worker = Worker()
    assert own_buffers(worker) is worker
    assert own_buffers(lambda inputs: inputs) is None


def test_an_infer_with_memory_of_its_own_finds_every_batch_in_it() -> None:
    source, worker = LiveSource(), Worker()
    futures = [source.submit(request) for request in numbered(9)]
    source.close()
    for thread in start_replicas([worker], source, 4, 0.0):
        thread.join()
    assert [float(future.result()["x"][0, 0]) for future in futures] == [2 * i for i in range(9)]
    assert worker.foreign == 0


def test_a_batch_that_was_cancelled_leaves_nothing_to_the_next() -> None:
    wanted: list[bool] = []
    answered: list[Tensors] = []
    narrow, wide = numbered(1, width=2), numbered(2, width=5)

    class Cancelling:
        def __init__(self) -> None:
            self.batches = [(narrow, list[Tensors]()), (wide[:1], wide)]

        def take(
            self, max_batch_size: int, batch_timeout_s: float, offer: Offer | None = None
        ) -> Batch | None:
            if not self.batches:
                return None
            offered, taken = self.batches.pop(0)
            assert offer is not None
            wanted.extend(map(offer, offered))
            return Batch(0, taken, [])

        def complete(self, batch: Batch, outputs: list[Tensors], started_s: float) -> None:
            answered.extend(outputs)

        def fail(self, batch: Batch, error: Exception) -> None:
            raise error

    for thread in start_replicas([lambda inputs: inputs], Cancelling(), 4, 0.0):
        thread.join()
    assert wanted == [True, True]
    assert [float(outputs["x"][0, 0]) for outputs in answered] == [0, 1]


def test_identical_outputs_of_live_requests_survive_the_next_batch() -> None:
    source = LiveSource()
    futures = [source.submit(request) for request in numbered(12)]
    source.close()
    for thread in start_replicas([lambda inputs: inputs], source, 4, 0.0):
        thread.join()
    assert [float(future.result()["x"][0, 0]) for future in futures] == list(range(12))


def test_a_scheduled_batch_is_offered_as_requests_arrive_and_no_later() -> None:
    log = new_log(4)
    source = ScheduleSource([0.0, 0.01, 0.02, 5.0], numbered(4), log)
    seen: list[tuple[float, float]] = []

    def offer(request: Tensors) -> bool:
        seen.append((float(request["x"][0, 0]), log.elapsed_s))
        return True

    batch = source.take(4, 0.2, offer)
    assert batch is not None
    assert len(batch.inputs) == 3
    assert [number for number, _ in seen] == [0, 1, 2]
    assert all(moment_s >= 0.01 * number for number, moment_s in seen)
    assert log.elapsed_s >= 0.2


def test_nobody_is_woken_for_requests_that_are_not_wanted() -> None:
    seen: list[Tensors] = []
    source = ScheduleSource([0.0, 0.001, 0.002], numbered(3), new_log(3))

    def unwanted(request: Tensors) -> bool:
        seen.append(request)
        return False

    batch = source.take(8, 0.05, unwanted)
    assert batch is not None
    assert (len(batch.inputs), len(seen)) == (3, 1)


def test_a_full_batch_is_not_offered() -> None:
    source = ScheduleSource([0.0, 0.0], numbered(2), new_log(2))
    batch = source.take(2, 30.0, lambda request: pytest.fail("there was nothing to wait for"))
    assert batch is not None


def test_live_requests_can_be_submitted_while_one_is_copied() -> None:
    source, requests = LiveSource(), numbered(2)
    source.submit(requests[0])

    def offer(request: Tensors) -> bool:
        if request is requests[0]:
            other = threading.Thread(target=source.submit, args=(requests[1],))
            other.start()
            other.join(timeout=10)
            assert not other.is_alive()
        return True

    batch = source.take(2, 30.0, offer)
    assert batch is not None
    assert len(batch.inputs) == 2


def test_split_undoes_what_is_put_together_early() -> None:
    one, requests = Assembly(None, 8), [*numbered(2, rows=2), *numbered(1), *numbered(1, rows=3)]
    assert all(map(one.offer, requests[:2]))
    together = one.detach(one.stack(requests))
    for request, back in zip(requests, split(together, requests), strict=True):
        np.testing.assert_array_equal(request["x"], back["x"])
