"""What requests cost in energy: read, reckoned, traded for latency and cores, and made small."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest
from desk import make_desk, simulate_less
from hypothesis import given, settings
from hypothesis import strategies as st
from made import run_of
from msgspec.structs import replace
from synthetic import CORES, SyntheticBench, run

from autotune.arrivals import Traffic
from autotune.config_file import Phase
from autotune.outcome import Measured, TrialOutcome
from autotune.probes.cores import Cores
from autotune.probes.energy import Domain, Energy
from autotune.records import Failed
from autotune.service import Power
from autotune.spec import RUNTIME_DEFAULT, Allowed, ModelSpec, ServingConfig, Slo, TrialSpec
from autotune.stages import energy
from autotune.stages import survey as survey_module
from autotune.stages.context import Context
from autotune.stages.energy import power_after, power_before, trade_offs
from autotune.stages.events import Event, Said
from autotune.stages.journal import Journal
from autotune.stages.premises import asked_of
from autotune.stages.question import Deadline, Question, Watts
from autotune.stats.judge import Decides

ONE = ServingConfig(intra_op_threads=1, spinning=False)
TWO = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
CONFIGS = [RUNTIME_DEFAULT, ONE, TWO]
MODEL = Power(is_model=True, source="a test", idle_watts=1.0, busy_core_watts=2.0)
READ = replace(MODEL, is_model=False)
ABSENT = Energy(state="absent", domains={})


def joules_read(joules: float) -> Energy:
    domain = Domain(energy_uj=round(1e6 * joules), range_uj=None)
    return Energy(state="read", domains={"package-0": domain})


@pytest.fixture(autouse=True)
def unmetered(monkeypatch: pytest.MonkeyPatch) -> None:
    """No energy can be read, whatever this machine has."""
    monkeypatch.setattr(energy, "read_energy", lambda *of: ABSENT)
    two = Cores(affinity=CORES, quota=None)
    monkeypatch.setattr(survey_module, "usable_cores", lambda: two)
    simulate_less(monkeypatch)


def context_of(events: list[Event] | None = None, **asked: object) -> Context:
    question = Question(
        model=ModelSpec(path="m"),
        name="m",
        slo=Slo(latency_ms=50, percentile=90),
        traffics=None,
        budget_s=60.0,
        max_trials=None,
        seed=0,
        output=None,
    )
    told: list[Event] = [] if events is None else events
    deadline = Deadline(60.0)
    return Context(
        replace(question, **asked),
        SyntheticBench(),
        Journal(question.slo, deadline),
        deadline,
        told.append,
    )


def test_where_nothing_can_be_read_a_model_says_what_it_rests_on() -> None:
    power = power_before(context_of(), 4)
    assert power.is_model
    assert power.idle_watts == pytest.approx(4 * 0.74)
    assert power.busy_core_watts == pytest.approx(2.76)
    assert "a model: Cloud Carbon Footprint's averages" in power.describe()


def test_watts_that_are_given_count_instead_and_one_may_be_left_to_the_model() -> None:
    both = power_before(context_of(watts=Watts(idle=40.0, core=6.0)), 4)
    assert (both.idle_watts, both.busy_core_watts) == (40.0, 6.0)
    assert (both.is_model, both.source) == (True, "as given")
    one = power_before(context_of(watts=Watts(idle=40.0)), 4)
    assert one.idle_watts == 40.0
    assert one.busy_core_watts == pytest.approx(2.76)
    assert one.source.startswith("as given, the rest Cloud Carbon Footprint")


class Meters:
    """Counters of a machine that draws 10 W, and `busy_watts` more from the second spell on."""

    def __init__(self, busy_watts: float) -> None:
        spell_s = 1.0
        self.joules = itertools.chain(
            [0.0, 0.0, 10 * spell_s, 50.0, 50.0 + (10 + busy_watts) * spell_s],
            itertools.repeat(0.0),
        )

    def read(self, on_gpu: bool, gpus: list[int]) -> Energy:
        return joules_read(next(self.joules))


def with_meters(monkeypatch: pytest.MonkeyPatch, others_cores: float) -> None:
    """Spells of a second each on a made-up clock, of which the second one works."""
    clock_s, spent_s = iter([0.0, 1.0, 5.0, 6.0]), iter([0.0, 0.0, 0.0, 1.0])
    monkeypatch.setattr(energy, "read_energy", Meters(busy_watts=8.0).read)
    monkeypatch.setattr(energy, "_rest", lambda: None)
    monkeypatch.setattr(energy, "_work", lambda: None)
    monkeypatch.setattr(
        energy,
        "time",
        SimpleNamespace(monotonic=lambda: next(clock_s), process_time=lambda: next(spent_s)),
    )
    monkeypatch.setattr(energy, "read_counters", lambda: None)
    disturbance = replace(run_of([0.01]).disturbance, other_cpu_share=others_cores)
    monkeypatch.setattr(energy, "between", lambda before, after: disturbance)


def test_what_can_be_read_is_read_at_rest_and_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of()
    with_meters(monkeypatch, others_cores=0.02)
    power = power_before(context, 2)
    assert not power.is_model
    assert power.idle_watts == pytest.approx(10)
    assert power.busy_core_watts == pytest.approx(8)
    assert power.describe() == "10 W idle, 8 W a busy core (read of package-0)"


def test_a_machine_that_is_not_idle_is_said_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    context = context_of(events)
    with_meters(monkeypatch, others_cores=0.6)
    assert "not quite idle: others used 0.6 cores" in power_before(context, 2).source
    assert [one.warning for one in events if isinstance(one, Said)] == [True]


def test_counters_that_fail_half_way_leave_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of()
    with_meters(monkeypatch, others_cores=0.0)
    readings = iter([joules_read(0), joules_read(0), ABSENT])
    monkeypatch.setattr(energy, "read_energy", lambda *of: next(readings, ABSENT))
    assert power_before(context, 2).is_model


def test_for_a_gpu_whose_energy_cannot_be_read_a_search_for_energy_warns() -> None:
    events: list[Event] = []
    asked = {"objective": "energy", "allowed": Allowed(device="cuda")}
    power_before(context_of(events, **asked), 2)
    warned = [one.text for one in events if isinstance(one, Said) and one.warning]
    assert warned == ["the energy of GPUs cannot be read: only CPU time is reckoned with"]


def metered(latency_ms: float, cpu_s: float, joules: float | None, count: int = 100) -> Measured:
    run = run_of([latency_ms / 1e3] * count, used=(cpu_s, 1))
    return replace(run, joules=joules)


def test_what_a_busy_core_adds_is_taken_from_measurements() -> None:
    # 100 s at 1 W, and 20 CPU seconds that took another 60 J.
    runs = [metered(10, 20.0, 160.0), metered(10, 5.0, None)]
    assert power_after(READ, runs).busy_core_watts == pytest.approx(3.0)
    assert power_after(MODEL, runs) == MODEL
    assert power_after(READ, [metered(10, 0.5, 160.0)]) == READ  # too little of it
    assert power_after(READ, [metered(10, 20.0, 1.0)]).busy_core_watts == 0.0


def test_a_lead_in_that_is_not_counted_takes_no_idle_power_either() -> None:
    # Cutting keeps 90 of 100 requests, of CPU seconds and of joules.
    (cut,) = [metered(10, 20.0, 160.0).counted(10.0)]
    assert power_after(READ, [cut]).busy_core_watts == pytest.approx(3.0)


def filled(*seen: tuple[ServingConfig, TrialOutcome], load_rps: float = 10.0) -> Context:
    context = context_of()
    for config, outcome in seen:
        phase: Phase = "search" if context.journal.trials else "confirm"
        traffic = Traffic(load_rps=load_rps)
        context.journal.add(phase, traffic, config, 1.0, (outcome, 1.0))
    return context


def cores_of(config: ServingConfig) -> int:
    return {ONE: 1}.get(config, 2)


def test_by_the_model_idle_power_is_shared_by_requests_that_really_arrive() -> None:
    context = filled((ONE, metered(10, 0.5, None)))
    (one,) = trade_offs(context, MODEL, {10.0: 5.0}, cores_of)
    assert one.joules_per_request == pytest.approx(1.0 / 5 + 2.0 * 0.5 / 100)
    assert one.core_s_per_request == pytest.approx(1 / 5)
    assert (one.load_rps, one.meets_slo) == (10.0, True)
    assert one.latency_ms == pytest.approx(10)


def test_what_was_read_counts_more_than_the_model_unless_watts_are_given() -> None:
    context = filled((ONE, metered(10, 0.5, 30.0)))
    (one,) = trade_offs(context, READ, {10.0: 10.0}, cores_of)
    assert one.joules_per_request == pytest.approx(0.3)
    (one,) = trade_offs(context, MODEL, {10.0: 10.0}, cores_of)
    assert one.joules_per_request == pytest.approx(0.1 + 0.01)


def test_both_phases_are_pooled_and_what_failed_or_diverged_is_out() -> None:
    diverging = run_of([0.01] * 50, lost=50, diverged=True)
    context = filled(
        (ONE, metered(10, 1.0, None)),
        (ONE, metered(90, 3.0, None)),
        (TWO, metered(1, 0.1, None)),
        (TWO, Failed(kind="crash", detail="")),
        (RUNTIME_DEFAULT, diverging),
    )
    (one,) = trade_offs(context, MODEL, {10.0: 10.0}, cores_of)
    assert one.config == ONE
    assert one.joules_per_request == pytest.approx(0.1 + 2.0 * 0.02)
    assert one.latency_ms == pytest.approx(90)
    assert not one.meets_slo


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=3, max_size=3))
def test_exactly_what_nothing_beats_is_kept(costs: list[tuple[int, int]]) -> None:
    seen = [
        (config, metered(10.0 * ms, 1.0 * cpu, None))
        for config, (ms, cpu) in zip(CONFIGS, costs, strict=True)
    ]
    found = trade_offs(filled(*seen), MODEL, {10.0: 10.0}, cores_of)
    points = {
        config: (*cost, cores_of(config)) for config, cost in zip(CONFIGS, costs, strict=True)
    }
    beaten = {
        config
        for config, mine in points.items()
        for theirs in points.values()
        if theirs != mine and all(t <= m for t, m in zip(theirs, mine, strict=True))
    }
    assert {one.config for one in found} == points.keys() - beaten
    assert [one.latency_ms for one in found] == sorted(one.latency_ms for one in found)


class Hungry(SyntheticBench):
    """Threads that spin work as long as the schedule lasts, as far as there are cores for them."""

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        outcome = super().measure(trial, judge)
        if isinstance(outcome, Failed):
            return outcome
        threads = trial.config.intra_op_threads or CORES
        spun_s = min(CORES, trial.config.replicas * threads) * trial.arrivals_s[-1]
        worked_s = self.service_s(threads, 1) * threads * outcome.served
        return replace(outcome, cpu_s=spun_s if trial.config.spinning else worked_s)


def test_the_least_energy_within_the_slo_parks_replicas_and_does_not_spin() -> None:
    tuned, events = run([20], Hungry(), objective="energy", watts=Watts(idle=1.5, core=3.0))
    (entry,) = tuned.policy
    assert entry.meets_slo
    assert (entry.config.replicas, entry.config.intra_op_threads) == (1, 1)
    assert not entry.config.spinning
    assert entry.gain is not None
    assert "x its energy within the SLO" in entry.gain.reason
    assert "x its energy within the SLO" in tuned.summary
    # 10 ms of one core, and the share of the idle power: 105 mJ.
    least = min(tuned.trade_offs, key=lambda one: one.joules_per_request)
    assert least.joules_per_request == pytest.approx(1.5 / 20 + 3.0 * 0.010)
    assert entry.config in {one.config for one in tuned.trade_offs}
    texts = [one.text for one in events if isinstance(one, Said)]
    assert "energy: 1.5 W idle, 3 W a busy core (a model: as given)" in texts


def test_the_slo_is_kept_however_little_energy_missing_it_would_take() -> None:
    # One core alone would be overloaded; two threads of one replica take more CPU time.
    tuned, _ = run([120], Hungry(), objective="energy", watts=Watts(idle=1.5, core=3.0))
    (entry,) = tuned.policy
    assert entry.meets_slo
    assert (entry.config.replicas, entry.config.intra_op_threads) == (2, 1)
    assert not entry.config.spinning


@pytest.mark.parametrize("objective", ["cpu", "energy"])
def test_what_takes_the_least_is_foreseen_and_tried_first(objective: str) -> None:
    tuned, _ = run([20], Hungry(), objective=objective, watts=Watts(idle=1.5, core=3.0))
    first = tuned.trials[0].config
    assert (first.intra_op_threads, first.spinning) == (1, False)


class Opening(Hungry):
    """Takes a second a replica to open sessions that do not stand yet."""

    def __init__(self) -> None:
        super().__init__()
        self.standing: set[object] = set()

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        shape = trial.config.session_shape
        self.opening_s += 0.0 if shape in self.standing else float(shape.replicas)
        self.standing.add(shape)
        return super().measure(trial, judge)


def test_the_file_has_what_waking_sessions_takes_where_that_was_seen() -> None:
    tuned, _ = run([20], Opening(), max_trials=2)
    assert tuned.service is not None
    opened = {one.config: one.open_s for one in tuned.service.configs}
    assert opened[RUNTIME_DEFAULT] == 1.0
    assert all(seconds == config.replicas for config, seconds in opened.items())
    never, _ = run([20], SyntheticBench(), max_trials=1)
    assert never.service is not None
    assert {one.open_s for one in never.service.configs} == {None}


def test_typical_is_the_median_and_sessions_that_stood_do_not_count() -> None:
    journal = Journal(Slo(latency_ms=50), Deadline(60.0))
    for seconds in (1.0, 0.0, 9.0, 2.0, 0.0):
        journal.opened(ONE.session_shape, seconds)
    assert journal.open_s() == {ONE.session_shape: 2.0}


def test_watts_are_part_of_what_is_asked() -> None:
    asked = context_of().question
    mine, others = replace(asked, watts=Watts(idle=9.0)), replace(asked, watts=Watts(core=9.0))
    assert len({asked_of(one) for one in (asked, mine, others)}) == 3


def test_the_power_is_kept_with_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(tmp_path, monkeypatch)
    desk.search_until_killed(dies_at=3)
    monkeypatch.setattr(energy, "VCPU_IDLE_WATTS", 100.0)
    tuned = desk.search()
    assert tuned.power is not None
    assert tuned.power.idle_watts == pytest.approx(CORES * 0.74)
