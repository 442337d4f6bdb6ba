from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from autotune.engine.source import Tensors
from autotune.models.output_check import (
    FLOAT_TOLERANCE,
    checkable,
    how_batch_differs,
    how_outputs_differ,
    sizes_to_check,
)
from autotune.models.saved_outputs import SavedOutputs, save_outputs

SHAPES = nps.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
ANY = nps.arrays(
    st.one_of(nps.floating_dtypes(endianness="="), nps.integer_dtypes(endianness="=")), SHAPES
) | nps.arrays(np.str_, SHAPES, elements=st.text(max_size=3).map(lambda text: text.strip("\0")))


def named(*values: object, dtype: npt.DTypeLike = np.float32) -> Tensors:
    return {"y": np.array(values, dtype=dtype)}


@given(array=ANY)
def test_outputs_agree_with_themselves_also_after_a_trip_through_a_file(
    tmp_path_factory: pytest.TempPathFactory, array: npt.NDArray[np.generic]
) -> None:
    folder = tmp_path_factory.mktemp("outputs")
    save_outputs(folder, [{"file": array}, {"a/b:0": array}])
    saved = SavedOutputs(folder)
    assert len(saved) == 2
    assert how_outputs_differ({"file": array}, saved[0]) is None
    assert how_outputs_differ({"a/b:0": array}, saved[1]) is None


@given(
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    largest=st.floats(1e-3, 1e4),
    share=st.floats(-3, 3).filter(lambda share: abs(abs(share) - 1) > 0.1),
)
def test_floats_may_deviate_by_a_share_of_their_largest_value(
    dtype: type, largest: float, share: float
) -> None:
    expected = named(largest, largest / 3, 0.0, dtype=dtype)
    moved = largest / 3 + share * FLOAT_TOLERANCE * largest
    differs = how_outputs_differ(named(largest, moved, 0.0, dtype=dtype), expected)
    assert (differs is not None) == (abs(share) > 1)


def test_the_words_say_which_output_by_how_much_and_what_was_allowed() -> None:
    differs = how_outputs_differ(named(1.0, 0.84), named(1.0, 0.5))
    assert differs == "output 'y' differs by 0.34 (tolerance 0.05 of its largest value 1)"
    assert "0.34 (tolerance 0.005" in str(how_outputs_differ(named(1, 0.84), named(1, 0.5), 0.1))


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        (named(1.0, np.nan), named(1.0, 2.0), "NaN or infinity"),
        (named(1.0, 2.0), named(1.0, np.inf), "NaN or infinity"),
        (named(np.inf), named(-np.inf), "NaN or infinity"),
        (named(3e38), named(-3e38), "differs by"),
        (named(1.0, 2.0), named(1.0), "has shape 2 instead of 1"),
        ({"y": np.ones(())}, {"y": np.ones(1)}, "has shape scalar instead of 1"),
        (named(1.0), named(1.0, dtype=np.float64), "is float32 instead of float64"),
        (named(1, 2, 4, dtype=np.int64), named(1, 2, 3, dtype=np.int64), "in 1 of 3 values"),
        (named(True, False, dtype=bool), named(True, True, dtype=bool), "in 1 of 2 values"),
        (named("cat", dtype=object), named("dog", dtype=np.str_), "in 1 of 1 values"),
        (named("a", dtype=object), named(1.0), "instead of float32"),
        ({"z": np.ones(1)}, named(1.0), "is missing"),
        ({"y": None}, named(1.0), "is missing"),
    ],
)
def test_what_differs_is_named(got: Tensors, expected: Tensors, words: str) -> None:
    assert words in str(how_outputs_differ(got, expected))


def test_values_that_are_not_finite_agree_in_their_places() -> None:
    odd = named(np.nan, np.inf, -np.inf, 1.0)
    assert how_outputs_differ(odd, odd) is None


def test_only_quantised_values_may_differ_and_only_by_a_step() -> None:
    expected = named(0, 100, 255, dtype=np.uint8)
    assert how_outputs_differ(named(1, 99, 254, dtype=np.uint8), expected) is None
    assert "differs by 2" in str(how_outputs_differ(named(2, 100, 255, dtype=np.uint8), expected))
    mask = named(0, 1, 1, dtype=np.uint8)
    assert "differs by 1 (tolerance 0)" in str(
        how_outputs_differ(named(1, 1, 1, dtype=np.uint8), mask)
    )


def test_the_outputs_of_classical_models_are_compared_as_tables_or_left_out() -> None:
    plain = checkable(
        {
            "probabilities": [{"cat": 0.25, "dog": 0.75}, {"cat": 1.0, "dog": 0.0}],
            "label": np.array(["dog", "cat"], dtype=object),
            "sequence": [np.ones(2), np.ones(3)],
            "uneven": [{"cat": 1.0}, {"dog": 1.0}],
            "empty": [],
            "absent": None,
            "bytes": np.array([b"x", None], dtype=object),
        }
    )
    assert set(plain) == {"probabilities", "label"}
    np.testing.assert_array_equal(plain["probabilities"], [[0.25, 0.75], [1.0, 0.0]])
    assert plain["label"].dtype.kind == "U"


def doubled(requests: list[Tensors]) -> Tensors:
    return {"y": np.concatenate([2 * request["x"] for request in requests])}


@given(rows=st.lists(st.integers(1, 3), min_size=2, max_size=9), wrong=st.booleans())
def test_a_batch_is_held_against_its_own_requests(rows: list[int], wrong: bool) -> None:
    kinds = [{"x": np.full((count, 2), i + 1.0)} for i, count in enumerate(rows[:4])]
    requests = [kinds[i % len(kinds)] for i in range(len(rows))]
    together = doubled(requests)
    if wrong:
        together["y"][-1] *= 1.2
    alone = [doubled([kind]) for kind in kinds]
    assert (how_batch_differs(together, requests, alone) is not None) == wrong


def test_outputs_that_cannot_be_split_say_so() -> None:
    pair = [{"x": np.ones((1, 2))}, {"x": np.ones((1, 2))}]
    for together, words in (
        (np.array(1.0), "is a scalar"),
        (np.ones((1, 2)), "in a batch of 2, output 'y' does not grow"),
        (np.ones((4, 2)), "does not grow"),
    ):
        assert words in str(how_batch_differs({"y": together}, pair, [named(1.0)]))


def test_the_largest_batch_is_checked_and_odd_ones_below() -> None:
    assert [sizes_to_check(largest) for largest in (1, 2, 4, 8, 32)] == [
        [],
        [2],
        [4, 3],
        [8, 7, 3],
        [32, 31, 15, 7, 3],
    ]


def test_outputs_that_were_not_saved_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(IndexError, match="out of range"):
        SavedOutputs(tmp_path)[0]
