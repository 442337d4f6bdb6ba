"""Checks that the command line and Python share; their words in `cli/test_flags`, `test_api`."""

from pathlib import Path

import pytest

from autotune.errors import UsageError
from autotune.given import (
    check_confidence,
    check_config,
    check_day,
    check_trials,
    check_whole,
    make_allowed,
    make_model,
    make_objective,
    make_slo,
    make_traffics,
)
from autotune.spec import Allowed, ServingConfig


def test_an_objective_is_one_of_five() -> None:
    assert make_objective("cores") == "cores"
    assert make_objective("energy") == "energy"
    with pytest.raises(UsageError, match="--objective speed: is none of latency, capacity, cpu"):
        make_objective("speed")


def test_an_slo_is_below_an_hour_and_at_a_percentile() -> None:
    assert str(make_slo(50, 99.9, "slo_ms=50", "percentile=99.9")) == "p99.9 <= 50 ms"
    with pytest.raises(UsageError, match=r"^slo_ms=1e7 is more than an hour"):
        make_slo(1e7, 99, "slo_ms=1e7", "")
    for percentile in (0.0, 100.0, float("nan")):
        with pytest.raises(UsageError, match=r"^percentile=x must lie between"):
            make_slo(50, percentile, "", "percentile=x")


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        (ServingConfig(inter_op_threads=2), "^<inter-op-threads> 2 has no effect"),
        (ServingConfig(execution_mode="parallel"), "^<execution-mode> parallel needs"),
        (ServingConfig(batch_timeout_ms=2.5), "^<batch-timeout> 2.5ms has no effect"),
        (ServingConfig(devices=2), "^<devices> has no effect on a CPU: add <provider> cuda"),
        (ServingConfig(overlap=True), "^<overlap> has no effect on a CPU"),
        (ServingConfig(cuda_graphs=True), "^<cuda-graphs> has no effect on a CPU"),
        (
            ServingConfig(provider="cuda", replicas=2, devices=4),
            "^<devices> 4: each needs a replica: add <replicas> 4 or more",
        ),
    ],
)
def test_knobs_that_contradict_each_other_are_refused(
    config: ServingConfig, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        check_config(config, lambda knob: f"<{knob}>")


def test_numbers_out_of_range_are_refused_by_name() -> None:
    for refused in (
        lambda: check_whole(0, "it", 1),
        lambda: check_whole(5000, "it", 1),
        lambda: check_day(86_401, "it"),
        lambda: check_confidence(100, "it"),
        lambda: check_confidence(40, "it"),
    ):
        with pytest.raises(UsageError, match=r"^it "):
            refused()
    with pytest.raises(UsageError, match="--trials 0 must be at least 1"):
        check_trials(0)
    assert (check_whole(0, "it", 0), check_confidence(99, "it"), check_trials(None)) == (
        0,
        0.99,
        None,
    )


def test_what_may_be_tried_is_named_by_device_provider_and_form() -> None:
    def allowed(device: str, providers: list[str] | None = None, *forms: str) -> Allowed:
        return make_allowed(device, providers, forms, lambda option: f"--{option}")

    assert allowed("cpu") == Allowed()
    assert allowed("cuda") == Allowed(device="cuda")
    assert allowed("cuda:1, cuda:0") == Allowed(device="cuda", gpus=[1, 0])
    assert allowed("cpu", ["openvino"], "compiled") == Allowed(
        providers=["openvino"], forms=["compiled"]
    )
    for device, providers, forms, complaint in (
        ("gpu", None, [], "^--device gpu: write cpu, cuda, or different GPUs"),
        ("cuda:0,cuda:0", None, [], "^--device cuda:0,cuda:0: write"),
        ("cuda:-1", None, [], "^--device cuda:-1: write"),
        ("cudo", None, [], "did you mean 'cuda'"),
        ("cpu", ["openvin"], [], "^--providers openvin: .* did you mean 'openvino'"),
        ("cpu", None, ["compile"], "^--forms compile: is none of compiled, exported"),
    ):
        with pytest.raises(UsageError, match=complaint):
            allowed(device, providers, *forms)


@pytest.mark.parametrize("option", ["input", "requests"])
def test_a_name_that_no_tuned_file_could_hold_is_refused(tmp_path: Path, option: str) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"1")
    given: dict[str, Path | None] = {"input": None, "requests": None}
    given[option] = tmp_path / "a\udcff.npz"
    with pytest.raises(UsageError, match=rf"--{option} .*is not text in this locale's encoding"):
        make_model(str(model), {}, given["input"], given["requests"], 0)
    with pytest.raises(UsageError, match=r"--trace .*is not text"):
        make_traffics([], given[option], None)
