"""Mutated files that the parent reads: each is used, or refused in one line that says why."""

import random
from pathlib import Path

import pytest
from fuzz import files
from fuzz.files import Target
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"
TARGETS = {"tuned": files.TUNED, **{one.name.split()[-1]: one for one in files.INPUTS}}
TARGETS["requests"] = TARGETS.pop("mixes")


@pytest.mark.parametrize("name", TARGETS)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_mutated_file_ends_well_or_in_one_line(name: str, tmp_path: Path, seed: int) -> None:
    target, rng = TARGETS[name], random.Random(seed)
    base = target.seeds()
    data = target.mutate(rng.choice(base), base, rng)
    one = files.attempt(target, data, tmp_path)
    assert one.end in ("well", "refused"), one.line


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: str(path.name))
def test_what_was_found_once_is_refused_in_one_line(path: Path, tmp_path: Path) -> None:
    target: Target = TARGETS[path.name.partition("-")[0]]
    one = files.attempt(target, path.read_bytes(), tmp_path)
    assert one.end == "refused", one.line


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_of_each_sort_are_read_to_the_end(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(files.arrays()[0])
    (tmp_path / "b.npz").write_bytes(files.arrays()[0])
    target = TARGETS[name]
    assert {files.attempt(target, data, tmp_path).end for data in target.seeds()} == {"well"}


def test_a_fault_and_an_unclear_line_are_told_as_such(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise KeyError(path)

    faulty = files.TUNED._replace(read=fail)
    assert files.attempt(faulty, b"", tmp_path).end == "unclear"
