from made import run_of

from autotune.config_file import Trial
from autotune.records import Failed
from autotune.spec import RUNTIME_DEFAULT, ServingConfig, Slo
from autotune.stages.front import pareto_front
from autotune.stats.summary import summarize

SLO = Slo(latency_ms=50.0, percentile=90.0)
ONE = ServingConfig(intra_op_threads=1, spinning=False)
TWO = ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
CORES = {ONE: 1, TWO: 2, RUNTIME_DEFAULT: 2}


def trial(config: ServingConfig, load_rps: float, latency_ms: float, cpu_ms: float) -> Trial:
    run = run_of([latency_ms / 1e3] * 100, used=(cpu_ms / 1e3 * 100, 1))
    return Trial(
        phase="search",
        load_rps=load_rps,
        config=config,
        predicted_ms=10.0,
        seconds=1.0,
        at_s=1.0,
        measured=summarize([run], SLO),
        failure=None,
    )


def front(*trials: Trial) -> list[tuple[ServingConfig, float]]:
    return [(one.config, one.load_rps) for one in pareto_front(trials, CORES.__getitem__)]


def test_each_stands_for_the_highest_load_at_which_it_met_the_slo() -> None:
    seen = [trial(ONE, 10, 20, 8), trial(ONE, 30, 40, 8), trial(ONE, 60, 90, 8)]
    assert front(*seen) == [(ONE, 30)]


def test_what_sustains_more_on_more_cores_stands_beside_what_needs_fewer() -> None:
    seen = [trial(ONE, 30, 20, 8), trial(TWO, 30, 10, 9), trial(TWO, 60, 40, 9)]
    assert front(*seen) == [(ONE, 30), (TWO, 60)]


def test_what_another_beats_in_everything_is_left_out() -> None:
    seen = [trial(TWO, 60, 40, 9), trial(RUNTIME_DEFAULT, 30, 10, 12)]
    assert front(*seen) == [(TWO, 60)]


def test_a_load_above_one_that_was_missed_does_not_count() -> None:
    seen = [trial(ONE, 10, 20, 8), trial(ONE, 30, 90, 8), trial(ONE, 60, 20, 8)]
    assert front(*seen) == [(ONE, 10)]


def test_a_load_met_in_one_measurement_and_missed_in_another_is_missed() -> None:
    seen = [trial(ONE, 10, 20, 8), trial(ONE, 30, 40, 8), trial(ONE, 30, 90, 8)]
    assert front(*seen) == [(ONE, 10)]


def test_nothing_within_the_slo_makes_no_front() -> None:
    failed = Trial(
        phase="search",
        load_rps=10,
        config=TWO,
        predicted_ms=1.0,
        seconds=1.0,
        at_s=1.0,
        measured=None,
        failure=Failed(kind="crash", detail=""),
    )
    assert front(trial(ONE, 10, 90, 8), failed) == []


def test_requests_and_cpu_time_are_pooled() -> None:
    (point,) = pareto_front([trial(ONE, 10, 20, 8), trial(ONE, 10, 20, 10)], CORES.__getitem__)
    assert point.requests == 200
    assert abs(point.cpu_s_per_request - 0.009) < 1e-9
