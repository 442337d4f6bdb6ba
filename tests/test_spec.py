import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.spec import (
    RUNTIME_DEFAULT,
    ExecutionMode,
    Family,
    ServingConfig,
    SessionShape,
    Slo,
    TrialSpec,
)

MODES: tuple[ExecutionMode, ...] = ("sequential", "parallel")
configs = st.builds(
    ServingConfig,
    replicas=st.integers(1, 64),
    intra_op_threads=st.integers(0, 64),
    inter_op_threads=st.integers(1, 8),
    execution_mode=st.sampled_from(MODES),
    spinning=st.booleans(),
    max_batch_size=st.integers(1, 32),
    batch_timeout_ms=st.floats(0, 100),
)


@given(configs)
def test_a_trial_survives_the_trip_through_json(config: ServingConfig) -> None:
    trial = TrialSpec(
        config=config,
        arrivals_s=[0.0, 0.25],
        grace_s=1.0,
    )
    assert msgspec.json.decode(msgspec.json.encode(trial), type=TrialSpec) == trial


@pytest.mark.parametrize(
    "text", ['{"replicas":1,"gpus":2}', '{"replicas":"two"}', '{"execution_mode":"both"}']
)
def test_unknown_fields_and_wrong_types_are_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=ServingConfig)


def test_records_are_frozen() -> None:
    with pytest.raises(AttributeError):
        RUNTIME_DEFAULT.replicas = 2  # type: ignore[misc]


@given(configs)
def test_batching_alone_needs_no_new_sessions(config: ServingConfig) -> None:
    other = msgspec.structs.replace(config, max_batch_size=7, batch_timeout_ms=3.0)
    assert other.session_shape == config.session_shape


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 3},
        {"intra_op_threads": 3},
        {"inter_op_threads": 3},
        {"execution_mode": "parallel"},
        {"spinning": False},
        {"replicas_as": "processes"},
        {"form": "exported"},
        {"provider": "openvino"},
        {"devices": 2},
        {"overlap": True},
        {"cuda_graphs": True},
    ],
)
def test_every_other_knob_needs_new_sessions(change: dict[str, object]) -> None:
    other = msgspec.structs.replace(RUNTIME_DEFAULT, **change)
    assert other.session_shape != RUNTIME_DEFAULT.session_shape


@pytest.mark.parametrize(
    ("intra", "inter", "mode", "threads"),
    [(4, 3, "sequential", 4), (4, 3, "parallel", 12), (0, 3, "parallel", 3), (0, 1, MODES[0], 1)],
)
def test_threads_per_replica_count_inter_op_only_in_parallel_mode(
    intra: int, inter: int, mode: ExecutionMode, threads: int
) -> None:
    shape = SessionShape(
        replicas=2,
        intra_op_threads=intra,
        inter_op_threads=inter,
        execution_mode=mode,
        spinning=False,
    )
    assert shape.threads_per_replica == threads


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (RUNTIME_DEFAULT, "runtime default"),
        (ServingConfig(replicas=4, intra_op_threads=1, spinning=False), "4 x 1 thread"),
        (ServingConfig(intra_op_threads=2), "1 x 2 threads, spin"),
        (
            ServingConfig(
                intra_op_threads=1, inter_op_threads=2, execution_mode="parallel", spinning=False
            ),
            "1 x 1 thread, parallel(2), no spin",
        ),
        (
            ServingConfig(replicas=2, intra_op_threads=1, replicas_as="processes", form="compiled"),
            "2 processes x 1 thread, compiled",
        ),
        (ServingConfig(provider="openvino", intra_op_threads=1), "1 x 1 thread, openvino"),
        (ServingConfig(provider="openvino"), "1 x default threads, openvino"),
        (ServingConfig(provider="cuda"), "default on cuda"),
        (
            ServingConfig(provider="cuda", replicas=4, devices=2, overlap=True, cuda_graphs=True),
            "4 x cuda on 2 GPUs, overlap, CUDA graphs",
        ),
        (
            ServingConfig(intra_op_threads=1, max_batch_size=8, batch_timeout_ms=2.5),
            "1 x 1 thread, batch 8, wait 2.5 ms",
        ),
    ],
)
def test_a_configuration_names_what_differs_from_plain(config: ServingConfig, words: str) -> None:
    assert config.describe() == words


@given(configs)
def test_nothing_is_simpler_than_the_default(config: ServingConfig) -> None:
    assert config == RUNTIME_DEFAULT or RUNTIME_DEFAULT.complexity < config.complexity


@pytest.mark.parametrize(
    ("simpler", "other"),
    [
        (
            ServingConfig(replicas=8, intra_op_threads=4),
            ServingConfig(intra_op_threads=1, max_batch_size=2),
        ),
        (
            ServingConfig(intra_op_threads=4, max_batch_size=32),
            ServingConfig(intra_op_threads=1, inter_op_threads=2, execution_mode="parallel"),
        ),
        (ServingConfig(intra_op_threads=2), ServingConfig(intra_op_threads=4)),
        (
            ServingConfig(intra_op_threads=2, spinning=False),
            ServingConfig(intra_op_threads=2),
        ),
    ],
)
def test_fewer_mechanisms_then_fewer_threads_are_simpler(
    simpler: ServingConfig, other: ServingConfig
) -> None:
    assert simpler.complexity < other.complexity


def test_an_objective_reads_as_a_person_writes_it() -> None:
    assert str(Slo(latency_ms=50)) == "p99 <= 50 ms"
    assert str(Slo(latency_ms=0.5, percentile=99.9)) == "p99.9 <= 0.5 ms"


@pytest.mark.parametrize(("percentile", "share"), [(50.0, 0.5), (95.0, 0.95), (99.0, 0.99)])
def test_the_quantile_of_an_objective_is_its_share(percentile: float, share: float) -> None:
    assert Slo(latency_ms=1, percentile=percentile).quantile == share


def test_quantile_of_three_nines_is_reached_by_999_of_1000() -> None:
    assert Slo(latency_ms=1, percentile=99.9).quantile <= 999 / 1000


def test_the_default_is_that_of_the_device() -> None:
    assert ServingConfig(provider="cuda").is_default
    assert ServingConfig(provider="cuda", replicas=3).default == ServingConfig(provider="cuda")
    assert ServingConfig(provider="tensorrt").default == ServingConfig(provider="cuda")
    for other in ("openvino", "tensorrt"):
        assert not ServingConfig(provider=other).is_default
    assert ServingConfig(provider="openvino").default == RUNTIME_DEFAULT


@pytest.mark.parametrize(
    ("family", "words"),
    [
        (Family(), "as given"),
        (Family(provider="openvino"), "openvino"),
        (Family(form="compiled", replicas_as="processes"), "compiled, in processes"),
        (Family(provider="cuda", overlap=True), "cuda, overlap"),
    ],
)
def test_a_family_names_what_differs(family: Family, words: str) -> None:
    assert family.describe() == words
