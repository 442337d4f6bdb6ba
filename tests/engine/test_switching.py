"""Switching while requests come: none is lost, doubled or out of order, and nothing is left."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
from engine_under_faults import MAX_QUEUED, OUTCOMES, Killer, draw_faulty, drive, held, model

from autotune.engine import follow, group, replica
from autotune.engine.errors import EngineClosedError, ReplicaGoneError
from autotune.engine.fake_device import FakeDevice, Laws
from autotune.engine.follow import Following, Level, Rule
from autotune.engine.group import Prepared, Upkeep
from autotune.engine.live import Admission, LiveEngine
from autotune.engine.live_source import Limits, LiveSource, Share
from autotune.engine.overlap import Overlapped
from autotune.engine.replica import Infer, Turns, serve_in_turn
from autotune.engine.source import Batch, Offer, Tensors
from autotune.spec import ServingConfig, SessionShape

PATIENCE_S = 60.0
QUICK = Rule(tick_s=0.002)


def level(replicas: int, batch: int, threads: int = 1) -> Level:
    config = ServingConfig(
        replicas=replicas,
        intra_op_threads=threads,
        max_batch_size=batch,
        batch_timeout_ms=0.5 if batch > 1 else 0.0,
    )
    return Level(float(10 * replicas + batch), config)


LEVELS = [level(1, 1), level(1, 8), level(2, 8), level(3, 4), level(2, 2, threads=2)]


def one(number: int) -> Tensors:
    return {"x": np.full((1, 1), number)}


class ByItself:
    """A replica that serves by itself, as those on a device do."""

    def __init__(self, infer: Infer) -> None:
        self.infer = infer

    def __call__(self, inputs: Tensors) -> Tensors:
        return self.infer(inputs)

    def serve(self, turns: Turns) -> None:
        serve_in_turn(self.infer, turns)


class Opened:
    """Opens replicas for any shape, some of which die, and counts what stands."""

    def __init__(self, infer: Infer, failing: float = 0.0, dying: float = 0.0) -> None:
        self.infer, self.failing, self.dying = infer, failing, dying
        self.rng = random.Random(0)
        self.lock = threading.Lock()
        self.counts = Counter[str]()
        self.standing = self.most = 0

    def replica(self, number: int, reopened: bool = True) -> Infer:
        if reopened and self.rng.random() < self.failing:
            self.counts["not reopened"] += 1
            raise OSError("no file")
        gone = False

        def mortal(inputs: Tensors) -> Tensors:
            nonlocal gone
            gone = gone or self.rng.random() < self.dying
            if gone:
                self.counts["died"] += 1
                raise ReplicaGoneError("killed")
            return self.infer(inputs)

        return ByItself(mortal) if number % 2 else mortal

    def __call__(self, shape: SessionShape) -> Prepared:
        if self.standing and self.rng.random() < self.failing:
            self.counts["not opened"] += 1
            raise MemoryError("no room")
        with self.lock:
            self.standing += 1
            self.most = max(self.most, self.standing)
        replicas = [self.replica(number, reopened=False) for number in range(shape.replicas)]
        return Prepared(replicas, Upkeep(self.replica, close=self.close))

    def close(self) -> None:
        with self.lock:
            self.standing -= 1
            self.counts["closed"] += 1


def open_engine(
    opened: Callable[[SessionShape], Prepared],
    levels: list[Level] = LEVELS,
    admission: Admission = Admission(),  # noqa: B008 - a constant
) -> LiveEngine:
    config = levels[0].config
    infers, upkeep = opened(config.session_shape)
    following = Following(levels, 0, opened, QUICK)
    return LiveEngine(infers, config.max_batch_size, 0.0, admission, upkeep, following)


@pytest.fixture
def at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines switch at every look, to any level."""
    rng = random.Random(1)
    wanted = lambda self, level, estimate, now_s: rng.randrange(len(self._levels))  # noqa: E731
    monkeypatch.setattr(follow.Chooser, "choose", wanted)
    for room in (follow, group):
        monkeypatch.setattr(room, "FIRST_PAUSE_S", 0.001)
        monkeypatch.setattr(room, "LONGEST_PAUSE_S", 0.004)


@pytest.mark.usefixtures("at_random")
@pytest.mark.parametrize("requests", [40_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_under_faults_and_switches_each_request_is_answered_once(
    requests: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "autotune.engine")
    opened = Opened(model, failing=0.2, dying=0.002)
    engines: list[LiveEngine] = []

    def open_one() -> LiveEngine:
        engines.append(open_engine(opened, admission=Admission(MAX_QUEUED, ["x"])))
        return engines[0]

    found = drive(open_one, draw_faulty, requests, Killer())
    assert not any(found.wrongs.values()), found
    assert found.counters.submitted == requests
    assert all(found.tally[name] for name in OUTCOMES), found.tally
    for name in ("not opened", "not reopened", "died", "closed"):
        assert opened.counts[name] > 0, name
    assert found.counters.replicas_replaced > 0
    used = {one.after for one in engines[0].switches()}
    assert used == {one.config for one in LEVELS}
    assert opened.standing == 0
    assert opened.most <= QUICK.kept


@pytest.mark.usefixtures("at_random")
def test_batches_are_taken_in_the_order_of_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple[int, list[int]]] = []
    take_for = LiveSource.take_for

    def noted(self: LiveSource, share: Share, offer: Offer | None) -> Batch | None:
        batch = take_for(self, share, offer)
        if batch is not None:
            taken.append((batch.first, [int(inputs["x"][0, 0]) for inputs in batch.inputs]))
        return batch

    monkeypatch.setattr(LiveSource, "take_for", noted)
    with open_engine(Opened(lambda inputs: inputs)) as engine:
        number = 0
        while len(engine.switches()) < 50:
            futures = [engine.submit(one(number + i)) for i in range(20)]
            values = [int(each.result(PATIENCE_S)["x"][0, 0]) for each in futures]
            assert values == list(range(number, number + 20))
            number += 20
    numbers = [each for _, batch in sorted(taken) for each in batch]
    assert numbers == list(range(number))


@pytest.mark.usefixtures("at_random")
def test_replicas_that_overlap_copies_and_computing_answer_what_they_have_under_way() -> None:
    device = FakeDevice(Laws(lambda rows: 2e-4))
    compute = device.model(lambda inputs: {"y": -inputs["x"]})
    opened = Opened(lambda inputs: inputs)

    def prepare(shape: SessionShape) -> Prepared:
        upkeep = opened(shape).upkeep
        return Prepared([Overlapped(device, compute) for _ in range(shape.replicas)], upkeep)

    with open_engine(prepare) as engine:
        number = 0
        while len(engine.switches()) < 50:
            futures = [engine.submit({"x": np.array([number + i])}) for i in range(20)]
            values = [each.result(PATIENCE_S)["y"].tolist() for each in futures]
            assert values == [[-number - i] for i in range(20)]
            number += 20
    assert engine.counters().answered == number
    assert not [each for each in threading.enumerate() if "answers" in each.name]
    assert opened.standing == 0


class Gate:
    """Lets nothing pass until it is opened."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def __call__(self, inputs: Tensors) -> Tensors:
        self.reached.set()
        assert self.go.wait(PATIENCE_S)
        return inputs


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.go.set()


def wants(monkeypatch: pytest.MonkeyPatch, level: int) -> None:
    monkeypatch.setattr(follow.Chooser, "choose", lambda *arguments: level)


def wait_for_switches(engine: LiveEngine, count: int) -> None:
    waiting = threading.Event()
    for _ in range(round(PATIENCE_S / QUICK.tick_s)):
        if len(engine.switches()) >= count:
            return
        waiting.wait(QUICK.tick_s)
    raise AssertionError(engine.switches())


TWO = [level(1, 1), level(2, 1)]


def test_the_old_replicas_finish_what_they_execute_while_the_new_ones_serve(
    monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    wants(monkeypatch, 0)
    infers: dict[int, Infer] = {1: gate, 2: lambda inputs: inputs}
    with open_engine(lambda shape: Prepared([infers[shape.replicas]] * shape.replicas), TWO) as it:
        executing = it.submit(one(1))
        assert gate.reached.wait(PATIENCE_S)
        wants(monkeypatch, 1)
        wait_for_switches(it, 1)
        assert it.submit(one(2)).result(PATIENCE_S)["x"] == 2
        assert not executing.done()
        # Its replica executes for an old share, so it cannot serve a new one yet.
        wants(monkeypatch, 0)
        assert it.submit(one(3)).result(PATIENCE_S)["x"] == 3
        assert len(it.switches()) == 1
        gate.go.set()
        wait_for_switches(it, 2)
        assert executing.result(PATIENCE_S)["x"] == 1
        assert it.submit(one(4)).result(PATIENCE_S)["x"] == 4


def test_a_group_that_never_ends_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    monkeypatch.setattr("autotune.engine.groups.STUCK_S", 0.05)
    wants(monkeypatch, 0)
    opened = list[SessionShape]()

    def prepare(shape: SessionShape) -> Prepared:
        opened.append(shape)
        first = gate if len(opened) == 1 else lambda inputs: inputs
        return Prepared([first] * shape.replicas)

    with open_engine(prepare, TWO) as engine:
        executing = engine.submit(one(1))
        assert gate.reached.wait(PATIENCE_S)
        wants(monkeypatch, 1)
        wait_for_switches(engine, 1)
        wants(monkeypatch, 0)
        wait_for_switches(engine, 2)
        assert engine.submit(one(2)).result(PATIENCE_S)["x"] == 2
        assert [shape.replicas for shape in opened] == [1, 2, 1]
        gate.go.set()
        assert executing.result(PATIENCE_S)["x"] == 1


@pytest.mark.parametrize("timeout_s", [None, 0.01])
def test_a_close_while_sessions_are_opened_closes_them_too(
    monkeypatch: pytest.MonkeyPatch, timeout_s: float | None
) -> None:
    wants(monkeypatch, 0)
    opening, go = threading.Event(), threading.Event()
    opened = Opened(lambda inputs: inputs)

    def prepare(shape: SessionShape) -> Prepared:
        if shape.replicas == 2:
            opening.set()
            assert go.wait(PATIENCE_S)
        return opened(shape)

    before = set(threading.enumerate())
    engine = open_engine(prepare, TWO)
    wants(monkeypatch, 1)
    assert opening.wait(PATIENCE_S)
    assert engine.submit(one(1)).result(PATIENCE_S)["x"] == 1
    closing = threading.Thread(target=engine.close, args=(timeout_s,))
    closing.start()
    if timeout_s is not None:
        closing.join(PATIENCE_S)  # it does not wait for what is opened
        assert not closing.is_alive()
    while not engine._source.closed:
        threading.Event().wait(QUICK.tick_s)
    with pytest.raises(EngineClosedError):
        engine.submit(one(2))
    go.set()
    closing.join(PATIENCE_S)
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_S)
    assert not set(threading.enumerate()) - before
    assert opened.standing == 0
    assert engine.switches() == []


def test_a_replica_that_died_is_not_opened_for_a_retired_group(
    monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    wants(monkeypatch, 0)
    reopened, closed = list[int](), list[int]()

    def mortal(inputs: Tensors) -> Tensors:
        gate(inputs)
        raise ReplicaGoneError("killed")

    def reopen(number: int) -> Infer:
        reopened.append(number)
        return mortal

    def prepare(shape: SessionShape) -> Prepared:
        if shape.replicas == 1:
            return Prepared([mortal], Upkeep(reopen, close=lambda: closed.append(1)))
        return Prepared([lambda inputs: inputs] * 2)

    with open_engine(prepare, TWO) as engine:
        future = engine.submit(one(1))
        assert gate.reached.wait(PATIENCE_S)
        wants(monkeypatch, 1)
        wait_for_switches(engine, 1)
        gate.go.set()
        assert future.result(PATIENCE_S)["x"] == 1  # of the new replicas
        assert engine.submit(one(2)).result(PATIENCE_S)["x"] == 2
        while not closed:  # it is not whole, so it is not kept
            threading.Event().wait(QUICK.tick_s)
    assert (reopened, closed) == ([], [1])


def test_a_thread_that_cannot_start_leaves_the_old_replicas_serving(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wants(monkeypatch, 0)
    threads = replica.replica_threads

    def start_one(*arguments: object) -> list[threading.Thread]:
        made = threads(*arguments)  # type: ignore[arg-type]
        if len(made) > 1:
            made[-1].start = partial(pytest.fail, "can't start new thread")  # type: ignore[method-assign]
        return made

    before = held()
    with open_engine(Opened(lambda inputs: inputs), TWO) as engine:
        monkeypatch.setattr(group, "replica_threads", start_one)
        wants(monkeypatch, 1)
        for number in range(10_000):
            assert engine.submit(one(number)).result(PATIENCE_S)["x"] == number
            if "cannot switch to 2 x 1 thread" in caplog.text:
                break
        assert "can't start new thread" in caplog.text
        assert engine.submit(one(1)).result(PATIENCE_S)["x"] == 1
        assert engine.switches() == []
    assert held() == before


def test_other_limits_hold_for_the_batch_that_is_being_formed() -> None:
    source = LiveSource()
    share = Share(source, Limits(8, PATIENCE_S))
    found: list[Batch | None] = []
    taker = threading.Thread(target=lambda: found.append(share.take(1, 0.0)))
    for number in range(2):
        source.submit(one(number))
    taker.start()
    source.limit(share, Limits(8, 0.0))
    taker.join(PATIENCE_S)
    (batch,) = found
    assert batch is not None
    assert len(batch.inputs) == 2


@pytest.mark.parametrize("queued", [0, 2])
def test_a_share_that_is_retired_gives_nothing_also_while_it_waits(queued: int) -> None:
    source = LiveSource()
    share = Share(source, Limits(8, PATIENCE_S))
    found: list[Batch | None] = []
    taker = threading.Thread(target=lambda: found.append(share.take(8, PATIENCE_S)))
    for number in range(queued):
        source.submit(one(number))
    taker.start()
    source.retire(share)
    taker.join(PATIENCE_S)
    assert found == [None]
    assert source.counters().queued == queued
    assert source.pause(PATIENCE_S, share)
    assert not source.pause(0.0)
