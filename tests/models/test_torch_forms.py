"""Compiling takes a C++ compiler and half a minute a model."""

import shutil
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

import torch_models as made  # noqa: E402

from autotune.engine.source import Tensors, stack  # noqa: E402
from autotune.errors import ModelError  # noqa: E402
from autotune.models.inspect_model import inspect_model  # noqa: E402
from autotune.models.loading import Loaded, open_replica  # noqa: E402
from autotune.models.sample_inputs import make_samples  # noqa: E402
from autotune.runtime_environment import compiled_in  # noqa: E402
from autotune.spec import RUNTIME_DEFAULT, Form, ModelSpec  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # The compiler's parts are deprecated by each other.
    pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler"),
]

DEFAULT = RUNTIME_DEFAULT.session_shape
SIZES = (1, 8, 2, 3, 5)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the current one, and holds what is compiled."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, value in compiled_in(tmp_path).items():
        if name != "TMPDIR":
            monkeypatch.setenv(name, value)
    from autotune.models import torch_forms

    torch_forms._folder.cache_clear()
    return tmp_path


def in_form(spec: ModelSpec, form: Form, threads: int = 1, number: int = 0) -> Loaded:
    shape = msgspec.structs.replace(DEFAULT, form=form, replicas=2, intra_op_threads=threads)
    return open_replica(spec, shape, number)


def batch(loaded: Loaded, spec: ModelSpec, rows: int) -> Tensors:
    samples = make_samples(loaded.inputs, spec, loaded.own)
    return stack([samples[i % len(samples)] for i in range(rows)])


def assert_same(got: Tensors, expected: Tensors) -> None:
    assert got.keys() == expected.keys()
    for name in got:
        np.testing.assert_allclose(got[name], expected[name], atol=0.02)


@pytest.mark.slow
def test_torch_compile_is_done_after_one_row_and_several(here: Path) -> None:
    from autotune.models.torch_forms import compiled_s

    spec = ModelSpec(path=str(made.exported_conv(here / "conv.pt2")))
    plain = open_replica(spec, DEFAULT)
    replicas = [in_form(spec, "compiled", number=number) for number in range(2)]
    before_s, after_s = compiled_s(), []
    for rows in SIZES:
        given = batch(plain, spec, rows)
        for replica in replicas:
            assert_same(replica.infer(given), plain.infer(given))
        after_s.append(compiled_s())
    assert before_s < after_s[0] < after_s[1]
    assert len(set(after_s[1:])) == 1, "no size was compiled after those two"


@pytest.mark.slow
def test_a_function_is_exported_once_for_all_sizes_and_threads(here: Path) -> None:
    spec = ModelSpec(
        path=str(here / "exported_functions.py"),
        function=f"{made.functions(here, 'exported_functions')}:attention",
    )
    plain = open_replica(spec, DEFAULT)
    first = in_form(spec, "exported", threads=1)
    (package,) = here.glob("*.pt2")
    made_at = package.stat().st_mtime_ns
    second = in_form(spec, "exported", threads=2)
    assert [*here.glob("*.pt2")] == [package]
    assert package.stat().st_mtime_ns == made_at
    for rows in SIZES:
        given = batch(plain, spec, rows)
        for replica in (first, second):
            assert_same(replica.infer(given), plain.infer(given))
    with pytest.raises(ValueError, match="input 'ids' is 1x9, and was exported as batchx7"):
        first.infer({"ids": np.zeros((1, 9), np.int64), "mask": np.ones((1, 9), np.int64)})
    # The package is a model file by itself, and its source says what it takes.
    info = inspect_model(ModelSpec(path=str(package)))
    assert [one.shape for one in info.inputs] == [["batch", 7]] * 2
    assert [one.dtype for one in info.inputs] == ["tensor(int64)"] * 2
    assert info.batchable
    shape = msgspec.structs.replace(DEFAULT, form="exported")
    with pytest.raises(ModelError, match="is a package of AOTInductor, which has no form"):
        open_replica(ModelSpec(path=str(package)), shape)


def test_what_cannot_be_exported_fails_in_one_line(here: Path) -> None:
    (here / "branching_module.py").write_text(
        "import torch\n"
        "class Branching(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x if x.sum() > 0 else -x\n"
        "def make():\n"
        "    return Branching(), torch.rand(1, 4)\n"
    )
    spec = ModelSpec(path=str(here / "branching_module.py"), function="branching_module:make")
    with pytest.raises(ModelError, match=r"torch.export cannot capture it: ") as raised:
        in_form(spec, "exported")
    assert "\n" not in str(raised.value)
