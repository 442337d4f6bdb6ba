import os
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch_models import functions  # noqa: E402

from autotune.errors import ModelError  # noqa: E402
from autotune.models.inspect_model import inspect_model  # noqa: E402
from autotune.models.loading import open_replica  # noqa: E402
from autotune.models.sample_inputs import make_samples  # noqa: E402
from autotune.spec import RUNTIME_DEFAULT, ModelSpec  # noqa: E402

DEFAULT = RUNTIME_DEFAULT.session_shape


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of functions in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return functions(tmp_path, f"built_{tmp_path.name}")


def spec(function: str, shapes: dict[str, list[int]] | None = None) -> ModelSpec:
    return ModelSpec(path="unused.py", function=function, shapes=shapes or {})


def test_a_function_of_the_current_folder_is_called_in_the_child_alone(here: str) -> None:
    info = inspect_model(spec(f"{here}:attention"))
    assert info.batchable
    assert info.sample_shapes == {"ids": [1, 7], "mask": [1, 7]}
    assert [one.dtype for one in info.inputs] == ["tensor(int64)"] * 2
    assert info.sample_source == "the model's own example"


def test_weights_made_at_random_are_the_same_in_every_replica(here: str) -> None:
    model = spec(f"{here}:random_weights")
    first, second = (open_replica(model, DEFAULT, number) for number in range(2))
    assert first.own is not None
    np.testing.assert_array_equal(
        first.infer(first.own)["output"], second.infer(first.own)["output"]
    )


def test_optional_inputs_are_those_that_are_named(here: str) -> None:
    model = ModelSpec(
        path="unused.py",
        function=f"{here}:attention",
        shapes={"ids": [1, 5], "mask": [1, 5]},
    )
    loaded = open_replica(model, DEFAULT)
    outputs = loaded.infer(make_samples(loaded.inputs, model, loaded.own)[0])
    assert outputs["hidden_0"].shape == (1, 5, 16)


def test_a_module_without_an_example_needs_shapes(here: str) -> None:
    with pytest.raises(ModelError, match=rf"{here}:conv: .*--shape images=1x3x224x224"):
        open_replica(spec(f"{here}:conv"), DEFAULT)
    assert inspect_model(spec(f"{here}:conv", {"images": [1, 3, 16, 16]})).batchable


def test_images_are_laid_out_with_channels_last_unless_told_otherwise(here: str) -> None:
    for wanted in (True, False):
        model = ModelSpec(path="unused.py", function=f"{here}:layout", channels_last=wanted)
        loaded = open_replica(model, DEFAULT)
        assert loaded.own is not None
        assert loaded.infer(loaded.own)["output"].tolist() == [float(wanted)]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("fails", r"built_.*\.py:\d+: RuntimeError: no weights here"),
        ("leaves", r"built_.*\.py:\d+: SystemExit: done"),
        ("number", r"returned a int; it must return a torch.nn.Module, or a pair"),
        ("nested", r"its example inputs: 'images' is a list: autotune feeds plain tensors only"),
        ("gone", r"has no function 'gone'"),
    ],
)
def test_what_goes_wrong_is_said_with_the_line_that_is_the_persons_own(
    here: str, function: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as raised:
        open_replica(spec(f"{here}:{function}"), DEFAULT)
    assert "\n" not in str(raised.value)


def test_a_module_that_cannot_be_imported_is_said_with_its_line(here: str) -> None:
    broken = Path(os.getcwd()) / "broken_module.py"
    broken.write_text("import json\nimport no_such_module_anywhere\n")
    with pytest.raises(ModelError, match=r"broken_module\.py:2: ModuleNotFoundError"):
        open_replica(spec("broken_module:conv"), DEFAULT)
    broken.with_name("unfinished_module.py").write_text("x = 1\ndef conv(:\n")
    with pytest.raises(ModelError, match=r"unfinished_module\.py:2: SyntaxError"):
        open_replica(spec("unfinished_module:conv"), DEFAULT)
