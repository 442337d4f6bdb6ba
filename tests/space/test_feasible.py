import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotune.space.feasible import infeasible_because
from autotune.spec import ServingConfig

MIB = 2**20
amounts = st.integers(0, 2**45)


@given(st.integers(1, 256), amounts, amounts)
def test_sessions_are_refused_exactly_when_all_replicas_together_do_not_fit(
    replicas: int, footprint_bytes: int, memory_bytes: int
) -> None:
    shape = ServingConfig(replicas=replicas).session_shape
    reason = infeasible_because(shape, footprint_bytes, memory_bytes)
    assert (reason is not None) == (replicas * footprint_bytes > memory_bytes)


@given(st.integers(1, 256), amounts)
def test_unknown_memory_refuses_nothing(replicas: int, footprint_bytes: int) -> None:
    shape = ServingConfig(replicas=replicas).session_shape
    assert infeasible_because(shape, footprint_bytes, None) is None


def test_a_process_of_its_own_takes_its_runtime_along() -> None:
    shape = ServingConfig(replicas=2, replicas_as="processes").session_shape
    reason = infeasible_because(shape, 100 * MIB, 500 * MIB, process_bytes=200 * MIB)
    assert reason == "2 replicas x 300 MiB = 600 MiB is more than the 500 MiB left"
    threads = ServingConfig(replicas=2).session_shape
    assert infeasible_because(threads, 100 * MIB, 500 * MIB, process_bytes=200 * MIB) is None


@pytest.mark.parametrize(
    ("replicas", "footprint_mib", "left_mib", "words"),
    [
        (4, 300, 1000, "4 replicas x 300 MiB = 1,200 MiB is more than the 1,000 MiB left"),
        (2, 1500, 2048, "2 replicas x 1,500 MiB = 3,000 MiB is more than the 2,048 MiB left"),
    ],
)
def test_the_reason_shows_the_arithmetic(
    replicas: int, footprint_mib: int, left_mib: int, words: str
) -> None:
    shape = ServingConfig(replicas=replicas).session_shape
    assert infeasible_because(shape, footprint_mib * MIB, left_mib * MIB) == words
