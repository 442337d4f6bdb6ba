import msgspec
import numpy as np
import pytest
from made import times_of
from promised import TUNED, question
from scripted import ScriptedBench

from autotune.errors import MeasureError, UsageError
from autotune.outcome import Measured, ModelInfo, ServiceTimes, TrialOutcome
from autotune.records import Failed
from autotune.spec import RUNTIME_DEFAULT, SessionShape
from autotune.stages.events import Event
from autotune.stages.gate_rounds import COST_WINDOWS, MAX_ROUNDS, measure_gate
from autotune.stages.reference import ONE_THREAD, cost_windows, windows_within
from autotune.trial.wire import ClosedLoop


class GateBench(ScriptedBench):
    """Beside what is scripted, one execution takes 8 ms of CPU time."""

    def service_times(
        self, shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
    ) -> ServiceTimes | Failed:
        assert shape == ONE_THREAD
        return times_of(np.full(5, 0.008), 0.008)


def ignore(event: Event) -> None:
    pass


def test_rounds_hold_it_twice_and_the_default_under_the_same_arrivals(info: ModelInfo) -> None:
    bench = GateBench(info)
    runs = measure_gate(question(), bench, ignore)
    rounds = len(runs.mine)
    assert rounds == len(runs.again) == len(runs.default) == MAX_ROUNDS
    assert len(runs.costs) == COST_WINDOWS * (rounds + 1)
    for number in range(rounds):
        trials = bench.trials[3 * number : 3 * number + 3]
        configs = [trial.config for trial in trials]
        assert configs.count(RUNTIME_DEFAULT) == 1
        assert configs.count(TUNED.recommended) == 2
        assert len({tuple(trial.arrivals_s) for trial in trials}) == 1
    orders = {tuple(t.config for t in bench.trials[i : i + 3]) for i in range(0, 3 * rounds, 3)}
    assert len(orders) > 1


def test_windows_fill_the_budget_and_no_more(info: ModelInfo) -> None:
    bench = GateBench(info)
    measure_gate(question(), bench, ignore)
    seconds = sum(trial.arrivals_s[-1] for trial in bench.trials)
    assert 40 < seconds < 60


def test_a_budget_that_holds_no_rounds_is_refused_with_what_it_takes(info: ModelInfo) -> None:
    short = msgspec.structs.replace(question(), budget_s=5.0)
    with pytest.raises(UsageError, match=r"--budget 5s is too short: .* 6 rounds take \d+ s more"):
        measure_gate(short, GateBench(info), ignore)


def test_where_the_default_is_recommended_it_is_measured_against_itself(info: ModelInfo) -> None:
    entry = msgspec.structs.replace(question().entry, config=RUNTIME_DEFAULT)
    runs = measure_gate(msgspec.structs.replace(question(), entry=entry), GateBench(info), ignore)
    assert runs.default == []
    assert len(runs.mine) == len(runs.again) == MAX_ROUNDS


def test_a_queue_that_diverges_twice_ends_the_rounds(info: ModelInfo) -> None:
    def diverge(number: int, run: Measured) -> TrialOutcome:
        return msgspec.structs.replace(run, stopped="diverged")

    runs = measure_gate(question(), GateBench(info, change=diverge), ignore)
    assert len(runs.mine) == 1


def test_a_configuration_that_fails_is_named(info: ModelInfo) -> None:
    def fail(number: int, run: Measured) -> TrialOutcome:
        return Failed(kind="crash", detail="killed")

    with pytest.raises(MeasureError, match="crash: killed"):
        measure_gate(question(), GateBench(info, change=fail), ignore)


def test_batches_for_a_model_that_has_none_are_refused(info: ModelInfo) -> None:
    config = msgspec.structs.replace(TUNED.recommended, max_batch_size=4)
    entry = msgspec.structs.replace(question().entry, config=config)
    asked = msgspec.structs.replace(question(), entry=entry)
    with pytest.raises(UsageError, match="cannot be batched"):
        measure_gate(asked, GateBench(info), ignore)


def test_windows_of_the_reference_are_milliseconds_and_fit_the_budget(info: ModelInfo) -> None:
    assert [one.execution_ms for one in cost_windows(GateBench(info), 3)] == [8.0] * 3
    assert windows_within(80.0, 0.01) == 10
    assert windows_within(80.0, 0.5) == 2
    assert windows_within(10.0, 5.0) == 1
