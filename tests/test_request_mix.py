from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.errors import UsageError
from autotune.request_mix import draw_samples, read_requests


def write(folder: Path, text: str) -> Path:
    path = folder / "mix.csv"
    path.write_text(text)
    return path


def test_kinds_are_read_with_weights_that_sum_to_one(tmp_path: Path) -> None:
    text = "shape, weight\nx=1x3x320x320 mask=1x7,60\n\nx=1x3x640x640 mask=1x9,20\n"
    small, large = read_requests(write(tmp_path, text))
    assert small.shapes == {"x": [1, 3, 320, 320], "mask": [1, 7]}
    assert (small.weight, large.weight) == (0.75, 0.25)
    assert large.origin == f"--requests {tmp_path / 'mix.csv'}: line 4:"
    assert small.describe() == "75 % x 1x3x320x320 mask 1x7"


def test_input_files_are_found_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.npz").touch()
    (kind,) = read_requests(write(tmp_path, "weight,input\n0.1,a.npz\n"))
    assert kind.weight == 1
    assert kind.input_file == str(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: the header must be"),
        ("80,x=1x2\n", "line 1: the header must be"),
        ("weight\n1\n", "line 1: the header must be"),
        ("\nweight,size\n1,3\n", "line 2: the header must be"),
        ("weight,shape,input\n1,x=1,a.npz\n", "line 1: the header must be"),
        ("weight,shape\n", "has 0 kinds"),
        ("weight,shape\n" + "1,x=1x2\n" * 101, "has 101 kinds"),
        ("weight,shape\n1,x=1x2\n1\n", "line 3: has 1 cells"),
        ("weight,shape\n1,x=1x2,9\n", "line 2: has 3 cells"),
        ("weight,shape\n,x=1x2\n", "line 2: '' is not a weight"),
        ("weight,shape\n1,x=1x2\n0,x=1x3\n", "line 3: '0' is not a weight"),
        ("weight,shape\n-1,x=1x2\n", "line 2: '-1' is not a weight"),
        ("weight,shape\nnan,x=1x2\n", "line 2: 'nan' is not a weight"),
        ("weight,shape\ninf,x=1x2\n", "line 2: 'inf' is not a weight"),
        ("weight,shape\n1,\n", "line 2: the shape is missing"),
        ("weight,shape\n1,x\n", "line 2: 'x' is not NAME=SIZES"),
        ("weight,shape\n1,x=1x2 x=1x3\n", "line 2: 'x=1x3': the shape of 'x' was given before"),
        ("weight,input\n1,none.npz\n", "none.npz: no such file"),
        ("weight,input\n1,\n", "line 2: the input: no such file"),
    ],
)
def test_a_bad_file_is_refused_with_the_line_named(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(UsageError, match=r"^--requests .*mix.csv: ") as caught:
        read_requests(write(tmp_path, text))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


kinds_and_weights = st.lists(st.tuples(st.integers(1, 4), st.floats(0.01, 1)), min_size=1).map(
    lambda pairs: (
        [kind for kind, (samples, _) in enumerate(pairs) for _ in range(samples)],
        [weight / sum(one for _, one in pairs) for _, weight in pairs],
    )
)


@given(kinds_and_weights, st.integers(0, 300), st.integers(0, 2**31))
def test_samples_of_a_kind_take_turns_and_a_seed_repeats(
    mix: tuple[list[int], list[float]], total: int, seed: int
) -> None:
    kinds, weights = mix
    drawn = draw_samples(kinds, weights, total, (seed,))
    assert drawn == draw_samples(kinds, weights, total, (seed,))
    assert len(drawn) == total
    for kind in range(len(weights)):
        members = [sample for sample, of in enumerate(kinds) if of == kind]
        mine = [sample for sample in drawn if kinds[sample] == kind]
        assert mine == [members[turn % len(members)] for turn in range(len(mine))]


def test_kinds_are_drawn_by_weight_and_independently() -> None:
    kinds, weights = [0, 0, 0, 0, 1], [0.8, 0.2]
    is_large = np.equal(draw_samples(kinds, weights, 20_000, (1, 2)), 4)
    assert is_large.mean() == pytest.approx(0.2, abs=0.01)
    assert is_large[1:][is_large[:-1]].mean() == pytest.approx(0.2, abs=0.02)


def test_a_single_kind_leaves_the_turns_alone() -> None:
    assert draw_samples([0] * 4, [1.0], 10, (7,)) == [i % 4 for i in range(10)]
