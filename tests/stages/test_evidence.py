from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import run_of
from synthetic import CORES, SyntheticBench, run

from autotune.arrivals import Traffic
from autotune.config_file import TunedFile
from autotune.patterns import Bursty, Gaps, Poisson, Trace, parse_arrivals
from autotune.probes.cores import Cores
from autotune.spec import (
    RUNTIME_DEFAULT,
    ModelSpec,
    RequestKind,
    ServingConfig,
    Slo,
)
from autotune.stages import confirm as confirm_module
from autotune.stages import evidence
from autotune.stages import survey as survey_module
from autotune.stages.evidence import distribution, repeat_arguments
from autotune.stages.question import Question


@pytest.fixture(autouse=True, scope="module")
def two_cores() -> Iterator[None]:
    two = Cores(affinity=CORES, quota=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(survey_module, "usable_cores", lambda: two)
        yield


@pytest.fixture(scope="module")
def tuned(two_cores: None) -> TunedFile:
    return run([20, 130], SyntheticBench(), slo_ms=65)[0]


@given(st.lists(st.floats(1e-4, 10.0), min_size=1, max_size=300), st.integers(0, 50))
def test_a_distribution_rises_and_ends_where_requests_were_lost(
    latency_s: list[float], lost: int
) -> None:
    shares, latency_ms = distribution([run_of(np.array(latency_s), lost)])
    assert shares == sorted(shares)
    assert latency_ms == sorted(latency_ms)
    offered = len(latency_s) + lost
    assert shares[-1] == pytest.approx(len(latency_s) / offered, rel=1e-3)
    assert latency_ms[-1] == pytest.approx(1e3 * max(latency_s), rel=1e-3)
    for share, ms in zip(shares, latency_ms, strict=True):
        within = sum(1e3 * one <= ms * 1.001 for one in latency_s)
        assert within >= share * offered * 0.999 - 1e-9


def test_a_run_that_served_nothing_has_none() -> None:
    assert distribution([run_of(np.array([]), 3)]) == ([], [])


def asked(pattern: object, model: ModelSpec) -> list[str] | None:
    traffic = Traffic(load_rps=10.0, pattern=pattern)  # type: ignore[arg-type]
    question = Question(
        model=model,
        name="model.onnx",
        slo=Slo(latency_ms=50.0),
        traffics=[traffic],
        budget_s=None,
        max_trials=None,
        seed=3,
        output=None,
    )
    return repeat_arguments(question)


@pytest.mark.parametrize("pattern", [Poisson(), Bursty(factor=2.5), Gaps(gap_s=0.25)])
def test_arrivals_are_named_as_the_command_line_reads_them(pattern: object) -> None:
    arguments = asked(pattern, ModelSpec(path="x", shapes={"a": [1, 2], "b=c": [3]}))
    assert arguments is not None
    option = arguments[arguments.index("--arrivals") + 1]
    assert parse_arrivals(option, "--arrivals") == pattern
    assert arguments[-6:] == ["--shape", "a=1x2", "--shape", "b=c=3", "--seed", "3"]


def test_what_no_command_line_can_name_is_not_pretended() -> None:
    trace = Trace(times_s=np.array([0.0, 1.0]))
    assert asked(trace, ModelSpec(path="x")) is None
    kinds = [RequestKind(weight=1.0, shapes={"a": [1]})]
    assert asked(Poisson(), ModelSpec(path="x", requests=kinds)) is None
    named = asked(
        Trace(times_s=np.array([0.0, 1.0]), file="t.csv"),
        ModelSpec(path="x", requests=kinds, requests_file="mix.csv"),
    )
    assert named is not None
    assert named[5:9] == ["--trace", "t.csv", "--requests", "mix.csv"]


def test_the_file_holds_what_a_report_draws(tuned: TunedFile) -> None:
    for entry in tuned.policy:
        beside = [one for one in tuned.finalists if one.load_rps == entry.load_rps]
        assert beside[0].config == RUNTIME_DEFAULT
        assert entry.config in [one.config for one in beside]
        assert all(one.latency_ms == sorted(one.latency_ms) for one in beside)
    assert [curve.config for curve in tuned.curves] == [tuned.recommended, RUNTIME_DEFAULT]
    for curve in tuned.curves:
        assert curve.loads_rps == sorted(curve.loads_rps)
        assert curve.loads_rps[-1] > tuned.policy[-1].load_rps
        assert all(low <= high for low, high in zip(curve.p50_ms, curve.objective_ms, strict=True))
    ends_s = [trial.at_s for trial in tuned.trials]
    assert ends_s == sorted(ends_s, key=lambda at_s: at_s or 0.0)
    assert tuned.repeat == [
        *("synthetic", "--slo", "65ms", "--percentile", "99"),
        *("--arrivals", "poisson", "--seed", "0"),
    ]


def test_every_measured_point_lies_in_a_region_of_its_own(tuned: TunedFile) -> None:
    lattice = tuned.lattice
    assert lattice is not None
    assert lattice.points_left_out == 0
    names = ServingConfig.__struct_fields__
    columns = zip(*(getattr(lattice, name) for name in names), strict=True)
    points = [ServingConfig(**dict(zip(names, values, strict=True))) for values in columns]
    assert len(points) == tuned.search.points
    for load, entry in enumerate(tuned.policy):
        for trial in tuned.trials:
            if trial.phase == "search" and trial.load_rps == entry.load_rps:
                point = points.index(trial.config)
                assert lattice.region_of[load][point] == point


def test_of_a_large_lattice_what_was_measured_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MOST_POINTS", 5)
    tuned, _ = run([20, 130], SyntheticBench(), slo_ms=65)
    assert tuned.lattice is not None
    kept = len(tuned.lattice.replicas)
    assert kept >= 5
    assert kept + tuned.lattice.points_left_out == tuned.search.points
    measured = {trial.config.replicas for trial in tuned.trials}
    assert measured <= set(tuned.lattice.replicas)


def test_a_default_that_misses_the_slo_gives_way_to_what_met_it_though_unproven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(confirm_module, "ROUNDS", 2)
    tuned, _ = run([130], SyntheticBench(), slo_ms=40)
    (entry,) = tuned.policy
    default, *others = tuned.finalists
    assert not default.measured.meets_slo
    assert entry.config in [one.config for one in others if one.measured.meets_slo]
    assert entry.gain is not None
    assert not entry.gain.proven
    assert "in too few requests to prove it" in tuned.summary
