"""The rivals ask for legal places only, once each, and find what is easy to find."""

import gc
import math
import random
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from search.rivals import RIVALS, Lattice, Place, Rival

Value = Callable[[Place], float | None]

LIBRARIES = {
    "optuna-tpe": ["optuna"],
    "optuna-gp": ["optuna", "torch"],
    "smac": ["smac"],
    "kernel-tuner": ["kernel_tuner"],
    "sb3-dqn": ["stable_baselines3"],
}
ASKS = {
    "random": 60,
    "exhaustive": 60,
    "hill-climb": 25,
    "optuna-tpe": 45,
    "optuna-gp": 20,
    "smac": 35,
    "kernel-tuner": 45,
    "sb3-dqn": 45,
    "lattice-search": 20,
}
BEST = (3, 1, 0, 2)

# What a library warns of is not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(params=RIVALS)
def name(request: pytest.FixtureRequest) -> str:
    for library in LIBRARIES.get(request.param, []):
        pytest.importorskip(library)
    return str(request.param)


def lattice_of(*lengths: int) -> Lattice:
    return {f"axis {number}": [2.0**v for v in range(n)] for number, n in enumerate(lengths)}


def convex(place: Place) -> float:
    return 0.01 * math.exp(sum(0.4 * abs(v - b) ** 1.5 for v, b in zip(place, BEST, strict=True)))


def half_fails(place: Place) -> float | None:
    return None if sum(place) < 3 or place[0] == 4 else convex(place)


def search(rival: Rival, value: Value, asks: int) -> list[Place]:
    """Return what the rival asks for."""
    places: list[Place] = []
    while len(places) < asks and (place := rival.ask()) is not None:
        places.append(place)
        rival.tell(place, value(place))
    return places


def finds(rival: Rival, value: Value, asks: int) -> bool:
    """Return whether the best place is among those asked for; ends where it is."""
    return any(search(rival, value, 1) == [BEST] for _ in range(asks))


def test_all_points_are_asked_once_and_only_legal_ones(name: str) -> None:
    places = search(RIVALS[name](lattice_of(3, 4, 1, 2), 0), convex, 100)
    assert len(set(places)) == len(places)
    assert all(type(v) is int for place in places for v in place)
    legal = set(np.ndindex(3, 4, 1, 2))
    assert set(places) <= legal
    if name != "hill-climb":
        assert set(places) == legal


@pytest.mark.parametrize("seed", [0, 1])
def test_the_best_of_a_convex_lattice_is_found(name: str, seed: int) -> None:
    rival = RIVALS[name](lattice_of(5, 4, 1, 3), seed)
    assert finds(rival, convex, ASKS[name])


def test_failures_are_survived(name: str) -> None:
    rival = RIVALS[name](lattice_of(5, 4, 1, 3), 0)
    assert finds(rival, half_fails, 60)


def test_where_everything_fails_it_ends(name: str) -> None:
    places = search(RIVALS[name](lattice_of(3, 1, 2), 0), lambda place: None, 20)
    assert len(places) == len(set(places)) == 6


def test_one_point_is_asked_once(name: str) -> None:
    assert search(RIVALS[name](lattice_of(1, 1), 0), lambda place: 1.0, 5) == [(0, 0)]


def test_the_same_seed_is_the_same_search_whatever_runs_beside(name: str) -> None:
    asks = 18
    alone = search(RIVALS[name](lattice_of(5, 4, 1, 3), 7), half_fails, asks)
    rivals = [RIVALS[name](lattice_of(5, 4, 1, 3), 7) for _ in range(2)]
    beside: list[list[Place]] = [[], []]
    for _ in range(asks):
        for rival, places in zip(rivals, beside, strict=True):
            random.seed()
            np.random.seed()
            places += search(rival, half_fails, 1)
    assert beside == [alone, alone]


def test_what_was_not_asked_for_can_be_told(name: str) -> None:
    rival = RIVALS[name](lattice_of(5, 4, 1, 3), 0)
    rival.tell((4, 3, 0, 2), convex((4, 3, 0, 2)))
    rival.tell((4, 2, 0, 2), None)
    assert finds(rival, convex, 60)


@pytest.mark.parametrize(("rival", "library"), [(r, names[0]) for r, names in LIBRARIES.items()])
def test_a_missing_library_says_what_to_install(
    rival: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [m for m in sys.modules if m.partition(".")[0] == library] or [library]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"^{library} .* pip install .* '\.\[race\]'"):
        RIVALS[rival](lattice_of(3), 0)


@pytest.mark.parametrize("name", ["random", "exhaustive", "hill-climb"])
def test_a_million_points_are_not_enumerated(name: str) -> None:
    started_s = time.monotonic()
    places = search(RIVALS[name](lattice_of(*[10] * 6), 0), lambda place: 1.0 + sum(place), 5)
    assert len(set(places)) == 5
    assert time.monotonic() - started_s < 5.0


def test_exhaustive_is_lexicographic() -> None:
    places = search(RIVALS["exhaustive"](lattice_of(2, 3), 0), lambda place: 1.0, 10)
    assert places == list(np.ndindex(2, 3))


def test_the_climb_starts_as_model_analyzer_does() -> None:
    values: dict[Place, float] = {(0, 0): 2.0, (0, 1): 2.0, (1, 0): 2.0, (2, 2): 1.0}
    asked = search(RIVALS["hill-climb"](lattice_of(8, 8), 0), lambda p: values.get(p, 3.0), 5)
    # The neighbours with the most values not seen yet; then a gain of 2/3 by a distance of 3 on
    # each axis, 0.22: a step of one.
    assert asked == [*values, (1, 1)]


@pytest.mark.parametrize("which", ["kernel-tuner", "sb3-dqn"])
def test_a_rivals_thread_ends_with_it(which: str) -> None:
    pytest.importorskip(LIBRARIES[which][0])
    before = set(threading.enumerate())
    rival = RIVALS[which](lattice_of(5, 4), 0)
    search(rival, lambda place: 1.0 + sum(place), 3)
    (thread,) = set(threading.enumerate()) - before
    del rival
    gc.collect()
    thread.join(timeout=5.0)
    assert not thread.is_alive()
