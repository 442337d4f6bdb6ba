"""A question that travels: its files are there again, and nothing else of it changed."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from fleet_made import question
from msgspec import structs

from autotune.errors import ModelError, UsageError
from autotune.fleet.parcel import pack, unpack
from autotune.spec import ModelSpec, RequestKind
from autotune.stages.premises import asked_of
from autotune.stages.question import Learning


def test_requests_and_sources_travel_and_the_question_stays_the_same(tmp_path: Path) -> None:
    one = question(tmp_path)
    for name in ("a.npz", "b.npz"):
        np.savez(tmp_path / name, x=np.arange(4) + len(name))
    (tmp_path / "lessons.json").write_text("{}")
    kinds = [
        RequestKind(weight=0.5, input_file=str(tmp_path / name)) for name in ("a.npz", "b.npz")
    ]
    one = structs.replace(
        one,
        model=structs.replace(one.model, requests=kinds),
        learning=Learning(sources=(tmp_path / "lessons.json",)),
    )
    elsewhere = tmp_path / "elsewhere"
    moved = unpack(pack(one), elsewhere)
    assert asked_of(moved) == asked_of(one)
    assert Path(moved.model.path).read_bytes() == b"a model"
    assert Path(moved.model.path).is_relative_to(elsewhere)
    assert all(Path(kind.input_file or "").is_relative_to(elsewhere) for kind in moved.model.kinds)
    assert moved.output is None


def test_tensors_beside_a_model_travel_with_it(tmp_path: Path, mlp: Path) -> None:
    path = tmp_path / "big.onnx"
    onnx.save(onnx.load(str(mlp)), str(path), save_as_external_data=True, location="weights.bin")
    moved = unpack(pack(question(tmp_path, model=ModelSpec(path=str(path)))), tmp_path / "there")
    there = Path(moved.model.path).parent
    assert (there / "weights.bin").read_bytes() == (tmp_path / "weights.bin").read_bytes()


def test_a_function_is_refused(tmp_path: Path) -> None:
    spec = ModelSpec(path=str(tmp_path / "nets.py"), function="nets:build")
    with pytest.raises(UsageError, match=r"^nets:build: a function is no file"):
        pack(question(tmp_path, model=spec))


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    one = question(tmp_path)
    gone = str(tmp_path / "gone.npz")
    with pytest.raises(ModelError, match=r"gone\.npz: cannot be read: No such file"):
        pack(structs.replace(one, model=structs.replace(one.model, input_file=gone)))
