"""What a caller may give, what it becomes, and how a mistake is told."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from promised import TUNED

import autotune
from autotune.api import asked
from autotune.api.arrays import arrays_in_a_file
from autotune.errors import ModelError, UsageError
from autotune.patterns import Bursty, Trace

REFUSED: dict[str, dict[str, Any]] = {
    "slo_ms='50ms' is not a number": {"slo_ms": "50ms"},
    "slo_ms=0 must be above zero": {"slo_ms": 0},
    "slo_ms=nan must be above zero": {"slo_ms": float("nan")},
    "slo_ms=5000000 is more than an hour": {"slo_ms": 5_000_000},
    "percentile=0.99 is a share: write 99": {"percentile": 0.99},
    "percentile=100 must lie between": {"percentile": 100},
    "loads_rps=-1 must be above zero": {"loads_rps": -1},
    "loads_rps=True is not a number": {"loads_rps": [20, True]},
    "loads_rps='80' is not a number": {"loads_rps": "80"},
    "loads_rps=10000000.0 is more than can be issued": {"loads_rps": 1e7},
    "loads_rps is empty": {"loads_rps": []},
    "arrivals=4 is not a text": {"arrivals": 4},
    "arrivals='bursty': say how many times": {"arrivals": "bursty"},
    "trace and arrivals both say": {"arrivals": "poisson", "trace": [0, 1]},
    "trace: arrival 2: 1 s comes after 2 s": {"trace": [0, 2, 1]},
    r"trace\[1\]=-1 is not a time": {"trace": [0, -1]},
    "trace: needs at least two arrivals": {"trace": [3.0]},
    "trace='none.csv': cannot be read": {"trace": "none.csv"},
    "objective='speed': is none of": {"objective": "speed"},
    "safe=5 is not a share": {"safe": 5},
    "idle_watts=0 must be above zero": {"idle_watts": 0},
    "core_watts=1000000.0 must be at most 100,000 W": {"core_watts": 1e6},
    r"strategy='rll': is none of rrl.*; did you mean 'rrl'\?$": {"strategy": "rll"},
    "strategy=4 is not a text like 'rrl'": {"strategy": 4},
    "budget_s=0 must be above zero": {"budget_s": 0},
    "trials=0 must be at least 1": {"trials": 0},
    "trials=1.5 is not a whole number": {"trials": 1.5},
    "seed=-1 must not be negative": {"seed": -1},
    "seed=None is not a whole number": {"seed": None},
    "shapes='x=1' is not a dict": {"shapes": "x=1"},
    r"shapes=\{'x': '1x4'\}: write the sizes": {"shapes": {"x": "1x4"}},
    r"shapes=\{'x': \[1, 0\]\}: every size": {"shapes": {"x": [1, 0]}},
    "input='none.npz': no such file": {"input": "none.npz"},
    "requests='none.csv': cannot be read": {"requests": "none.csv"},
    "requests and shapes both say": {"requests": "a.csv", "shapes": {"x": [1, 4]}},
    "requests and input both say": {"requests": "a.csv", "input": {"x": [1.0]}},
    "shapes and input both say": {"shapes": {"x": [1, 4]}, "input": {"x": [1.0]}},
    r"input\['x'\] holds object": {"input": {"x": np.array([object()])}},
    "output='.': is a directory": {"output": "."},
    "output=4 is not a path": {"output": 4},
    "progress='yes' is neither": {"progress": "yes"},
}


@pytest.mark.parametrize("complaint", REFUSED)
def test_a_mistake_is_told_in_the_words_of_python(mlp: Path, complaint: str) -> None:
    with pytest.raises(UsageError, match=f"^{complaint}") as refused:
        autotune.search(mlp, **{"slo_ms": 50, **REFUSED[complaint]})
    assert "--" not in str(refused.value)


def test_a_model_that_is_not_there_is_an_error_of_its_own() -> None:
    with pytest.raises(ModelError, match=r"^none\.onnx: no such file"):
        autotune.search("none.onnx", slo_ms=50)
    with pytest.raises(UsageError, match=r"^model=None is not a path"):
        autotune.search(None, slo_ms=50)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    assert asked.loads(np.array([80.0, 20.0, 80.0]), "loads_rps") == [20, 80]
    assert asked.loads(np.int64(5), "loads_rps") == [5]
    assert asked.whole(np.int64(3), "seed") == 3
    assert asked.slo(np.float32(50), 99).latency_ms == 50


def test_a_trace_is_a_file_or_the_times_themselves(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("0\n1\n4\n")
    for trace in (file, [10, 11, 14], np.array([0.0, 1.0, 4.0])):
        as_is, pattern = asked.traffics([], trace, None)
        assert as_is is not None
        assert isinstance(pattern, Trace)
        assert (as_is[0].load_rps, pattern.times_s.tolist()) == (0.5, [0, 1, 4])
    scaled, _ = asked.traffics([1.0, 2.0], [0, 1, 4], None)
    assert scaled is not None
    assert [one.load_rps for one in scaled] == [1, 2]


def test_arrivals_are_those_of_the_file_unless_others_are_given() -> None:
    assert asked.pattern(TUNED, 30.0, None, None).describe() == TUNED.arrivals == "poisson"
    assert asked.pattern(TUNED, 30.0, None, "bursty:4") == Bursty(factor=4)


def test_arrays_are_kept_in_a_file_for_as_long_as_they_are_needed() -> None:
    given: dict[str, npt.ArrayLike] = {
        "file": [[1, 2]],
        "text": np.array(["a", "b"], dtype=object),
        "scalar": 3.0,
    }
    with arrays_in_a_file(given) as (file, kind):
        with np.load(file, allow_pickle=False) as archive:
            assert sorted(archive.files) == sorted(given)
            assert archive["file"].tolist() == [[1, 2]]
            assert archive["text"].tolist() == ["a", "b"]
            assert archive["scalar"].shape == ()
        assert kind.input_file == str(file)
    assert not file.exists()
    with arrays_in_a_file(given) as (_, again), arrays_in_a_file({"x": [1]}) as (_, other):
        assert again.label == kind.label != other.label
        assert str(file.parent) not in again.describe()


def test_a_complaint_about_arrays_does_not_say_where_they_lay() -> None:
    with (
        pytest.raises(UsageError, match=r"^input: lacks input 'y'$"),
        arrays_in_a_file({"x": [1]}) as (file, _),
    ):
        raise UsageError(f"input {file}: lacks input 'y'")


def test_a_tuned_file_is_a_path_or_what_was_found(tmp_path: Path) -> None:
    found = autotune.Tuned(TUNED)
    assert asked.tuned_file(found) == (TUNED, "this result")
    path = found.save(tmp_path / "a.autotune.json")
    assert asked.tuned_file(found) == asked.tuned_file(path) == (TUNED, str(path))
