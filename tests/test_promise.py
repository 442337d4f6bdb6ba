from pathlib import Path

import pytest
from msgspec.structs import replace
from promised import TUNED

from autotune.errors import UsageError
from autotune.given import Loading
from autotune.patterns import Bursty
from autotune.promise import (
    arrivals_of,
    entry_at,
    entry_to_check,
    loading_of,
    request_shapes,
    uncheckable_because,
)
from autotune.records import InputInfo

FILE = "model.autotune.json"


def test_the_safest_promise_is_checked_unless_a_load_is_named() -> None:
    """Of the loads that the recommended configuration serves, the one proven to meet the SLO."""
    entry = entry_to_check(TUNED)
    assert entry.config == TUNED.recommended
    assert entry.meets_slo
    assert entry_at(TUNED, 1.0, FILE, "--load 1") is TUNED.policy[0]
    with pytest.raises(UsageError, match=r"--load 1e5: model\.autotune\.json was tuned for up to"):
        entry_at(TUNED, 1e5, FILE, "--load 1e5")


def test_arrivals_are_those_of_the_file_except_a_trace() -> None:
    assert arrivals_of(replace(TUNED, arrivals="bursty x4")) == Bursty(factor=4)
    with pytest.raises(UsageError, match="tuned for a trace: give it with --trace"):
        arrivals_of(replace(TUNED, arrivals="trace"))


def test_a_scalar_has_no_shape_to_ask_for() -> None:
    model = replace(TUNED.model, request_shapes={"x": [1, 4], "s": []})
    assert request_shapes(replace(TUNED, model=model)) == {"x": [1, 4]}
    own = replace(model, request_source="the model's own example")
    assert request_shapes(replace(TUNED, model=own)) == {}


def test_a_torch_model_is_loaded_as_it_was_and_its_pickles_are_trusted_anew() -> None:
    inputs = [
        InputInfo(name="ids", dtype="tensor(int64)", shape=["batch", 8]),
        InputInfo(name="x", dtype="tensor(float)", shape=["batch", 8]),
    ]
    model = replace(TUNED.model, inputs=inputs, channels_last=False)
    tuned = replace(TUNED, model=model, runtime="torch 2.13.0")
    dtypes = {"ids": "int64", "x": "float32"}
    assert loading_of(tuned, False) == Loading(dtypes, False, False)
    assert loading_of(replace(tuned, runtime="onnxruntime 1.32.0"), True) == Loading(
        {}, True, False
    )


def test_an_old_file_and_another_model_cannot_be_checked(mlp: Path) -> None:
    found = uncheckable_because(replace(TUNED, reference=None), FILE, mlp)
    assert any("is not the model that was tuned" in reason for reason in found)
    assert any(reason.startswith(f"{FILE}: does not say what") for reason in found)
