"""The four stages over a synthetic machine."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pytest
from synthetic import CORES, SyntheticBench, run

from autotune.config_file import TunedFile
from autotune.errors import MeasureError
from autotune.outcome import Measured, ServiceTimes, TrialOutcome
from autotune.patterns import Bursty, Gaps, Poisson
from autotune.probes.cores import Cores
from autotune.records import Failed
from autotune.space.axes import make_axes
from autotune.space.lattice import make_lattice
from autotune.spec import RUNTIME_DEFAULT, ServingConfig, SessionShape, TrialSpec
from autotune.stages import goal
from autotune.stages import survey as survey_module
from autotune.stages.events import Event, Predicted, Said, Tried
from autotune.stages.question import default_budget_s
from autotune.stages.survey import auto_loads
from autotune.stats.judge import Decides
from autotune.strategy.rrl import Rrl
from autotune.trial.wire import ClosedLoop


@pytest.fixture(autouse=True, scope="module")
def two_cores() -> Iterator[None]:
    two = Cores(affinity=CORES, quota=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey_module, "usable_cores", lambda: two)
        yield


class Searched(NamedTuple):
    """A search that several tests look at."""

    tuned: TunedFile
    events: list[Event]
    trials: list[TrialSpec]


def searched(loads_rps: list[float] | None, slo_ms: float = 50) -> Searched:
    bench = SyntheticBench()
    tuned, events = run(loads_rps, bench, slo_ms=slo_ms)
    return Searched(tuned, events, bench.trials)


@pytest.fixture(scope="module")
def two_loads(two_cores: None) -> Searched:
    return searched([20, 130], slo_ms=65)


@pytest.fixture(scope="module")
def own_loads(two_cores: None) -> Searched:
    """Of loads that the search has worked out."""
    return searched(None)


def test_the_winner_changes_with_load_and_the_gain_is_proven(two_loads: Searched) -> None:
    tuned = two_loads.tuned
    low, high = tuned.policy
    assert low.config == RUNTIME_DEFAULT
    assert low.gain is None
    assert high.config.replicas >= 2
    assert high.gain is not None
    assert high.gain.proven
    assert tuned.status == "complete"
    assert high.config.describe() in tuned.summary


def test_the_finalists_see_the_same_arrivals_round_by_round(two_loads: Searched) -> None:
    schedules: dict[ServingConfig, list[list[float]]] = {}
    for trial in two_loads.trials[-6:]:
        schedules.setdefault(trial.config, []).append(trial.arrivals_s)
    assert RUNTIME_DEFAULT in schedules
    for config, seen in schedules.items():
        if len(seen) == len(schedules[RUNTIME_DEFAULT]):
            assert seen == schedules[RUNTIME_DEFAULT], config


def test_loads_are_worked_out_from_nearly_idle_to_just_above_what_is_sustained(
    own_loads: Searched,
) -> None:
    tuned = own_loads.tuned
    predicted = next(event for event in own_loads.events if isinstance(event, Predicted))
    loads = [entry.load_rps for entry in tuned.policy]
    assert loads[0] < 0.3 * predicted.sustainable_rps
    assert loads[-1] > predicted.sustainable_rps
    assert tuned.status == "complete"


def said(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Said))


@pytest.mark.slow
def test_bursts_are_explained_recorded_and_lower_the_loads_that_are_worked_out(
    own_loads: Searched,
) -> None:
    calm, calm_events, _ = own_loads
    tuned, events = run(None, SyntheticBench(), pattern=Bursty(factor=4))
    assert tuned.arrivals == "bursty x4"
    assert calm.arrivals == "poisson"
    assert tuned.search.sustainable_rps < 0.7 * calm.search.sustainable_rps
    assert tuned.policy[-1].load_rps < calm.policy[-1].load_rps
    assert said(events).count("Poisson has 1") == len(tuned.policy)
    assert "Poisson has 1" not in said(calm_events)


@pytest.mark.slow
def test_runs_too_short_for_a_gap_are_owned_up_to() -> None:
    _, short = run([100], SyntheticBench(), pattern=Gaps(gap_s=60))
    assert "shorter than one cycle of poisson with 60 s gaps (120 s)" in said(short)
    _, long = run([100], SyntheticBench(), pattern=Gaps(gap_s=0.5))
    assert "shorter than" not in said(long)


def test_an_impossible_slo_says_what_binds() -> None:
    tuned, _ = run([20], SyntheticBench(), slo_ms=2)
    (entry,) = tuned.policy
    assert tuned.status == "slo_not_met"
    assert entry.binding is not None
    assert entry.binding.lowest_slo_ms is not None
    assert 5 < entry.binding.lowest_slo_ms < 20
    assert "Nothing meets p99 <= 2 ms" in tuned.summary


def test_an_impossible_load_names_the_highest_that_is_met() -> None:
    tuned, _ = run([20, 2000], SyntheticBench())
    assert tuned.status == "slo_not_met"
    binding = tuned.policy[1].binding
    assert binding is not None
    assert binding.highest_load_rps is not None
    assert 20 <= binding.highest_load_rps < 250


def test_configurations_that_crash_are_failed_trials_and_never_win() -> None:
    tuned, _ = run([180], SyntheticBench(fails=lambda config: config.replicas == 2))
    failed = [trial for trial in tuned.trials if trial.failure is not None]
    assert failed
    assert tuned.policy[0].config.replicas != 2


def test_a_default_that_crashes_does_not_end_the_search() -> None:
    tuned, events = run([20], SyntheticBench(fails=lambda config: config == RUNTIME_DEFAULT))
    assert tuned.policy[0].config != RUNTIME_DEFAULT
    assert any(isinstance(event, Said) and "crash" in event.text for event in events)


def test_trials_are_limited_on_request() -> None:
    tuned, events = run([20, 100, 180], SyntheticBench(), max_trials=2)
    searched = [event for event in events if isinstance(event, Tried) and event.phase == "search"]
    assert len(searched) == 2
    assert tuned.search.stopped == "trials"


def test_a_model_that_fails_on_one_thread_cannot_be_tuned() -> None:
    class Broken(SyntheticBench):
        def service_times(
            self, shape: SessionShape, request: ClosedLoop, timeout_s: float, keep: bool = False
        ) -> ServiceTimes | Failed:
            return Failed(kind="crash", detail="dead")

    with pytest.raises(MeasureError, match="one thread: crash: dead"):
        run([20], Broken())


def test_slower_models_get_more_time_up_to_a_limit() -> None:
    assert default_budget_s(0.001) == default_budget_s(0.020) < default_budget_s(0.040)
    assert default_budget_s(100.0) <= 300


def test_loads_have_two_digits() -> None:
    assert [traffic.load_rps for traffic in auto_loads(1234.5, Poisson())] == [190, 740, 1100, 1400]


class Breaking(SyntheticBench):
    """Every finalist serves its first confirmation well and breaks down in its second."""

    def measure(self, trial: TrialSpec, judge: Decides | None = None) -> TrialOutcome:
        outcome = super().measure(trial, judge)
        seen = sum(other.config == trial.config for other in self.trials)
        if isinstance(outcome, Measured) and seen > 2:
            return msgspec.structs.replace(outcome, stopped="diverged", lost=outcome.served)
        return outcome


def test_a_good_round_does_not_hide_the_one_that_broke_down() -> None:
    tuned, _ = run([100], Breaking())
    (entry,) = tuned.policy
    assert entry.default is not None
    assert entry.default.diverged
    assert not entry.meets_slo
    assert tuned.status == "slo_not_met"


class OneReplicaOnly(Rrl):
    """A search that its prediction has led to single replicas."""

    def best(self, load: int) -> list[int]:
        return [point for point in super().best(load) if POINTS[point].replicas == 1]


POINTS = make_lattice(make_axes(CORES, False, 50), CORES, 1, None).configs


@pytest.mark.parametrize("load_rps", [20, 130])
def test_replicas_side_by_side_are_always_confirmed(
    load_rps: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(goal, "Rrl", OneReplicaOnly)
    tuned, _ = run([load_rps], SyntheticBench())
    confirmed = {trial.config for trial in tuned.trials if trial.phase == "confirm"}
    assert ServingConfig(replicas=2, intra_op_threads=1, spinning=False) in confirmed
    assert RUNTIME_DEFAULT in confirmed
    assert len(confirmed) <= 3


def test_least_cores_within_the_slo_is_one_core_where_one_suffices() -> None:
    tuned, _ = run([20], SyntheticBench(), objective="cores")
    (entry,) = tuned.policy
    assert entry.meets_slo
    assert (entry.config.replicas, entry.config.intra_op_threads) == (1, 1)
    assert entry.gain is not None
    assert "1 core within the SLO, not 2" in entry.gain.reason
    assert tuned.search.objective == "cores"


def test_least_cores_are_as_many_as_the_load_needs() -> None:
    tuned, _ = run([140], SyntheticBench(), objective="cores")
    (entry,) = tuned.policy
    assert entry.meets_slo
    assert entry.config.replicas * max(1, entry.config.intra_op_threads) >= 2


def test_capacity_is_looked_for_at_loads_around_what_is_predicted_to_be_sustained() -> None:
    tuned, events = run(None, SyntheticBench(), objective="capacity")
    (predicted,) = [event for event in events if isinstance(event, Predicted)]
    assert len(predicted.loads_rps) == 6
    error = tuned.search.prediction
    assert error is not None
    assert error.capacity_met_rps is not None
    assert error.capacity_missed_rps is not None
    assert 130 < error.capacity_met_rps < error.capacity_missed_rps < 260
    assert error.predicted_capacity_rps == pytest.approx(error.capacity_met_rps, rel=0.25)


def test_the_prediction_of_a_machine_that_follows_the_law_is_nearly_right(
    two_loads: Searched,
) -> None:
    error = two_loads.tuned.search.prediction
    assert error is not None
    assert error.p50 is not None
    assert error.profile_only is not None
    assert 1 <= error.p50 < 1.3  # of pairs that the search doubted most
    assert 1 <= error.profile_only < 1.7  # a p99 of some 150 requests
    assert 1 <= error.objective < 1.3


def test_safe_measures_only_what_is_predicted_to_keep_the_slo() -> None:
    bold, _ = run([20, 130, 190], SyntheticBench())
    careful, _ = run([20, 130, 190], SyntheticBench(), max_risk=0.05)
    assert careful.search.violations < bold.search.violations
    assert careful.search.violations <= 1
    assert careful.search.max_risk == 0.05
    measured = {trial.load_rps for trial in careful.trials}
    assert 20 in measured


def test_the_front_shows_what_more_cores_buy(two_loads: Searched) -> None:
    tuned = two_loads.tuned
    assert tuned.front
    assert tuned.front[-1].load_rps == 130
    assert tuned.front[-1].cores == 2
    assert tuned.front == sorted(tuned.front, key=lambda one: one.load_rps)
