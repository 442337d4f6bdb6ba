import threading
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

import autotune
from autotune import config_file, embed, model_file
from autotune.engine.follow import Following, Level, Rule
from autotune.models import live_replicas
from autotune.probes.machine import this_machine
from autotune.spec import ServingConfig

GOLDEN = Path(__file__).parent / "golden" / "v9.autotune.json"

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


QUICK = Rule(tick_s=0.01, window_s=0.05, lower_after_s=0.3)


def following_file(low: ServingConfig, high: ServingConfig) -> config_file.TunedFile:
    """Up to 20 requests/s `low`, then `high`; `high` stands twice, as for two loads."""
    file = config_file.read(GOLDEN)
    entry = file.policy[0]
    policy = [
        replace(entry, load_rps=20.0, config=low),
        replace(entry, load_rps=50.0, config=high),
        replace(entry, load_rps=90.0, config=high),
    ]
    model = replace(file.model, request_shapes={"x": [1, 256]})
    return replace(file, policy=policy, recommended=low, model=model)


def test_an_engine_follows_the_load_up_and_down(mlp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    low = ServingConfig(intra_op_threads=1, spinning=False)
    high = replace(low, replicas=2, max_batch_size=4, batch_timeout_ms=1.0)
    monkeypatch.setattr(live_replicas, "Following", partial(Following, rule=QUICK))
    tuned = autotune.Tuned(following_file(low, high), stale="ignore")
    assert embed.levels_of(tuned.file.policy) == [Level(20.0, low), Level(90.0, high)]
    x = {"x": np.zeros((1, 256), np.float32)}
    with tuned.open(mlp, follow=True) as engine:
        for _ in range(10_000):
            assert engine.submit(x).result(timeout=60)["y"].shape == (1, 256)
            if engine.switches():
                break
        for _ in range(6000):
            if len(engine.switches()) == 2:
                break
            threading.Event().wait(0.01)
        up, down = engine.switches()
        assert engine.submit(x).result(timeout=60)["y"].shape == (1, 256)
    assert (up.before, up.after, up.reason) == (low, high, "load rose")
    assert (down.before, down.after, down.reason) == (high, low, "load fell")
    assert up.prepare_s > 0 == down.prepare_s


def test_an_engine_that_follows_begins_as_it_is_told(mlp: Path) -> None:
    low = ServingConfig(intra_op_threads=1, spinning=False)
    high = replace(low, replicas=2)
    tuned = autotune.Tuned(following_file(low, high), stale="ignore")
    for load_rps, replicas in ((None, 1), (20.0, 1), (21.0, 2), (1e6, 2)):
        with tuned.open(mlp, load_rps, follow=True) as engine:
            names = [one.name for one in threading.enumerate()]
            assert sum(name.startswith("replica-") for name in names) == replicas
            assert engine.switches() == []
    with tuned.open(mlp) as engine:
        assert "follow-load" not in [one.name for one in threading.enumerate()]
        assert engine.switches() == []


def test_an_engine_that_follows_demands_what_any_of_its_configurations_needs(
    mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    low = ServingConfig(intra_op_threads=1, spinning=False)
    high = replace(low, intra_op_threads=2)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    file = replace(following_file(low, high), runtime="torch 2.0.0")
    with pytest.raises(autotune.UsageError, match="OMP_WAIT_POLICY=PASSIVE"):
        autotune.Tuned(file, stale="ignore").open(mlp, follow=True)


def test_an_engine_that_follows_warms_up_with_the_requests_of_the_file(mlp: Path) -> None:
    low = ServingConfig(intra_op_threads=1, spinning=False)
    file = following_file(low, replace(low, replicas=2))
    other = replace(file, model=replace(file.model, request_shapes={"bytes": [1, 2048]}))
    with pytest.raises(autotune.UsageError, match=r"shapes.*bytes.*the model has no input 'bytes'"):
        autotune.Tuned(other, stale="ignore").open(mlp, follow=True)


def test_public_names_are_those_listed() -> None:
    assert sorted(autotune.__all__) == autotune.__all__ == dir(autotune)
    for name in autotune.__all__:
        assert getattr(autotune, name) is not None
    with pytest.raises(AttributeError):
        autotune.nothing  # noqa: B018 - looking it up is the test
