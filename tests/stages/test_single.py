import re
from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from made import run_of
from scripted import ScriptedBench, disturbed_by

from autotune.arrivals import Traffic
from autotune.errors import MeasureError, UsageError
from autotune.outcome import Measured, ModelInfo, TrialOutcome
from autotune.patterns import Bursty, Gaps
from autotune.records import Failed, FailureKind
from autotune.spec import RUNTIME_DEFAULT, ModelSpec, ServingConfig, SessionShape, Slo, TrialSpec
from autotune.stages import single as single_module
from autotune.stages.events import Event, Looked, Said
from autotune.stages.question import MeasureQuestion
from autotune.stages.single import (
    ATTEMPTS,
    CYCLES_TO_PASS,
    MAX_ROUNDS,
    check_possible,
    inspect,
    measure_alone,
    measure_rounds,
)
from autotune.stats.judge import Decides, Glimpse
from autotune.stats.paired import MIN_ROUNDS

TWO = ServingConfig(replicas=2, intra_op_threads=1)
QUESTION = MeasureQuestion(
    model=ModelSpec(path="scripted"),
    name="scripted",
    slo=Slo(latency_ms=50),
    traffic=Traffic(load_rps=100),
    config=TWO,
    other=None,
    confidence=0.99,
    duration_s=10.0,
    seed=7,
)


def asked(**changes: object) -> MeasureQuestion:
    return msgspec.structs.replace(QUESTION, **changes)


def ignore(event: Event) -> None:
    pass


def test_more_replicas_than_memory_holds_are_refused_with_the_arithmetic(info: ModelInfo) -> None:
    check_possible(QUESTION, info, memory_bytes=200 << 20)
    with pytest.raises(UsageError) as refused:
        check_possible(QUESTION, info, memory_bytes=150 << 20)
    assert str(refused.value) == (
        "2 x 1 thread: 2 replicas x 100 MiB = 200 MiB is more than the 150 MiB left; "
        "give fewer --replicas"
    )


def test_the_memory_that_is_left_is_looked_up_and_kept_to(
    info: ModelInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = ScriptedBench(info)
    monkeypatch.setattr(single_module, "available_memory_bytes", lambda: 150 << 20)
    with pytest.raises(UsageError, match="is more than the 150 MiB left"):
        inspect(QUESTION, bench, ignore)
    monkeypatch.setattr(single_module, "available_memory_bytes", lambda: 250 << 20)
    assert inspect(QUESTION, bench, ignore) == info
    assert not bench._fits(ServingConfig(replicas=3).session_shape)
    assert bench._fits(TWO.session_shape)


def test_where_memory_is_unknown_nothing_is_refused(info: ModelInfo) -> None:
    check_possible(QUESTION, info, memory_bytes=None)


def test_batches_of_a_model_without_batch_axis_are_refused_by_option(info: ModelInfo) -> None:
    batches = ServingConfig(max_batch_size=4)
    with pytest.raises(UsageError) as refused:
        check_possible(asked(config=batches), info, None)
    assert str(refused.value) == (
        "--max-batch-size 4: requests to this model cannot be batched: "
        "input 'x' has a fixed first dimension of 1"
    )
    with pytest.raises(UsageError, match=r"^--compare max-batch-size 4: requests"):
        check_possible(asked(other=batches), info, None)
    check_possible(asked(config=batches), msgspec.structs.replace(info, batchable=True), None)


def steal(*shares: float) -> Callable[[int, Measured], Measured]:
    """Runs from which such shares were stolen, the last for all that follow."""
    return lambda number, run: disturbed_by(shares[min(number, len(shares) - 1)])(run)


def halved(number: int, run: Measured) -> Measured:
    """A run that a verdict ended early, so that there is time for more."""
    return msgspec.structs.replace(run, duration_s=run.duration_s / 4)


def test_a_quiet_run_is_measured_once_without_its_lead_in(info: ModelInfo) -> None:
    bench, events = ScriptedBench(info), list[Event]()
    found = measure_alone(QUESTION, bench, events.append)
    (trial,), (run,) = bench.trials, found.runs
    arrivals_s = np.array(trial.arrivals_s)
    np.testing.assert_array_equal(run.scheduled_s, arrivals_s[arrivals_s >= 0.1 * run.duration_s])
    assert 0.85 * len(arrivals_s) < run.served < 0.95 * len(arrivals_s)
    assert found.idle_cores == 0.5
    assert not any(isinstance(event, Said) for event in events)


def test_a_disturbed_run_is_repeated_and_the_least_disturbed_counts(info: ModelInfo) -> None:
    change = steal(0.3, 0.1, 0.2)
    bench = ScriptedBench(info, change=lambda number, run: halved(number, change(number, run)))
    events = list[Event]()
    (run,) = measure_alone(QUESTION, bench, events.append).runs
    assert len(bench.trials) == ATTEMPTS == 3
    assert run.disturbance.steal_share == 0.1
    said = [event.text for event in events if isinstance(event, Said)]
    assert said == [
        "disturbed: 30% stolen; measuring again",
        "disturbed: 10% stolen; measuring again",
    ]


def test_repeats_end_with_the_first_quiet_run(info: ModelInfo) -> None:
    change = steal(0.3, 0.0)
    bench = ScriptedBench(info, change=lambda number, run: halved(number, change(number, run)))
    (run,) = measure_alone(QUESTION, bench, ignore).runs
    assert len(bench.trials) == 2
    assert run.disturbed == []


def faults_then_quiet(number: int, run: Measured) -> Measured:
    """Page faults, which cost no share of the CPUs, then a run with a daemon or two."""
    if number % 2 == 0:
        return msgspec.structs.replace(halved(number, run), disturbed=["it waited for storage"])
    daemons = msgspec.structs.replace(run.disturbance, other_cpu_share=0.04)
    return msgspec.structs.replace(halved(number, run), disturbance=daemons)


def test_an_undisturbed_run_counts_before_any_disturbed_one(info: ModelInfo) -> None:
    bench = ScriptedBench(info, change=faults_then_quiet)
    (run,) = measure_alone(QUESTION, bench, ignore).runs
    assert run.disturbed == []
    assert len(bench.trials) == 2
    first, second = measure_rounds(BOTH, ScriptedBench(info, change=faults_then_quiet), ignore)
    assert not any(run.disturbed for run in [*first.runs, *second.runs])


def test_repeats_take_the_time_that_is_left_and_no_more(info: ModelInfo) -> None:
    whole = ScriptedBench(info, change=steal(0.3))
    (run,) = measure_alone(QUESTION, whole, ignore).runs
    assert len(whole.trials) == 1
    assert run.disturbed
    change = steal(0.3)
    early = ScriptedBench(info, change=lambda number, run: halved(number, change(number, run)))
    measure_alone(QUESTION, early, ignore)
    assert early.trials[1].arrivals_s[-1] < 7.6 < 9.0 < early.trials[0].arrivals_s[-1]


def test_the_lead_in_is_that_of_the_run_that_counts(info: ModelInfo) -> None:
    def shorter_and_worse(number: int, run: Measured) -> Measured:
        if number == 0:
            return disturbed_by(0.1)(msgspec.structs.replace(run, duration_s=6.0))
        return disturbed_by(0.5)(run)

    bench = ScriptedBench(info, change=shorter_and_worse)
    (run,) = measure_alone(QUESTION, bench, ignore).runs
    assert len(bench.trials) == 2
    assert run.disturbance.steal_share == 0.1
    assert 0.6 <= run.scheduled_s[0] < 0.8


def test_a_queue_that_grew_keeps_its_beginning(info: ModelInfo) -> None:
    def diverges(number: int, run: Measured) -> Measured:
        return msgspec.structs.replace(run, stopped="diverged")

    bench = ScriptedBench(info, change=diverges)
    (run,) = measure_alone(QUESTION, bench, ignore).runs
    assert run.scheduled_s.tolist() == bench.trials[0].arrivals_s


def test_the_same_seed_gives_the_same_arrivals_and_another_seed_others(info: ModelInfo) -> None:
    bench = ScriptedBench(info)
    for seed in (7, 7, 8):
        measure_alone(asked(seed=seed), bench, ignore)
    first, again, other = (trial.arrivals_s for trial in bench.trials)
    assert first == again != other


def test_a_dense_schedule_is_cut_short_not_endless(info: ModelInfo) -> None:
    bench = ScriptedBench(info)
    measure_alone(asked(traffic=Traffic(load_rps=1e6), duration_s=3600.0), bench, ignore)
    assert len(bench.trials[0].arrivals_s) < 500_000


@pytest.mark.parametrize("pattern", [Bursty(factor=4), Gaps(gap_s=0.5)])
def test_traffic_that_changes_its_mind_may_pass_only_after_it_did_so_often(
    info: ModelInfo, pattern: Bursty | Gaps
) -> None:
    bench, traffic = ScriptedBench(info), Traffic(load_rps=1000, pattern=pattern)
    measure_alone(asked(traffic=traffic), bench, ignore)
    (judge,) = bench.judges
    assert judge is not None
    needed_s = CYCLES_TO_PASS * traffic.cycle_s
    assert [judge.decide(glimpse(s)) for s in (0.9 * needed_s, 1.1 * needed_s)] == [
        "go_on",
        "passed",
    ]


def glimpse(elapsed_s: float, latency_s: float = 0.001) -> Glimpse:
    """A thousand requests a second, each answered at once."""
    scheduled_s = np.arange(0.0, elapsed_s, 0.001)
    return Glimpse(
        elapsed_s, scheduled_s, scheduled_s + latency_s, np.ones(len(scheduled_s), dtype=np.bool_)
    )


def test_each_look_is_reported_with_what_it_saw(info: ModelInfo) -> None:
    bench, events = ScriptedBench(info), list[Event]()
    measure_alone(QUESTION, bench, events.append)
    (judge,) = bench.judges
    assert judge is not None
    seen = glimpse(5.0, latency_s=0.06)
    seen.finished_s[:1000] = seen.scheduled_s[:1000] + 0.01
    seen.finished_s[-10:] = np.nan
    decision = judge.decide(seen)
    looked = events[-1]
    assert looked == Looked(elapsed_s=5.0, requests=4990, over=3990, decision=decision)
    assert decision == "failed"


class Failing(ScriptedBench):
    """One configuration cannot be measured."""

    def __init__(self, info: ModelInfo, failed: Failed, config: ServingConfig, idle: bool) -> None:
        super().__init__(info)
        self.failed, self.config, self.idle = failed, config, idle

    def idle_cpu_share(self, shape: SessionShape, duration_s: float) -> float | Failed:
        if self.idle and shape == self.config.session_shape:
            return self.failed
        return super().idle_cpu_share(shape, duration_s)

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        outcome = super().measure(trial, judge)
        return self.failed if trial.config == self.config else outcome


@pytest.mark.parametrize("idle", [True, False])
@pytest.mark.parametrize(
    ("kind", "words"),
    [("crash", "crash: why"), ("wrong_output", "changes the model's answers: why")],
)
def test_a_configuration_that_fails_is_an_error_that_names_it(
    info: ModelInfo, kind: FailureKind, words: str, idle: bool
) -> None:
    failed = Failed(kind=kind, detail="why")
    with pytest.raises(MeasureError, match=f"^2 x 1 thread: {words}$"):
        measure_alone(QUESTION, Failing(info, failed, TWO, idle), ignore)
    both = asked(other=RUNTIME_DEFAULT, duration_s=20.0)
    with pytest.raises(MeasureError, match=f"^runtime default: {words}$"):
        measure_rounds(both, Failing(info, failed, RUNTIME_DEFAULT, idle), ignore)


BOTH = asked(other=RUNTIME_DEFAULT, duration_s=30.0)


def test_both_sides_of_a_round_see_the_same_arrivals_and_rounds_differ(info: ModelInfo) -> None:
    bench = ScriptedBench(info)
    first, second = measure_rounds(BOTH, bench, ignore)
    assert (first.config, second.config) == (TWO, RUNTIME_DEFAULT)
    assert len(first.runs) == len(second.runs) == MAX_ROUNDS
    pairs = [bench.trials[i : i + 2] for i in range(0, len(bench.trials), 2)]
    for pair in pairs:
        assert pair[0].arrivals_s == pair[1].arrivals_s
        assert pair[0].order_seed == pair[1].order_seed
        assert {trial.config for trial in pair} == {TWO, RUNTIME_DEFAULT}
    assert len({tuple(pair[0].arrivals_s) for pair in pairs}) == len(pairs)
    for mine, other in zip(first.runs, second.runs, strict=True):
        np.testing.assert_array_equal(mine.scheduled_s, other.scheduled_s)


def who_was_first(info: ModelInfo, seed: int) -> list[bool]:
    bench = ScriptedBench(info)
    measure_rounds(msgspec.structs.replace(BOTH, seed=seed), bench, ignore)
    return [trial.config == TWO for trial in bench.trials[::2]]


def test_chance_decides_who_goes_first_and_every_other_round_is_the_reverse(
    info: ModelInfo,
) -> None:
    orders = [who_was_first(info, seed) for seed in range(20)]
    assert orders == [who_was_first(info, seed) for seed in range(20)]
    assert len({tuple(order) for order in orders}) > 10
    for order in orders:
        assert all(first != second for first, second in zip(order[::2], order[1::2], strict=True))
    assert 0.35 < np.mean([order[0] for order in orders]) < 0.65


@pytest.mark.parametrize("load_rps", [7.1, 100.0])
@pytest.mark.parametrize("duration_s", [5.0, 30.0, 60.0, 400.0])
def test_rounds_keep_to_the_duration_lead_ins_included(
    info: ModelInfo, load_rps: float, duration_s: float
) -> None:
    question = asked(
        other=RUNTIME_DEFAULT, duration_s=duration_s, traffic=Traffic(load_rps=load_rps)
    )
    bench = ScriptedBench(info)
    try:
        sides = measure_rounds(question, bench, ignore)
    except UsageError:
        assert duration_s < 2 * MIN_ROUNDS * 1.1 * max(1.0, 60 / load_rps)
        return
    assert MIN_ROUNDS <= len(sides[0].runs) <= MAX_ROUNDS
    assert sum(trial.arrivals_s[-1] for trial in bench.trials) <= duration_s


@pytest.mark.parametrize("traffic", [Traffic(load_rps=100), Traffic(load_rps=7.1)])
def test_too_short_a_comparison_is_refused_and_what_it_asks_for_suffices(
    info: ModelInfo, traffic: Traffic
) -> None:
    question = asked(other=RUNTIME_DEFAULT, duration_s=5.0, traffic=traffic)
    with pytest.raises(UsageError, match="--duration 5s is too short to compare") as refused:
        measure_rounds(question, ScriptedBench(info), ignore)
    (needed_s,) = re.findall(r"take ([0-9]+) s$", str(refused.value))
    enough = msgspec.structs.replace(question, duration_s=float(needed_s))
    assert len(measure_rounds(enough, ScriptedBench(info), ignore)[0].runs) >= MIN_ROUNDS


def test_a_disturbed_window_is_measured_again_and_the_quieter_one_counts(info: ModelInfo) -> None:
    bench = ScriptedBench(info, change=steal(0.0, 0.2, 0.1, 0.0))
    sides = measure_rounds(BOTH, bench, ignore)
    assert len(bench.trials) == 2 * MAX_ROUNDS + 1
    assert bench.trials[1] == bench.trials[2]
    shares = [run.disturbance.steal_share for side in sides for run in side.runs]
    assert sorted(shares, key=lambda share: share or 0.0)[-2:] == [0.0, 0.1]


def test_on_a_machine_that_is_never_quiet_windows_are_not_repeated_for_ever(
    info: ModelInfo,
) -> None:
    bench = ScriptedBench(info, change=steal(0.2))
    measure_rounds(BOTH, bench, ignore)
    assert 2 * MAX_ROUNDS < len(bench.trials) <= 2 * MAX_ROUNDS + 4


def test_windows_of_a_comparison_end_early_for_nothing_but_a_growing_queue(
    info: ModelInfo,
) -> None:
    bench = ScriptedBench(info)
    measure_rounds(BOTH, bench, ignore)
    for judge in bench.judges:
        assert judge is not None
        assert judge.decide(glimpse(60.0)) == "go_on"
        assert judge.decide(glimpse(60.0, latency_s=1.0)) == "go_on"


def test_a_window_whose_queue_grew_keeps_its_beginning(info: ModelInfo) -> None:
    # Else one that is stopped before its lead-in is over would have served nothing.
    def stopped_soon(number: int, run: Measured) -> Measured:
        return msgspec.structs.replace(run, stopped="diverged")

    first, _ = measure_rounds(BOTH, ScriptedBench(info, change=stopped_soon), ignore)
    assert all(run.scheduled_s[0] < 0.1 for run in first.runs)
    calm, _ = measure_rounds(BOTH, ScriptedBench(info), ignore)
    assert all(run.scheduled_s[0] >= 0.1 for run in calm.runs)


def test_what_a_lead_in_used_is_not_charged_to_the_others() -> None:
    run = msgspec.structs.replace(run_of([0.01] * 10, used=(5.0, 0)), joules=20.0)
    counted = run.counted(4.0)
    assert counted.served == 6
    assert counted.cpu_s == pytest.approx(3.0)
    assert counted.joules == pytest.approx(12.0)
    assert run_of([0.01] * 10).counted(4.0).joules is None
