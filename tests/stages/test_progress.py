"""What `check` and `measure --compare` tell of their rounds while these go on."""

import numpy as np
from made import times_of
from promised import ENTRY, TUNED, question
from scripted import ScriptedBench

from autotune.arrivals import Traffic
from autotune.outcome import ModelInfo, ServiceTimes
from autotune.records import Failed, Summary
from autotune.spec import RUNTIME_DEFAULT, ModelSpec, ServingConfig, SessionShape, Slo
from autotune.stages.events import Doing, Event, Started, Tried
from autotune.stages.gate_rounds import measure_gate
from autotune.stages.question import MeasureQuestion
from autotune.stages.single import measure_rounds
from autotune.trial.wire import ClosedLoop

TWO = ServingConfig(replicas=2, intra_op_threads=1)


class OneExecution(ScriptedBench):
    def service_times(
        self, shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes | Failed:
        return times_of(np.full(5, 0.008), 0.008)


def slower_default(config: ServingConfig) -> float:
    return 20.0 if config == RUNTIME_DEFAULT else 10.0


def test_a_check_tells_each_window_beside_what_was_promised(info: ModelInfo) -> None:
    events: list[Event] = []
    runs = measure_gate(question(), OneExecution(info, slower_default), events.append)
    tried = [event for event in events if isinstance(event, Tried)]
    assert len(tried) == 3 * len(runs.mine)
    assert {event.phase for event in tried} == {"check"}
    assert ENTRY.measured is not None
    assert ENTRY.default is not None
    promised = {
        TUNED.recommended: ENTRY.measured.objective.value_ms,
        RUNTIME_DEFAULT: ENTRY.default.objective.value_ms,
    }
    measured = {TUNED.recommended: 10.0, RUNTIME_DEFAULT: 20.0}
    for event in tried:
        assert event.predicted_ms == promised[event.config]
        assert isinstance(event.result, Summary)
        assert event.result.p50.value_ms is not None
        assert abs(event.result.p50.value_ms - measured[event.config]) < 0.01
    mine = [event for event in tried if event.config == TUNED.recommended]
    assert [event.round_number for event in mine[:4]] == [1, 1, 2, 2]
    assert mine[-1].so_far is not None
    both = sum(run.served for run in (*runs.mine, *runs.again))
    assert mine[-1].so_far.requests == both


def test_each_window_is_announced_before_it_is_measured(info: ModelInfo) -> None:
    events: list[Event] = []
    asked = MeasureQuestion(
        model=ModelSpec(path="scripted"),
        name="scripted",
        slo=Slo(latency_ms=50),
        traffic=Traffic(load_rps=200.0),
        config=TWO,
        other=RUNTIME_DEFAULT,
        confidence=0.99,
        duration_s=60.0,
        seed=0,
    )
    first, second = measure_rounds(asked, ScriptedBench(info, slower_default), events.append)
    for number, event in enumerate(events):
        if isinstance(event, Tried):
            before = events[number - 1]
            assert isinstance(before, Doing)
            assert before.what == f"compare 200/s: {event.config.describe()}"
            assert event.predicted_ms is None
    assert sum(isinstance(event, Tried) for event in events) == len(first.runs) + len(second.runs)
    rounds = [event for event in events if isinstance(event, Started) and "round" in event.step]
    assert len(rounds) == len(first.runs)
    assert all(event.ends_in_s for event in rounds)
