from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import torch_models as made  # noqa: E402

from autotune.engine.source import Tensors, stack  # noqa: E402
from autotune.errors import ModelError, UsageError  # noqa: E402
from autotune.models import loading  # noqa: E402
from autotune.models.inspect_model import inspect_model  # noqa: E402
from autotune.models.sample_inputs import make_samples  # noqa: E402
from autotune.models.torch_threads import DEFAULT_THREADS  # noqa: E402
from autotune.spec import (  # noqa: E402
    RUNTIME_DEFAULT,
    Allowed,
    ModelSpec,
    RequestKind,
    runtime_default,
)

DEFAULT = RUNTIME_DEFAULT.session_shape
IMAGES = {"images": [1, 3, 16, 16]}


@pytest.fixture(scope="module")
def conv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.exported_conv(tmp_path_factory.mktemp("torch") / "conv.pt2")


@pytest.fixture(scope="module")
def attention(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.exported_attention(tmp_path_factory.mktemp("torch") / "attention.pt2")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.scripted(tmp_path_factory.mktemp("torch") / "script.pt", made.Conv())


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    yield
    torch.set_num_threads(DEFAULT_THREADS)


def answers(spec: ModelSpec, rows: int = 2) -> Tensors:
    loaded = loading.open_replica(spec, DEFAULT)
    samples = make_samples(loaded.inputs, spec, loaded.own)
    return loaded.infer(stack([samples[i % len(samples)] for i in range(rows)]))


def test_an_exported_program_says_all_and_brings_its_own_request(conv: Path) -> None:
    loaded = loading.open_replica(ModelSpec(path=str(conv)), DEFAULT)
    (only,) = loaded.inputs
    assert (only.name, only.dtype, only.shape) == ("images", "tensor(float)", ["batch", 3, 16, 16])
    assert loaded.own is not None
    np.testing.assert_array_equal(loaded.own["images"], made.images(2)[:1].numpy())


def test_every_kind_of_file_gives_the_answers_of_the_module(
    conv: Path, script: Path, tmp_path: Path
) -> None:
    pickled = made.saved(tmp_path / "pickled.pt", made.Conv())
    specs = [
        ModelSpec(path=str(conv)),
        ModelSpec(path=str(script), shapes=IMAGES),
        ModelSpec(path=str(pickled), shapes=IMAGES, trust_pickle=True, channels_last=False),
    ]
    rows = made.images(3)
    with torch.inference_mode():
        expected = made.Conv().eval()(rows).numpy()
    for spec in specs:
        infer = loading.open_replica(spec, DEFAULT).infer
        np.testing.assert_allclose(infer({"images": rows.numpy()})["output"], expected, atol=1e-5)


def test_names_types_and_open_lengths_of_a_program(attention: Path) -> None:
    spec = ModelSpec(path=str(attention))
    loaded = loading.open_replica(spec, DEFAULT)
    assert [(one.name, one.dtype) for one in loaded.inputs] == [
        ("ids", "tensor(int64)"),
        ("mask", "tensor(int64)"),
    ]
    assert loaded.inputs[0].shape[0] == "batch"
    assert loaded.inputs[0].shape == loaded.inputs[1].shape
    outputs = answers(spec)
    assert {name: array.shape for name, array in outputs.items()} == {
        "logits": (2, 3),
        "hidden_0": (2, 7, 16),
    }
    assert outputs["hidden_0"].dtype == np.float32, "numpy has no bfloat16"
    longer = msgspec.structs.replace(spec, shapes={"ids": [1, 9]})
    assert answers(longer)["hidden_0"].shape == (2, 9, 16)


def test_a_program_is_inspected_with_its_own_example(attention: Path) -> None:
    info = inspect_model(ModelSpec(path=str(attention)))
    assert info.batchable
    assert info.runtime == f"torch {torch.__version__}"
    assert info.sample_source == "the model's own example"
    assert info.sample_shapes == {"ids": [1, 7], "mask": [1, 7]}
    assert info.default_threads == DEFAULT_THREADS
    assert [(one.name, one.shape[0]) for one in info.outputs] == [
        ("logits", "batch"),
        ("hidden_0", "batch"),
    ]


def test_abilities_are_those_of_the_kind(conv: Path, script: Path, mlp: Path) -> None:
    forms, none = Allowed(forms=["compiled", "exported"]), Allowed()
    able = [
        loading.abilities(loading.open_replica(spec, DEFAULT), allowed, share, cores=2)
        for spec, allowed, share in (
            (ModelSpec(path=str(conv)), forms, 0.0),
            (ModelSpec(path=str(script), shapes=IMAGES), none, 0.5),
            (ModelSpec(path=str(script), shapes=IMAGES), none, 0.01),
            (ModelSpec(path=str(mlp)), none, None),
        )
    ]
    assert [one.forms for one in able] == [
        ("as_given", "compiled", "exported"),
        ("as_given",),
        ("as_given",),
        ("as_given",),
    ]
    both, threads = ("threads", "processes"), ("threads",)
    # Compiled ahead of time it holds the lock, however little it does as it is.
    assert [one.replicas_as for one in able] == [both, both, threads, threads]
    assert [one.inter_op for one in able] == [False, False, False, True]


def test_what_was_asked_for_by_name_and_cannot_be_had_is_refused(script: Path, mlp: Path) -> None:
    forms = Allowed(forms=["compiled"])
    for spec, complaint in (
        (ModelSpec(path=str(script), shapes=IMAGES), "--forms compiled: the model is TorchScript"),
        (ModelSpec(path=str(mlp)), "--forms compiled: the model is an ONNX model"),
    ):
        with pytest.raises(UsageError, match=complaint):
            loading.abilities(loading.open_replica(spec, DEFAULT), forms)
    onnx = loading.open_replica(ModelSpec(path=str(mlp)), DEFAULT)
    with pytest.raises(UsageError, match=r"--providers xnnpack: .* has no provider xnnpack"):
        loading.abilities(onnx, Allowed(providers=["xnnpack"]))


def test_answers_that_depend_on_neighbours_forbid_batching(tmp_path: Path) -> None:
    x = torch.rand(2, 4, generator=torch.Generator().manual_seed(0))
    path = made.exported(tmp_path / "leaky.pt2", made.Leaky(), (x,), ({0: made.AUTO},))
    info = inspect_model(ModelSpec(path=str(path)))
    assert not info.batchable
    assert "differs by" in info.batch_reason


def test_sizes_that_a_program_does_not_allow_are_refused_with_the_range(tmp_path: Path) -> None:
    path = made.exported_conv(tmp_path / "narrow.pt2", least=4, most=9)
    with pytest.raises(UsageError, match=r"10x3x16x16: the program allows 4 to 9 for dimension 0"):
        loading.open_replica(ModelSpec(path=str(path), shapes={"images": [10, 3, 16, 16]}), DEFAULT)
    with pytest.raises(UsageError, match="the model wants batchx3x16x16"):
        inspect_model(ModelSpec(path=str(path), shapes={"images": [4, 3, 16, 17]}))
    assert inspect_model(ModelSpec(path=str(path))).sample_shapes == {"images": [4, 3, 16, 16]}
    infer = loading.open_replica(ModelSpec(path=str(path)), DEFAULT).infer
    with pytest.raises(AssertionError) as raised:
        infer({"images": made.images(10).numpy()})
    assert loading.explain(raised.value).startswith("the exported program does not allow")


def test_what_a_file_does_not_say_is_asked_for(script: Path) -> None:
    with pytest.raises(ModelError, match=r"shapes .*images.*--shape images=1x3x224x224.*--input"):
        inspect_model(ModelSpec(path=str(script)))
    with pytest.raises(UsageError, match="no type 'flaot32'; did you mean 'float32'"):
        inspect_model(ModelSpec(path=str(script), shapes=IMAGES, dtypes={"images": "flaot32"}))
    with pytest.raises(ModelError, match="an input is double where the weights are float"):
        inspect_model(ModelSpec(path=str(script), shapes=IMAGES, dtypes={"images": "float64"}))


def test_inputs_from_a_file_say_shape_and_type(script: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.npz"
    np.savez(given, images=made.images(1).numpy())
    info = inspect_model(ModelSpec(path=str(script), input_file=str(given)))
    assert info.inputs[0].shape == ["batch", 3, 16, 16]
    assert info.batchable


def test_kinds_of_requests_may_differ_in_shape(script: Path) -> None:
    kinds = [
        RequestKind(weight=0.5, shapes={"images": [1, 3, size, size]}, origin=f"line {size}:")
        for size in (16, 20)
    ]
    info = inspect_model(ModelSpec(path=str(script), requests=kinds))
    assert info.inputs[0].shape == ["batch", 3, "?", "?"]
    assert info.batchable


def test_a_type_that_contradicts_the_program_is_refused(conv: Path) -> None:
    with pytest.raises(UsageError, match="type int64 of input 'images': the model wants float32"):
        inspect_model(ModelSpec(path=str(conv), dtypes={"images": "int64"}))
    with pytest.raises(UsageError, match=r"type int64 of 'image': .*did you mean 'images'"):
        inspect_model(ModelSpec(path=str(conv), dtypes={"image": "int64"}))


def test_each_replica_computes_with_its_threads_whichever_ran_before(conv: Path) -> None:
    replicas = [
        loading.open_replica(
            ModelSpec(path=str(conv)), msgspec.structs.replace(DEFAULT, intra_op_threads=threads)
        )
        for threads in (1, 2, 0)
    ]
    seen = []
    for replica in (*replicas, replicas[0]):
        assert replica.own is not None
        replica.infer(replica.own)
        seen.append(torch.get_num_threads())
    assert seen == [1, 2, DEFAULT_THREADS, 1]


def test_arrays_that_torch_cannot_share_are_copied(conv: Path) -> None:
    infer = loading.open_replica(ModelSpec(path=str(conv)), DEFAULT).infer
    array = made.images(2).numpy()
    frozen = array.copy()
    frozen.flags.writeable = False
    expected = infer({"images": array})["output"]
    np.testing.assert_array_equal(infer({"images": frozen})["output"], expected)
    np.testing.assert_allclose(infer({"images": array[::-1]})["output"][::-1], expected, atol=1e-6)


def test_inputs_that_are_no_plain_tensors_are_refused(tmp_path: Path) -> None:
    x = torch.rand(2, 2)
    path = made.exported(tmp_path / "pair.pt2", made.Pair(), ([x, x], 3))
    with pytest.raises(ModelError, match="nested or constant inputs: autotune feeds plain tensors"):
        loading.open_replica(ModelSpec(path=str(path)), DEFAULT)
    path = made.scripted(tmp_path / "pair.pt", made.Pair())
    with pytest.raises(ModelError, match=r"'pair' is of type List\[Tensor\]: autotune feeds"):
        loading.open_replica(ModelSpec(path=str(path)), DEFAULT)


def test_only_a_script_that_forks_has_a_use_for_inter_op_threads(
    script: Path, tmp_path: Path
) -> None:
    forked = made.scripted(tmp_path / "forked.pt", made.Forked())
    loaded = loading.open_replica(ModelSpec(path=str(forked), shapes={"x": [1, 4]}), DEFAULT)
    assert loading.abilities(loaded, Allowed()).inter_op
    plain = loading.open_replica(ModelSpec(path=str(script), shapes=IMAGES), DEFAULT)
    assert not loading.abilities(plain, Allowed()).inter_op


def test_a_form_that_a_kind_cannot_have_is_refused(script: Path, mlp: Path) -> None:
    shape = msgspec.structs.replace(DEFAULT, form="compiled")
    with pytest.raises(ModelError, match="is TorchScript, which has no form 'compiled'"):
        loading.open_replica(ModelSpec(path=str(script), shapes=IMAGES), shape)
    with pytest.raises(ModelError, match="is an ONNX model, which has no form 'compiled'"):
        loading.open_replica(ModelSpec(path=str(mlp)), shape)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_said_in_one_line(conv: Path) -> None:
    with pytest.raises(ModelError, match=r"built without CUDA|no GPU can be used here") as raised:
        loading.open_replica(ModelSpec(path=str(conv)), runtime_default("cuda").session_shape)
    assert "\n" not in str(raised.value)
    shape = msgspec.structs.replace(DEFAULT, provider="openvino")
    with pytest.raises(ModelError, match="torch has no provider openvino"):
        loading.open_replica(ModelSpec(path=str(conv)), shape)


def test_without_torch_a_torch_model_says_what_to_install(
    conv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="torch is not installed here: pip install torch"):
        inspect_model(ModelSpec(path=str(conv)))
