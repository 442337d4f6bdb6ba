from pathlib import Path

import pytest
from scripted import ScriptedBench

from autotune.outcome import ModelInfo
from autotune.spec import ModelSpec, ServingConfig, Slo
from autotune.stages.events import Event, Loading
from autotune.stages.loading import inspect_model, size_bytes
from autotune.trial.bench import Bench
from autotune.trial.wire import Opening

TWO = ServingConfig(replicas=2, intra_op_threads=1)


def test_external_data_counts_to_the_size_where_it_is_named_as_exporters_do(
    tmp_path: Path,
) -> None:
    model = tmp_path / "model.onnx"
    assert size_bytes(model) == 0
    model.write_bytes(b"1" * 10)
    (tmp_path / "model.onnx.data").write_bytes(b"1" * 200)
    (tmp_path / "other.data").write_bytes(b"1" * 5000)
    assert size_bytes(model) == 210


def test_the_model_is_named_with_its_size_before_it_is_loaded(info: ModelInfo) -> None:
    events: list[Event] = []

    class Late(ScriptedBench):
        def inspect(self, requests_folder: str | None = None) -> ModelInfo:
            assert len(events) == 1
            return super().inspect(requests_folder)

    slo = Slo(latency_ms=50)
    assert inspect_model("magika:", slo, Late(info), events.append) == info
    assert events == [Loading(name="magika:", slo=slo, bytes=0)]


def test_later_loading_is_told_to_the_same_observer(mlp: Path) -> None:
    events: list[Event] = []
    with Bench(ModelSpec(path=str(mlp))) as bench:
        inspect_model("mlp", Slo(latency_ms=50), bench, events.append)
        bench.idle_cpu_share(TWO.session_shape, 0.01)
    assert events[1:] == [Opening(opened=number, of=2) for number in range(3)]


@pytest.mark.parametrize(
    ("name", "slo_ms", "limits_s"),
    [
        ("model.onnx", 50, [60 + 2 + 5]),
        ("model.onnx", 60_000, [60 + 2 + 6000]),
        ("model.pt2", 50, []),  # what is compiled may take its time
    ],
)
def test_a_model_that_hangs_is_not_waited_for_as_if_it_were_slow(
    info: ModelInfo, tmp_path: Path, name: str, slo_ms: float, limits_s: list[float]
) -> None:
    found: list[float] = []

    class Limited(ScriptedBench):
        def limit_loading(self, seconds: float) -> None:
            found.append(seconds)

    bench = Limited(info)
    bench.model = ModelSpec(path=str(tmp_path / name))
    with (tmp_path / name).open("wb") as file:
        file.truncate(20_000_000)
    inspect_model(name, Slo(latency_ms=slo_ms), bench, lambda event: None)
    assert found == limits_s
