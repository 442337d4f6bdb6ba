"""Golden files for every server; each format is read by a parser that is not ours."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from autotune import config_file
from autotune.errors import UsageError
from autotune.exports.deployment import Deployment, not_carried, safe_name
from autotune.exports.exporters import EXPORTERS, export
from autotune.exports.tuned import deployment_of, entry_to_deploy
from autotune.records import InputInfo
from autotune.spec import ServingConfig, Slo

GOLDEN = Path(__file__).parents[1] / "golden" / "export"
HANDLERS = Path(__file__).parents[2] / "autotune" / "exports" / "handlers"

BATCHING = ServingConfig(
    replicas=2,
    intra_op_threads=3,
    inter_op_threads=2,
    execution_mode="parallel",
    spinning=False,
    max_batch_size=8,
    batch_timeout_ms=2.5,
)
DEPLOYMENT = Deployment(
    name="a-model",
    model_path="model.onnx",
    model_sha256="0123456789abcdef" * 4,
    config=BATCHING,
    load_rps=120.0,
    slo=Slo(latency_ms=50.0),
    cores=8,
    memory_mib=300.5,
    rows_per_request=1,
    batchable=True,
    made_by="autotune, model sha256 0123456789ab",
    runtime="onnxruntime 1.32.0",
    function=None,
    channels_last=True,
    inputs=[InputInfo(name="x", dtype="tensor(float)", shape=["batch", 3, 8, 8])],
    request_shapes={"x": [1, 3, 8, 8]},
)
SINGLE = msgspec.structs.replace(
    DEPLOYMENT, config=ServingConfig(replicas=2, intra_op_threads=1, spinning=False)
)

ON_GPU = msgspec.structs.replace(
    DEPLOYMENT,
    config=ServingConfig(replicas=3, provider="cuda", devices=2, overlap=True, cuda_graphs=True),
)
TORCH = msgspec.structs.replace(
    DEPLOYMENT,
    model_path="model.pt2",
    runtime="torch 2.13.0",
    config=ServingConfig(replicas=2, intra_op_threads=1, form="exported", max_batch_size=4),
)
RUN_TORCH = [name for name, one in EXPORTERS.items() if one.torch]

NASTY = [
    'quote" } parameters { key: "x',
    "line\nbreak: true\n- item",
    "../../etc/passwd",
    "$(touch pwned) `id` ; rm -rf .",
    "'; import os #",
    "-o --flag",
    "\x00\x1b[31m\u202e名",
    "",
    "9lives",
]


def pbtxt(text: str) -> Any:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def own(name: str, deployment: Deployment) -> dict[str, str]:
    """The files that are written, not copied."""
    copied = {path.read_text() for path in HANDLERS.glob("*.py")}
    files = export(name, deployment).files
    return {path: text for path, text in files.items() if text not in copied}


@pytest.mark.parametrize("name", EXPORTERS)
def test_the_golden_files_are_what_is_written(name: str) -> None:
    folder = GOLDEN / name
    expected = {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert own(name, DEPLOYMENT) == expected


@pytest.mark.parametrize("name", EXPORTERS)
def test_every_knob_is_carried_or_said_not_to_be(name: str) -> None:
    one = EXPORTERS[name]
    assert set(one.carried) == set(ServingConfig.__struct_fields__)
    lost = {knob for knob, carried in one.carried.items() if carried.how in ("no", "almost")}
    apart = msgspec.structs.replace(BATCHING, replicas_as="processes", provider="openvino")
    several = [
        DEPLOYMENT,
        ON_GPU,
        msgspec.structs.replace(DEPLOYMENT, config=apart),
        msgspec.structs.replace(TORCH, runtime="onnxruntime"),
        TORCH,
    ]
    # `export` refuses some of them; what would be lost is asked of those all the same.
    said = {line.split()[0] for deployment in several for line in not_carried(one, deployment)}
    assert said == lost


def test_what_makes_no_difference_is_not_said_to_be_lost() -> None:
    plain = ServingConfig(replicas=1, intra_op_threads=1)
    deployment = msgspec.structs.replace(DEPLOYMENT, config=plain)
    for name in ("onnxruntime", "triton", "bentoml", "mlserver", "torchserve", "openvino"):
        assert export(name, deployment).not_carried == []


def test_replicas_that_share_nothing_may_be_processes_without_a_word() -> None:
    single = {
        name: [line.split()[0] for line in export(name, SINGLE).not_carried] for name in EXPORTERS
    }
    assert single["litserve"] == single["torchserve"] == []
    for deployment, server in ((TORCH, "litserve"), (ON_GPU, "bentoml")):
        assert "replicas_as threads: each is a process, with a model and a runtime of its own" in (
            export(server, deployment).not_carried
        )
        processes = msgspec.structs.replace(deployment.config, replicas_as="processes")
        apart = msgspec.structs.replace(deployment, config=processes)
        assert not [one for one in export(server, apart).not_carried if "replicas_as" in one]


@pytest.mark.parametrize("name", EXPORTERS)
def test_what_cannot_run_torch_says_who_can(name: str) -> None:
    if name in RUN_TORCH:
        assert "import torch" in next(
            text for path, text in export(name, TORCH).files.items() if "tuned_model.py" in path
        )
        return
    with pytest.raises(UsageError, match=r"cannot run a torch model: export .*litserve"):
        export(name, TORCH)


def test_what_cannot_have_a_provider_says_who_can() -> None:
    config = ServingConfig(provider="openvino", intra_op_threads=2)
    deployment = msgspec.structs.replace(DEPLOYMENT, config=config)
    for name in ("triton", "kserve", "tfserving"):
        with pytest.raises(UsageError, match=r"cannot run the model with openvino, .*litserve"):
            export(name, deployment)
    assert export("openvino", deployment).not_carried == []
    exported = export("mlserver", deployment)
    assert any("onnxruntime-openvino" in step for step in exported.next_steps)
    assert json.loads(exported.files["knobs.json"])["provider"] == "openvino"


def test_a_torch_model_brings_what_its_handler_must_know() -> None:
    exported = export("litserve", TORCH)
    knobs = json.loads(exported.files["knobs.json"])
    assert (knobs["function"], knobs["channels_last"], knobs["form"]) == (None, True, "exported")
    assert knobs["inputs"] == [
        {
            "name": "x",
            "dtype": "tensor(float)",
            "shape": ["batch", 3, 8, 8],
            "request": [1, 3, 8, 8],
        }
    ]
    assert any(step.startswith("python tuned_model.py") for step in exported.next_steps)
    archiver = next(
        one
        for one in export("torchserve", TORCH).next_steps
        if one.startswith("torch-model-archiver")
    )
    assert "tuned_model.py,v2_batches.py,knobs.json,compiled.pt2,model.pt2" in archiver
    function = msgspec.structs.replace(TORCH, model_path="", function="shop.models:ranker")
    steps = export("litserve", function).next_steps
    assert steps[0] == "see that python finds shop.models where the server runs, or in this folder"


def test_triton_spreads_instances_over_gpus() -> None:
    config = pbtxt(export("triton", ON_GPU).files["a-model/config.pbtxt"])
    assert [(one.count, one.kind, list(one.gpus)) for one in config.instance_group] == [
        (2, 1, [0]),
        (1, 1, [1]),
    ]
    fast = msgspec.structs.replace(ON_GPU, config=ServingConfig(provider="tensorrt"))
    accelerated = pbtxt(export("triton", fast).files["a-model/config.pbtxt"])
    (one,) = accelerated.optimization.execution_accelerators.gpu_execution_accelerator
    assert one.name == "tensorrt"
    service = yaml.safe_load(export("kserve", ON_GPU).files["inference_service.yaml"])
    assert service["spec"]["predictor"]["model"]["resources"]["limits"]["nvidia.com/gpu"] == "2"


def test_triton_reads_the_configuration_as_meant() -> None:
    config = pbtxt(export("triton", DEPLOYMENT).files["a-model/config.pbtxt"])
    assert config.max_batch_size == 8
    assert (config.instance_group[0].count, config.instance_group[0].kind) == (2, 2)  # KIND_CPU
    assert config.dynamic_batching.max_queue_delay_microseconds == 2500
    parameters = {key: one.string_value for key, one in config.parameters.items()}
    assert parameters == {
        "intra_op_thread_count": "3",
        "inter_op_thread_count": "2",
        "execution_mode": "1",
    }


def test_triton_counts_rows_and_never_batches_unasked() -> None:
    three_rows = msgspec.structs.replace(DEPLOYMENT, rows_per_request=3)
    assert pbtxt(export("triton", three_rows).files["a-model/config.pbtxt"]).max_batch_size == 24
    single = pbtxt(export("triton", SINGLE).files["a-model/config.pbtxt"])
    # With 0 the backend would complete it with dynamic batching of its own.
    assert single.max_batch_size == 1
    assert not single.HasField("dynamic_batching")
    fixed = msgspec.structs.replace(SINGLE, batchable=False)
    assert pbtxt(export("triton", fixed).files["a-model/config.pbtxt"]).max_batch_size == 0


def test_tf_serving_reads_wrapped_numbers() -> None:
    text = export("tfserving", DEPLOYMENT).files["batching_parameters.txt"]
    found = dict(line.split(" ", 1) for line in text.splitlines())
    assert found == {
        "max_batch_size": "{ value: 8 }",
        "batch_timeout_micros": "{ value: 2500 }",
        "num_batch_threads": "{ value: 2 }",
    }
    assert "batching_parameters.txt" not in export("tfserving", SINGLE).files


def test_kubernetes_gets_the_cpu_that_the_threads_need_and_no_more_than_there_was() -> None:
    service = yaml.safe_load(export("kserve", SINGLE).files["inference_service.yaml"])
    resources = service["spec"]["predictor"]["model"]["resources"]
    assert resources["requests"] == resources["limits"] == {"cpu": "2", "memory": "813Mi"}
    many = yaml.safe_load(export("kserve", DEPLOYMENT).files["inference_service.yaml"])
    assert many["spec"]["predictor"]["model"]["resources"]["limits"]["cpu"] == "8"
    default = msgspec.structs.replace(DEPLOYMENT, config=ServingConfig())
    chosen = yaml.safe_load(export("kserve", default).files["inference_service.yaml"])
    assert chosen["spec"]["predictor"]["model"]["resources"]["limits"]["cpu"] == "8"


def test_ray_gets_the_knobs_as_its_user_config() -> None:
    files = export("rayserve", DEPLOYMENT).files
    application = yaml.safe_load(files["serve_config.yaml"])["applications"][0]
    deployment = application["deployments"][0]
    assert deployment["num_replicas"] == 2
    assert deployment["user_config"] == json.loads(files["knobs.json"])


def test_openvino_shares_its_threads_among_streams() -> None:
    properties = json.loads(export("openvino", DEPLOYMENT).files["openvino_config.json"])["CPU"]
    assert (properties["NUM_STREAMS"], properties["INFERENCE_NUM_THREADS"]) == ("2", "6")


def test_the_snippet_gives_the_options_and_the_environment_overrides_them(tmp_path: Path) -> None:
    files = export("onnxruntime", DEPLOYMENT).files
    (tmp_path / "session_options.py").write_text(files["session_options.py"])
    script = (
        "from session_options import options as o\n"
        "key = 'session.intra_op.allow_spinning'\n"
        "print(o.intra_op_num_threads, o.inter_op_num_threads, o.execution_mode.name,"
        " o.get_session_config_entry(key))"
    )
    environment = dict(line.split("=", 1) for line in files["session.env"].splitlines())
    changed = environment | {"AUTOTUNE_INTRA_OP_THREADS": "5", "AUTOTUNE_SPINNING": "1"}
    for given_, expected in (
        ({}, "3 2 ORT_PARALLEL 0"),
        (environment, "3 2 ORT_PARALLEL 0"),
        (changed, "5 2 ORT_PARALLEL 1"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, env=given_, capture_output=True, text=True
        )
        assert done.stdout.strip() == expected, done.stderr


@given(st.text(max_size=80) | st.sampled_from(NASTY))
def test_any_name_becomes_one_that_no_format_can_misread(text: str) -> None:
    name = safe_name(text)
    assert 1 <= len(name) <= 63
    assert name[0].isalpha()
    assert name[-1] != "-"
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert safe_name(name) == name


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("name", EXPORTERS)
def test_names_and_paths_meant_to_break_out_stay_data(name: str, text: str) -> None:
    nasty = msgspec.structs.replace(DEPLOYMENT, name=safe_name(text), model_path=f"/m/{text}.onnx")
    files = export(name, nasty).files
    for path, content in files.items():
        assert ".." not in path
        assert not path.startswith("/")
        if path.endswith(".pbtxt"):
            assert pbtxt(content).name == nasty.name
        if path.endswith(".yaml"):
            yaml.safe_load(content)
        if path.endswith(".json"):
            json.loads(content)
        if path.endswith(".py"):
            compile(content, path, "exec")
    if "knobs.json" in files:
        assert json.loads(files["knobs.json"])["model"] == nasty.model_path


def test_a_file_becomes_a_deployment_of_its_recommended_configuration() -> None:
    tuned = config_file.read(GOLDEN.with_name("v9.autotune.json"))
    entry = entry_to_deploy(tuned)
    deployment = deployment_of(tuned, entry, None)
    assert deployment.config == tuned.recommended
    assert entry.meets_slo
    assert deployment.name == "magika"
    assert deployment.model_path == "model.onnx"
    assert deployment_of(tuned, entry, Path("/models/a.onnx")).model_path == "/models/a.onnx"


def test_a_torch_file_becomes_a_deployment_of_torch() -> None:
    tuned = config_file.read(GOLDEN.with_name("v9.autotune.json"))
    entry = entry_to_deploy(tuned)
    torch = msgspec.structs.replace(tuned, runtime="torch 2.13.0")
    deployment = deployment_of(torch, entry, None)
    assert (deployment.is_torch, deployment.model_path) == (True, "model.pt2")
    model = msgspec.structs.replace(tuned.model, name="shop.models:ranker", function="shop:ranker")
    function = deployment_of(msgspec.structs.replace(torch, model=model), entry, Path("/a/shop.py"))
    assert (function.name, function.model_path) == ("ranker", "")


def test_an_unknown_server_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="choose one of onnxruntime, triton"):
        export("trition", DEPLOYMENT)


def test_what_torch_reads_before_any_file_of_ours_is_told_in_the_next_steps() -> None:
    config = ServingConfig(intra_op_threads=2, spinning=False)
    calm = msgspec.structs.replace(TORCH, config=config)
    told = "start the server with OMP_WAIT_POLICY=PASSIVE KMP_BLOCKTIME=0 in its environment"
    assert told in export("litserve", calm).next_steps
    lone = msgspec.structs.replace(config, intra_op_threads=1)
    assert told not in export("litserve", msgspec.structs.replace(TORCH, config=lone)).next_steps
