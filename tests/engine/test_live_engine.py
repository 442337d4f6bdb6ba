"""The engine as a server has it: what each request gets, whatever befalls its neighbours."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from engine_under_faults import in_threads

from autotune.engine import group, live
from autotune.engine.errors import (
    EngineClosedError,
    ModelEndedError,
    QueueFullError,
    ReplicaGoneError,
)
from autotune.engine.group import Upkeep
from autotune.engine.live import Admission, LiveEngine
from autotune.engine.replica import Infer, Turns
from autotune.engine.source import Tensors
from autotune.errors import UsageError

PATIENCE_S = 30.0


def one(number: int) -> Tensors:
    return {"x": np.full((1, 1), number)}


def same(inputs: Tensors) -> Tensors:
    return inputs


def value(future: "Future[Tensors]") -> int:
    return int(future.result(timeout=PATIENCE_S)["x"][0, 0])


def assert_quiet(engine: LiveEngine) -> None:
    found = engine.counters()
    assert found.submitted == found.answered + found.failed + found.expired + found.cancelled
    assert (found.queued, found.executing) == (0, 0)


class Held:
    """A model that waits until it is let go."""

    def __init__(self) -> None:
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, inputs: Tensors) -> Tensors:
        self.began.set()
        assert self.go.wait(PATIENCE_S)
        return inputs


@pytest.fixture
def held() -> Iterator[Held]:
    model = Held()
    yield model
    model.go.set()


def queue_behind(held: Held, engine: LiveEngine, count: int) -> list["Future[Tensors]"]:
    """Keep the replica busy, so that what follows is queued: it will be one batch."""
    first = engine.submit(one(-1))
    assert held.began.wait(PATIENCE_S)
    return [first, *(engine.submit(one(i)) for i in range(count))]


def test_bad_requests_fail_with_their_own_error_and_their_neighbours_are_answered(
    held: Held,
) -> None:
    sizes: list[int] = []

    def picky(inputs: Tensors) -> Tensors:
        held(inputs)
        numbers = inputs["x"][:, 0].tolist()
        sizes.append(len(numbers))
        if bad := {2, 5} & set(numbers):
            raise ValueError(f"bad: {sorted(bad)}")
        return inputs

    with LiveEngine([picky], 8, 0.0) as engine:
        _, *futures = queue_behind(held, engine, 8)
        held.go.set()
        for i, future in enumerate(futures):
            if i in (2, 5):
                with pytest.raises(ValueError, match=rf"bad: \[{i}\]"):
                    future.result(timeout=PATIENCE_S)
            else:
                assert value(future) == i
    assert sizes[:2] == [1, 8]
    assert engine.counters().failed == 2
    assert_quiet(engine)


@pytest.mark.parametrize("rows", [-1, 1])
def test_a_model_that_returns_other_rows_hands_nobody_a_neighbours(held: Held, rows: int) -> None:
    def careless(inputs: Tensors) -> Tensors:
        held(inputs)
        x = inputs["x"]
        return {"x": (x[:rows] if rows < 0 else np.concatenate([x, x[:rows]])) if len(x) > 1 else x}

    with LiveEngine([careless], 8, 0.0) as engine:
        futures = queue_behind(held, engine, 5)
        held.go.set()
        assert [value(future) for future in futures] == [-1, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_would_end_a_thread_fails_its_request_alone(kind: type[BaseException]) -> None:
    def leaving(inputs: Tensors) -> Tensors:
        if inputs["x"][0, 0] < 0:
            raise kind("now")
        return inputs

    with LiveEngine([leaving], 1, 0.0) as engine:
        bad, good = engine.submit(one(-1)), engine.submit(one(1))
        with pytest.raises(ModelEndedError, match=f"the model raised {kind.__name__}: now"):
            bad.result(timeout=PATIENCE_S)
        assert value(good) == 1


def test_a_full_queue_is_said_at_once(held: Held) -> None:
    with LiveEngine([held], 1, 0.0, Admission(max_queued=2)) as engine:
        futures = queue_behind(held, engine, 2)
        with pytest.raises(QueueFullError):
            engine.submit(one(9))
        held.go.set()
        assert [value(future) for future in futures] == [-1, 0, 1]
    assert engine.counters().rejected == 1


def test_inputs_are_those_of_the_model() -> None:
    with LiveEngine([same], 1, 0.0, Admission(names=["x"])) as engine:
        with pytest.raises(UsageError, match="'x': is missing; given: y"):
            engine.submit({"y": np.zeros(1)})
        assert engine.counters().submitted == 0


def test_callbacks_may_submit_and_may_fail() -> None:
    followed: Future[Future[Tensors]] = Future()

    def follow(future: "Future[Tensors]") -> None:
        followed.set_result(engine.submit(one(value(future) + 1)))
        raise SystemExit(1)

    with LiveEngine([same], 1, 0.0) as engine:
        first = engine.submit(one(1))
        first.add_done_callback(follow)
        assert value(first) == 1
        assert value(followed.result(timeout=PATIENCE_S)) == 2
    assert_quiet(engine)


def test_an_engine_cannot_be_closed_by_its_own_thread() -> None:
    refused = Future[BaseException]()

    def close(future: "Future[Tensors]") -> None:
        try:
            engine.close()
        except RuntimeError as error:
            refused.set_result(error)

    with LiveEngine([same], 1, 0.0) as engine:
        go = threading.Event()
        block = engine.submit(one(0))
        block.add_done_callback(lambda future: go.wait(PATIENCE_S))
        later = engine.submit(one(1))
        later.add_done_callback(close)
        go.set()
        assert "callback" in str(refused.result(timeout=PATIENCE_S))


def test_closing_serves_what_is_queued_and_refuses_more(held: Held) -> None:
    closed: list[int] = []
    engine = LiveEngine([held], 4, 0.0, upkeep=Upkeep(close=lambda: closed.append(1)))
    futures = queue_behind(held, engine, 9)
    with ThreadPoolExecutor(3) as pool:
        closing = [pool.submit(engine.close) for _ in range(3)]
        while True:
            try:
                futures.append(engine.submit(one(len(futures) - 1)))
            except EngineClosedError:
                break
        held.go.set()
        for call in closing:
            call.result(timeout=PATIENCE_S)
    engine.close()
    assert [value(future) for future in futures] == list(range(-1, len(futures) - 1))
    assert closed == [1]
    assert not [one for one in threading.enumerate() if one.name.startswith("replica-")]
    assert_quiet(engine)


def test_a_close_that_runs_out_of_time_fails_what_is_left(
    held: Held, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live, "GRACE_S", 0.0)
    engine = LiveEngine([held], 1, 0.0)
    futures = queue_behind(held, engine, 3)
    engine.close(timeout_s=0.01)
    for future in futures:
        with pytest.raises(EngineClosedError, match="before the request was served"):
            future.result(timeout=0)
    assert "its thread stays" in caplog.text
    assert engine.counters().failed == 4
    (replica,) = [one for one in threading.enumerate() if one.name.startswith("replica-")]
    held.go.set()
    replica.join(timeout=PATIENCE_S)  # its late answer is nobody's
    assert not replica.is_alive()
    engine.close()
    assert_quiet(engine)


def test_a_close_without_patience_hastens_one_with(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "GRACE_S", PATIENCE_S)
    engine = LiveEngine([held], 1, 0.0, upkeep=Upkeep(kill=held.go.set))
    futures = queue_behind(held, engine, 2)
    patient = threading.Thread(target=engine.close)
    patient.start()
    engine.close(timeout_s=0.0)
    patient.join(timeout=PATIENCE_S)
    assert not patient.is_alive()
    assert all(future.done() for future in futures)
    assert_quiet(engine)


class Mortal:
    """A replica that is gone once it meets with a number that kills it."""

    def __init__(self, deadly: Callable[[int], bool]) -> None:
        self.deadly, self.gone = deadly, False

    def __call__(self, inputs: Tensors) -> Tensors:
        self.gone = self.gone or any(map(self.deadly, inputs["x"][:, 0].tolist()))
        if self.gone:
            raise ReplicaGoneError("killed")
        return inputs


def test_a_replica_that_is_gone_is_replaced_and_its_batch_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    deaths = iter([True])
    opened: list[int] = []

    def mortal() -> Mortal:
        return Mortal(lambda seen: seen == 3 and next(deaths, False))

    def reopen(number: int) -> Infer:
        opened.append(number)
        return mortal()

    with LiveEngine([mortal()], 8, 0.05, upkeep=Upkeep(reopen)) as engine:
        futures = [engine.submit(one(i)) for i in range(5)]
        assert [value(future) for future in futures] == [0, 1, 2, 3, 4]
    assert opened == [0]
    assert "replica 0 is gone: killed" in caplog.text
    assert engine.counters().replicas_replaced == 1
    assert_quiet(engine)


def test_an_input_that_kills_does_not_kill_for_ever(held: Held) -> None:
    def reopen(number: int) -> Infer:
        return Mortal(lambda seen: seen == 5)

    first = Mortal(lambda seen: seen == 5)

    def behind(inputs: Tensors) -> Tensors:
        held(inputs)
        return first(inputs)

    with LiveEngine([behind], 8, 0.0, upkeep=Upkeep(reopen)) as engine:
        _, *futures = queue_behind(held, engine, 8)
        held.go.set()
        for i, future in enumerate(futures):
            if i != 5:
                assert value(future) == i
    assert engine.counters().replicas_replaced == 5  # of 8, of 4, of 2, and twice alone
    error = futures[5].exception()
    assert isinstance(error, ReplicaGoneError)
    assert error.__traceback__ is None  # whose frames would hold what the replica had
    assert_quiet(engine)


def test_others_serve_while_a_replica_cannot_be_opened(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(group, "FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(group, "LONGEST_PAUSE_S", 0.003)
    enough, tries = threading.Event(), list[int]()

    def reopen(number: int) -> Infer:
        tries.append(number)
        if len(tries) == 5:
            enough.set()
        raise MemoryError("no room")

    replicas: list[Infer] = [Mortal(lambda seen: seen < 0), Mortal(lambda seen: False)]
    with LiveEngine(replicas, 1, 0.0, upkeep=Upkeep(reopen)) as engine:
        while not tries:  # until the mortal one takes it
            value(engine.submit(one(-1)))
        assert enough.wait(PATIENCE_S)
        assert [value(engine.submit(one(i))) for i in range(20)] == list(range(20))
    assert "cannot be opened, again in 0.001 s: no room" in caplog.text
    assert "again in 0.002 s" in caplog.text
    assert "again in 0.003 s" in caplog.text
    assert engine.counters().replicas_replaced == 0
    assert_quiet(engine)


def test_with_the_last_replica_gone_for_good_nothing_waits_for_ever() -> None:
    with LiveEngine([Mortal(lambda seen: seen < 0)], 1, 0.0) as engine:
        assert value(engine.submit(one(1))) == 1
        with pytest.raises(EngineClosedError, match="every replica is gone, the last one: killed"):
            engine.submit(one(-1)).result(timeout=PATIENCE_S)
        with pytest.raises(EngineClosedError):
            engine.submit(one(2))
    assert_quiet(engine)


def test_a_close_gives_up_a_replica_that_cannot_be_opened() -> None:
    tried = threading.Event()

    def reopen(number: int) -> Infer:
        tried.set()
        raise OSError("no file")

    engine = LiveEngine([Mortal(lambda seen: True)], 1, 0.0, upkeep=Upkeep(reopen))
    future = engine.submit(one(1))
    assert tried.wait(PATIENCE_S)
    engine.close()
    with pytest.raises(EngineClosedError):
        future.result(timeout=0)
    assert_quiet(engine)


def test_replicas_that_serve_by_themselves_get_parts_of_failed_batches(held: Held) -> None:
    class ByItself:
        def __call__(self, inputs: Tensors) -> Tensors:
            return inputs

        def serve(self, turns: Turns) -> None:
            source, lock, most, timeout_s = turns
            while True:
                with lock:
                    batch = source.take(most, timeout_s)
                if batch is None:
                    return
                if not batch.inputs:
                    continue
                held(batch.inputs[0])
                if len(batch.inputs) > 1:
                    source.fail(batch, ValueError("one of them"))
                else:
                    source.complete(batch, batch.inputs, 0.0)

    with LiveEngine([ByItself()], 4, 0.0) as engine:
        futures = queue_behind(held, engine, 7)
        held.go.set()
        assert [value(future) for future in futures] == [-1, 0, 1, 2, 3, 4, 5, 6]


def test_engines_that_cannot_start_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []

    def fail(*arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(group, "replica_threads", fail)
    with pytest.raises(RuntimeError, match="start new thread"):
        LiveEngine([same], 1, 0.0, upkeep=Upkeep(close=lambda: closed.append(1)))
    assert closed == [1]


def test_under_faults_of_all_kinds_every_request_is_answered_once_with_its_own() -> None:
    found = in_threads(3000)
    assert not any(found.wrongs.values()), found
    assert found.counters.submitted == 3000
    for name in ("answered", "failed as injected", "expired", "cancelled"):
        assert found.tally[name] > 0, name
