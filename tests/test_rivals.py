"""The searches raced against: each asks legally, learns, survives failures, and repeats itself."""

import importlib.util

import pytest
from search.rivals import RIVALS

NEEDS = {
    "optuna-tpe": ["optuna"],
    "optuna-gp": ["optuna", "torch"],
    "smac": ["smac"],
    "kernel-tuner": ["kernel_tuner"],
}
LATTICE = {"a": [1.0, 2.0, 4.0, 8.0, 16.0], "b": [0.0], "c": [1.0, 2.0, 3.0, 4.0]}
SHAPE = (5, 1, 4)
BEST = (3, 0, 1)

every_rival = pytest.mark.parametrize("name", RIVALS)


def need(name: str) -> None:
    for package in NEEDS.get(name, []):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install '.[race]'")


def value(place: tuple[int, ...]) -> float:
    return 1.0 + (place[0] - BEST[0]) ** 2 + 0.5 * (place[2] - BEST[2]) ** 2


def asked_by(name: str, seed: int, fails: frozenset[tuple[int, ...]]) -> list[tuple[int, ...]]:
    rival = RIVALS[name](LATTICE, seed)
    asked: list[tuple[int, ...]] = []
    while len(asked) < 20 and (place := rival.ask()) is not None:
        asked.append(place)
        rival.tell(place, None if place in fails else value(place))
    return asked


@every_rival
@pytest.mark.parametrize("fails", [frozenset(), frozenset({(2, 0, 2), (4, 0, 3)})])
def test_it_asks_only_legal_places_each_once_and_finds_the_best(
    name: str, fails: frozenset[tuple[int, ...]]
) -> None:
    need(name)
    asked = asked_by(name, 0, fails)
    assert len(set(asked)) == len(asked)
    assert all(
        len(p) == 3 and all(0 <= i < n for i, n in zip(p, SHAPE, strict=True)) for p in asked
    )
    assert BEST in asked


@every_rival
def test_the_same_seed_makes_the_same_search(name: str) -> None:
    need(name)
    assert asked_by(name, 1, frozenset()) == asked_by(name, 1, frozenset())
