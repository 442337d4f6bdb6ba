from kept_machine import TRAITS
from msgspec import structs

from autotune.diagnosis.speed import speed


def test_one_core_and_all_are_told() -> None:
    found = speed(TRAITS)
    assert found.level == "ok"
    assert found.found == (
        "One core does 60 GFLOP/s and moves 10 GB/s; all 2 together 110 GFLOP/s and 15 GB/s."
    )


def test_a_lone_core_is_all() -> None:
    found = speed(structs.replace(TRAITS, cores=1)).found
    assert found == "One core does 60 GFLOP/s and moves 10 GB/s."
