from pathlib import Path

import pytest

from autotune.arrivals import Traffic
from autotune.cli.flags import (
    parse_allowed,
    parse_config,
    parse_model,
    parse_other,
    parse_slo,
    parse_traffics,
    verbosity_of,
)
from autotune.errors import ModelError, UsageError
from autotune.given import Loading
from autotune.patterns import Bursty, Poisson, Trace


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text("0\n1\n4\n")
    return path


def loads_rps(traffics: list[Traffic] | None) -> list[float]:
    assert traffics is not None
    return [traffic.load_rps for traffic in traffics]


def test_every_load_gets_the_arrivals_asked_for() -> None:
    traffics, pattern = parse_traffics(None, "80,20", None, "bursty:4")
    assert loads_rps(traffics) == [20, 80]
    assert traffics is not None
    assert {traffic.pattern for traffic in traffics} == {pattern} == {Bursty(factor=4)}


def test_arrivals_alone_leave_the_loads_to_the_profile() -> None:
    assert parse_traffics(None, None, None, "bursty:4") == (None, Bursty(factor=4))
    assert parse_traffics(None, None, None, None) == (None, Poisson())


def test_a_trace_is_replayed_as_it_is_or_scaled_to_each_load(trace: Path) -> None:
    as_is, pattern = parse_traffics(None, None, trace, None)
    assert loads_rps(as_is) == [0.5]
    assert pattern.describe() == "trace"
    scaled, pattern = parse_traffics(None, "1,2", trace, None)
    assert loads_rps(scaled) == [1, 2]
    assert pattern.describe() == "trace scaled to the load"
    assert scaled is not None
    assert isinstance(scaled[1].pattern, Trace)
    assert scaled[1].pattern.times_s.tolist() == [0, 0.25, 1]


@pytest.mark.parametrize("load", ["", "0", "x", "1,2"])
def test_an_empty_or_bad_load_is_refused_not_ignored(load: str) -> None:
    with pytest.raises(UsageError, match="--load "):
        parse_traffics(load, None, None, None)


def test_the_objective_is_in_milliseconds() -> None:
    slo = parse_slo("0.05s", "p95")
    assert (slo.latency_ms, slo.percentile) == (50, 95)


def test_a_model_carries_what_its_requests_look_like(mlp: Path, tmp_path: Path) -> None:
    mix = tmp_path / "mix.csv"
    mix.write_text("weight,shape\n3,x=1x256\n1,x=2x256\n")
    spec = parse_model(str(mlp), None, None, mix, 5)
    assert [kind.weight for kind in spec.kinds] == [0.75, 0.25]
    assert spec.seed == 5
    (only,) = parse_model(str(mlp), ["x=2x256"], None, None, 0).kinds
    assert (only.weight, only.shapes) == (1, {"x": [2, 256]})
    with pytest.raises(UsageError, match="--requests and --input both"):
        parse_model(str(mlp), None, mix, mix, 0)
    with pytest.raises(ModelError, match="no such file"):
        parse_model("none.onnx", None, None, None, 0)


def test_a_torch_model_carries_how_it_is_loaded(mlp: Path) -> None:
    loading = Loading(trust_pickle=True, channels_last=False)
    spec = parse_model(str(mlp), ["ids=1x8:int64"], None, None, 0, loading)
    assert (spec.shapes, spec.dtypes) == ({"ids": [1, 8]}, {"ids": "int64"})
    assert (spec.trust_pickle, spec.channels_last) == (True, False)


def test_what_may_be_tried_is_listed_with_commas() -> None:
    found = parse_allowed("cpu", "openvino, xnnpack", "compiled,exported")
    assert found.providers == ["openvino", "xnnpack"]
    assert found.forms == ["compiled", "exported"]
    assert parse_allowed("cpu", "", None).providers == []


def test_the_default_to_compare_with_is_that_of_the_device() -> None:
    on_gpu = parse_config({"provider": "cuda", "replicas": "2"})
    assert parse_other("default", on_gpu) == on_gpu.default
    with pytest.raises(UsageError, match="--compare form 'compile' is none of as_given, compiled"):
        parse_other("form=compile", on_gpu)


def test_how_much_to_say_is_one_number() -> None:
    assert [verbosity_of(*one) for one in ((False, True), (False, False), (True, False))] == [
        -1,
        0,
        1,
    ]
    with pytest.raises(UsageError, match="contradict each other"):
        verbosity_of(True, True)
