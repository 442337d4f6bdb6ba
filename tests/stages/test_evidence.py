import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import run_of

from autotune.arrivals import Traffic
from autotune.patterns import Bursty, Gaps, Poisson, Trace, parse_arrivals
from autotune.spec import ModelSpec, RequestKind, Slo
from autotune.stages.evidence import distribution, repeat_arguments
from autotune.stages.question import Question


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
