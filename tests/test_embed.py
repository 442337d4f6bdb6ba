import warnings
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

import autotune
from autotune import config_file, model_file
from autotune.probes.machine import this_machine
from autotune.spec import ServingConfig

GOLDEN = Path(__file__).parent / "golden" / "v8.autotune.json"

# The golden file was made on another machine for another model, and says so.
pytestmark = pytest.mark.filterwarnings("ignore::autotune.embed.StaleWarning")


def test_the_configuration_follows_the_load() -> None:
    tuned = autotune.load(GOLDEN)
    loads = [entry.load_rps for entry in tuned.file.policy]
    assert tuned.config(loads[0]) == tuned.file.policy[0].config
    assert tuned.config(loads[0] + 1e-6) == tuned.file.policy[1].config
    assert tuned.config() == tuned.file.recommended


def test_a_load_above_the_highest_is_warned_about() -> None:
    tuned = autotune.load(GOLDEN)
    with pytest.warns(autotune.StaleWarning, match="above the highest load"):
        assert tuned.config(1e6) == tuned.file.policy[-1].config


def test_another_machine_is_warned_about() -> None:
    with pytest.warns(autotune.StaleWarning, match="tuned with CPU .*: search again"):
        autotune.load(GOLDEN)


def test_staleness_is_an_error_or_nothing_as_the_caller_wishes(mlp: Path) -> None:
    with pytest.raises(autotune.StaleError, match="not the model that was tuned"):
        autotune.load(GOLDEN, model=mlp, stale="error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tuned = autotune.load(GOLDEN, model=mlp, stale="ignore")
        assert tuned.config(1e6) == tuned.file.policy[-1].config
        tuned.open(mlp).close()


def test_a_file_made_here_for_this_model_is_not_stale(mlp: Path, tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    path = tmp_path / "here.autotune.json"
    file = config_file.read(GOLDEN)
    here = {
        "machine": this_machine(),
        "runtime": f"onnxruntime {ort.__version__}",
        "model": replace(file.model, sha256=model_file.sha256(mlp)),
    }
    config_file.write(path, replace(file, **here))
    autotune.load(path, model=mlp, stale="error").open(mlp).close()
    config_file.write(path, replace(file, **here | {"runtime": "onnxruntime 1.2.3"}))
    with pytest.raises(autotune.StaleError, match=r"tuned with onnxruntime 1\.2\.3, here it is"):
        autotune.load(path, stale="error")


def test_arguments_for_servers_are_those_of_the_configuration() -> None:
    tuned = autotune.load(GOLDEN)
    batching = ServingConfig(replicas=3, max_batch_size=4, batch_timeout_ms=5.0)
    tuned = autotune.Tuned(replace(tuned.file, recommended=batching))
    assert tuned.lit_api_kwargs() == {"max_batch_size": 4, "batch_timeout": 0.005}
    assert tuned.lit_server_kwargs() == {"accelerator": "cpu", "workers_per_device": 3}
    assert tuned.ray_deployment_kwargs() == {"num_replicas": 3}
    assert tuned.ray_batch_kwargs() == {"max_batch_size": 4, "batch_wait_timeout_s": 0.005}


def test_session_options_are_those_of_the_configuration() -> None:
    tuned = autotune.load(GOLDEN)
    top = tuned.file.policy[-1]
    options = tuned.session_options(top.load_rps)
    assert options.intra_op_num_threads == top.config.intra_op_threads


def test_another_model_is_warned_about_and_served(mlp: Path) -> None:
    tuned = autotune.load(GOLDEN)
    with pytest.warns(autotune.StaleWarning, match="not the model that was tuned"):
        engine = tuned.open(mlp)
    engine.close()


def test_the_engine_answers_each_request_as_a_plain_session_does(mlp: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    file = config_file.read(GOLDEN)
    batching = ServingConfig(
        replicas=2, intra_op_threads=1, spinning=False, max_batch_size=4, batch_timeout_ms=5.0
    )
    path = tmp_path / "batching.autotune.json"
    fields = {name: getattr(file, name) for name in file.__struct_fields__}
    config_file.write(path, config_file.TunedFile(**fields | {"recommended": batching}))
    plain = onnxruntime.InferenceSession(str(mlp), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    requests = [rng.random((1 + i % 2, 256), dtype=np.float32) for i in range(20)]
    with autotune.load(path).open(mlp) as engine:
        futures = [engine.submit({"x": request}) for request in requests]
        for request, future in zip(requests, futures, strict=True):
            (expected,) = plain.run(None, {"x": request})
            np.testing.assert_allclose(future.result()["y"], expected, rtol=1e-4, atol=1e-5)


def test_the_engine_takes_the_model_s_inputs_and_as_many_requests_as_allowed(mlp: Path) -> None:
    tuned = autotune.load(GOLDEN, stale="ignore")
    with pytest.raises(autotune.UsageError, match="max_queued=0: must be at least 1"):
        tuned.open(mlp, max_queued=0)
    with tuned.open(mlp, max_queued=1) as engine:
        with pytest.raises(autotune.UsageError, match="input 'z': the model has none"):
            engine.submit({"x": np.zeros((1, 256), np.float32), "z": np.zeros(1)})
        answer = engine.submit({"x": np.zeros((1, 256), np.float32)}, timeout_s=30.0)
        assert answer.result()["y"].shape == (1, 256)
        assert engine.counters().answered == 1


def test_public_names_are_those_listed() -> None:
    assert sorted(autotune.__all__) == autotune.__all__ == dir(autotune)
    for name in autotune.__all__:
        assert getattr(autotune, name) is not None
    with pytest.raises(AttributeError):
        autotune.nothing  # noqa: B018 - looking it up is the test
